"""When a trajectory stops, and what that decision costs to learn."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class FixedDepth:
    """Every trajectory runs its full depth; nothing is learned."""

    def halts(self, halt_logit: Tensor | None, steps: Tensor) -> Tensor:
        """`[batch]` bool: never before the depth is spent."""
        return torch.zeros_like(steps, dtype=torch.bool)

    def explore(self, halted: Tensor, steps: Tensor, depth: int, uniform: Tensor) -> Tensor:
        """Training-time halting: as decided."""
        return halted

    def loss(self, halt_logit: Tensor | None, correct: Tensor) -> Tensor:
        """`[batch]` zeros: there is no decision to learn."""
        return torch.zeros(len(correct), device=correct.device)


@dataclass(frozen=True)
class LearnedHead:
    """Stop when the halting head says so (EqR Alg. 1; TRM; adaptive computation time, Graves 2017).

    Attributes:
        threshold: halt where the logit exceeds this.
        exploration: training only: with this probability a row must live to a random step in
            {2, ..., depth}, drawn afresh at every step, so that later steps keep being seen.
        weight: of its loss in the total.
    """

    threshold: float = 0.0
    exploration: float = 0.1
    weight: float = 0.5

    def halts(self, halt_logit: Tensor | None, steps: Tensor) -> Tensor:
        """`halt_logit [batch]` → `[batch]` bool."""
        if halt_logit is None:
            raise TypeError("this reasoner has no halting head; use a fixed depth")
        return halt_logit > self.threshold

    def explore(self, halted: Tensor, steps: Tensor, depth: int, uniform: Tensor) -> Tensor:
        """Withhold some halts. `uniform [batch, 2]` in (0, 1): whether to explore, and until when."""
        until = 2 + (uniform[:, 1] * (depth - 1)).to(steps.dtype)
        least = torch.where(uniform[:, 0] < self.exploration, until, 0)
        return halted & (steps >= least)

    def loss(self, halt_logit: Tensor | None, correct: Tensor) -> Tensor:
        """Binary cross-entropy against "the answer is right now", weighted: `[batch]` twice → `[batch]`."""
        if halt_logit is None:
            raise TypeError("this reasoner has no halting head; use a fixed depth")
        target = correct.to(halt_logit.dtype)
        return self.weight * F.binary_cross_entropy_with_logits(halt_logit, target, reduction="none")
