"""One answer from many restarts (EqR App. D.3, and the published evaluator's scores)."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from equilibria.inference.pool import Pool

Selection = Literal["convergence", "logit-convergence", "majority", "halting"]


def most_converged(pool: Pool) -> Tensor:
    """Top-1 convergence: the restart with the least mean residual over its last iterations (EqR Eq. 20)."""
    return _least(pool.residual)


def most_converged_logits(pool: Pool) -> Tensor:
    """The published evaluator's score: the least mean change of the logits over the last iterations."""
    return _least(pool.logit_change)


def majority(pool: Pool) -> Tensor:
    """The most frequent whole answer; of equally frequent ones, the one seen first (EqR Eq. 21)."""
    return votes(pool.answers).argmax(dim=1)


def highest_halting_score(pool: Pool) -> Tensor:
    """The restart whose halting head is surest that its answer is right."""
    return _least(-pool.halt_logit)


SELECTIONS: Mapping[str, Callable[[Pool], Tensor]] = {
    "convergence": most_converged,
    "logit-convergence": most_converged_logits,
    "majority": majority,
    "halting": highest_halting_score,
}
"""Each rule: a pool of `[problems, restarts]` → the chosen restart `[problems]`."""


def _least(scores: Tensor) -> Tensor:
    """Where each row is least, the first of equals; a restart without a score (NaN) comes last."""
    return scores.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf).argmin(dim=1)


def votes(answers: Tensor) -> Tensor:
    """How many restarts gave the same answer: `[problems, restarts, tokens]` → `[problems, restarts]`."""
    same = torch.stack([(answers == answers[:, [b]]).all(dim=-1) for b in range(answers.shape[1])], dim=1)
    return same.sum(dim=2)


def agreement(answers: Tensor, chosen: Tensor) -> Tensor:
    """Share of restarts that gave the chosen answer: `[problems]`, 1 for a single restart."""
    return votes(answers).gather(1, chosen[:, None]).squeeze(1) / answers.shape[1]
