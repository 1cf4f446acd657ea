"""What the papers measure on word problems, of answers and labels [count, tokens] (label 0: not scored)."""

import torch
from torch import Tensor


def final_state_right(answers: Tensor, labels: Tensor) -> Tensor:
    """Whether the last labelled position is right, whatever stands before it: bool [count]."""
    places = torch.arange(labels.shape[1], device=labels.device)
    last = torch.where(labels > 0, places, 0).amax(1, keepdim=True)
    return (answers.gather(1, last) == labels.gather(1, last))[:, 0]


def prefix_right(answers: Tensor, labels: Tensor, k: int) -> Tensor:
    """Whether all labelled positions among the first `k` are right: bool [count]; true without any."""
    return ((answers == labels) | (labels <= 0))[:, :k].all(1)


def prefix_accuracy(answers: Tensor, labels: Tensor, k: int) -> Tensor:
    """How many of the labelled positions among the first `k` are right: shares [count]; NaN without any."""
    scored = labels[:, :k] > 0
    return ((answers == labels)[:, :k] & scored).sum(1) / scored.sum(1)
