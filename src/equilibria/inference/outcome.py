"""What the engine says of a problem."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from equilibria.inference.budget import Budget
from equilibria.inference.calibration import Calibration
from equilibria.inference.pool import Pool
from equilibria.inference.queue import Attempt
from equilibria.inference.selection import SELECTIONS


@dataclass(frozen=True)
class Outcome:
    """What the engine says of one problem.

    Of a race, and where a checker ends a problem, the answer does not depend on what else runs, but what
    other restarts had spent by then does: `nfe`, `restarts`, `agreement`.

    Attributes:
        index: the problem's place in the call.
        tokens: `[tokens]` the selected restart's answer; zeros where the call was stopped before any ran.
        settled: whether that restart came to rest, or a halting rule ended it.
        halted: whether a halting rule ended it.
        residual: its mean `‖z_{k+1} − z_k‖₂` over the last three iterations.
        relative_residual: the same as a root-mean-square per state element.
        halting_score: probability the halting head gives the answer; NaN where there is no head.
        nfe: applications of f for this problem, summed over its restarts.
        restarts: how many were run.
        agreement: share of restarts with this very answer.
        verified: whether the task's own checker passed it; None where it was not asked.
        confidence: probability that the answer is right; NaN without a calibration.
        complete: False where the call was stopped before the problem's budget was spent.
    """

    index: int
    tokens: Tensor
    settled: bool
    halted: bool
    residual: float
    relative_residual: float
    halting_score: float
    nfe: int
    restarts: int
    agreement: float
    verified: bool | None
    confidence: float
    complete: bool


def outcome_of(
    attempt: Attempt, complete: bool, budget: Budget, verified: bool, calibration: Calibration | None
) -> Outcome:
    """The answer of the restart that is selected, and what stands beside it."""
    numbers = sorted(attempt.ended)
    ended = [attempt.ended[number] for number in numbers]
    if not ended:
        nothing = torch.zeros_like(attempt.tokens)
        nan, failed = math.nan, False if verified else None
        return Outcome(attempt.index, nothing, False, False, nan, nan, nan, 0, 0, nan, failed, nan, complete)
    places = budget.restarts.candidates(ended)
    if verified:
        passed = [place for place, restart in enumerate(ended) if restart.accepted]
        # The policy's own first: which losers of a race pass depends on when they were cut off. And of
        # several the first: which others had begun depends on what else ran.
        places = [place for place in places if place in passed][:1] or passed[:1] or places
    if len(places) > 1:
        pool = Pool.of([[attempt.ends[numbers[place]] for place in places]])
        places = [places[int(SELECTIONS[budget.selection](pool))]]
    chosen = ended[places[0]]
    return Outcome(
        index=attempt.index,
        tokens=attempt.ends[chosen.number].answers[-1],
        settled=chosen.settled,
        halted=chosen.halted,
        residual=chosen.residual,
        relative_residual=chosen.relative_residual,
        halting_score=1.0 / (1.0 + math.exp(-max(chosen.halt_logit, -500.0))),  # NaN stays NaN
        nfe=sum(restart.evaluations for restart in ended),
        restarts=len(ended),
        agreement=sum(restart.answer == chosen.answer for restart in ended) / len(ended),
        verified=chosen.accepted if verified else None,
        confidence=math.nan if calibration is None else calibration.probability(ended, chosen.answer),
        complete=complete,
    )
