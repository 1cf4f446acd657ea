"""One answer from many restarts (EqR App. D.3, and the published evaluator's scores)."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from equilibria.inference.pool import Pool

Selection = Literal["convergence", "logit-convergence", "majority", "agreement", "halting"]


def most_converged(pool: Pool) -> Tensor:
    """Top-1 convergence: the restart with the least mean residual over its last iterations (EqR Eq. 20)."""
    return _least(_comparable(pool, pool.residual))


def most_converged_logits(pool: Pool) -> Tensor:
    """The published evaluator's score: the least mean change of the logits over the last iterations."""
    return _least(_comparable(pool, pool.logit_change))


def majority(pool: Pool) -> Tensor:
    """The most frequent whole answer; of equally frequent ones, the one seen first (EqR Eq. 21)."""
    return votes(pool.answers).argmax(dim=1)


def agreement_weighted(pool: Pool) -> Tensor:
    """Of the answer with the largest sum of 1/residual over the restarts that gave it, the most converged
    restart: a vote in which a restart counts the more, the better it has settled."""
    residual = _comparable(pool, pool.residual)
    weights = 1.0 / residual.nan_to_num(nan=torch.inf).clamp(min=1e-12)
    support = (_same(pool.answers) * weights[:, None]).sum(dim=2)
    best = support >= support.amax(dim=1, keepdim=True) * (1 - 1e-6)
    return _least(residual.masked_fill(~best, torch.inf))


def highest_halting_score(pool: Pool) -> Tensor:
    """The restart whose halting head is surest that its answer is right."""
    return _least(-pool.halt_logit)


SELECTIONS: Mapping[str, Callable[[Pool], Tensor]] = {
    "convergence": most_converged,
    "logit-convergence": most_converged_logits,
    "majority": majority,
    "agreement": agreement_weighted,
    "halting": highest_halting_score,
}
"""Each rule: a pool of `[problems, restarts]` → the chosen restart `[problems]`."""


def _comparable(pool: Pool, scores: Tensor) -> Tensor:
    """Scores of restarts that were ended by a halting rule, where there are any; the others get infinity.

    A restart that no rule ended has had all of its depth to come to rest, be it on a wrong answer: beside one
    that was ended early its low residual means nothing.
    """
    left_out = ~pool.halted & pool.halted.any(dim=1, keepdim=True)
    return scores.masked_fill(left_out, torch.inf)


def _least(scores: Tensor) -> Tensor:
    """Where each row is least, the first of equals; a restart without a score (NaN) comes last."""
    return scores.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf).argmin(dim=1)


def _same(answers: Tensor) -> Tensor:
    """Which restarts gave the same whole answer: `[problems, restarts, restarts]` bool."""
    return torch.stack([(answers == answers[:, [b]]).all(dim=-1) for b in range(answers.shape[1])], dim=1)


def votes(answers: Tensor) -> Tensor:
    """How many restarts gave the same answer: `[problems, restarts, tokens]` → `[problems, restarts]`."""
    return _same(answers).sum(dim=2)
