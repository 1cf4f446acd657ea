"""What restarts of some problems ended with."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from equilibria.inference.slots import FACTS, End


@dataclass(frozen=True)
class Pool:
    """The ends of trajectories; every tensor is `[problems, restarts]` and lives on the CPU.

    Attributes:
        answers: `[problems, restarts, tokens]` predicted tokens.
        residual: mean of `‖z_{k+1} − z_k‖₂` over the last `WINDOW` iterations.
        logit_change: mean over those iterations and all tokens of the Euclidean change of a token's
            logits: the score of the published evaluator. NaN after a single iteration.
        halt_logit: the halting head's score of the answer, NaN where there is no head.
        evaluations: applications of f actually run.
        halted: whether a halting rule ended the trajectory.
    """

    answers: Tensor
    residual: Tensor
    logit_change: Tensor
    halt_logit: Tensor
    evaluations: Tensor
    halted: Tensor

    @classmethod
    def of(cls, ends: Sequence[Sequence[End]], mark: int = -1) -> "Pool":
        """The ends of equally many restarts of every problem, at one of their marks."""
        facts = torch.tensor([[end.facts[mark] for end in row] for row in ends])
        named = dict(zip(FACTS, facts.unbind(dim=-1), strict=True))
        whole = {"evaluations": named["evaluations"].long(), "halted": named["halted"].bool()}
        answers = torch.stack([torch.stack([end.answers[mark] for end in row]) for row in ends])
        return cls(answers, **(named | whole))

    def restarts(self, count: int) -> "Pool":
        """The first `count` restarts of every problem."""
        return self._map(lambda tensor: tensor[:, :count])

    def problems(self, rows: Tensor) -> "Pool":
        """Some problems: an index or a mask over them."""
        return self._map(lambda tensor: tensor[rows])

    def _map(self, change: Any) -> "Pool":
        return replace(self, **{field.name: change(getattr(self, field.name)) for field in fields(Pool)})
