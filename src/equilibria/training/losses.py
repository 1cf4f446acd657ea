"""What an answer costs."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Objective = Literal["stablemax", "softmax"]
IGNORE = -100
"""The target of a token that is not asked for."""


def log_stablemax(logits: Tensor) -> Tensor:
    """`log(s(x) / Σ s(x))`, s(x) = x + 1 for x ≥ 0 and 1 / (1 − x) below, in float64 (Prieto et al. 2025)."""
    x = logits.double()
    # Both sides are computed, so each is kept away from its own pole to have finite gradients.
    log_s = torch.where(x < 0, -torch.log1p(-x.clamp(max=0.0) + 1e-30), torch.log1p(x.clamp(min=0.0)))
    return log_s - torch.logsumexp(log_s, dim=-1, keepdim=True)


def token_loss(logits: Tensor, targets: Tensor, objective: Objective, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of every token: `[batch, tokens, vocabulary]`, `[batch, tokens]` → `[batch, tokens]`.

    A target of `IGNORE` costs nothing. With label `smoothing` ε, a target is 1 − ε of what it was and ε
    spread evenly over the vocabulary (Szegedy et al. 2016).
    """
    log_p = log_stablemax(logits) if objective == "stablemax" else F.log_softmax(logits.float(), dim=-1)
    asked = targets != IGNORE
    picked = log_p.gather(-1, torch.where(asked, targets, 0).long().unsqueeze(-1)).squeeze(-1)
    if smoothing:
        picked = (1.0 - smoothing) * picked + smoothing * log_p.mean(dim=-1)
    return torch.where(asked, -picked, 0.0)


def answer_loss(logits: Tensor, targets: Tensor, objective: Objective, smoothing: float = 0.0) -> Tensor:
    """Mean over the tokens asked for, per row: `[batch]`; the caller sums the batch."""
    asked = (targets != IGNORE).sum(dim=1).clamp(min=1)
    return token_loss(logits, targets, objective, smoothing).sum(dim=1) / asked


def is_correct(logits: Tensor, targets: Tensor) -> Tensor:
    """`[batch]` bool: every token asked for is predicted."""
    return ((logits.argmax(dim=-1) == targets) | (targets == IGNORE)).all(dim=1)
