"""Learning how far answers can be trusted, and checking it on problems it was not learned from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from equilibria.diagnostics.metrics import exactly_right
from equilibria.errors import DataError
from equilibria.inference.budget import Budget
from equilibria.inference.calibration import Calibration, features
from equilibria.inference.engine import Engine, Watch
from equilibria.inference.queue import Attempt
from equilibria.tasks.interface import Problems

BINS = 15  # of equal width, as in Guo et al. 2017


@dataclass(frozen=True)
class Bin:
    """Answers of similar probability.

    Attributes:
        count: of them.
        predicted: their mean probability.
        right: the share that is right.
    """

    count: int
    predicted: float
    right: float


@dataclass(frozen=True)
class Reliability:
    """Whether probabilities mean what they say.

    Attributes:
        bins: by probability, empty ones left out.
        error: expected calibration error: |predicted − right|, averaged over all answers.
        problems: answers in all.
    """

    bins: tuple[Bin, ...]
    error: float
    problems: int


def reliability(probabilities: Sequence[float], right: Sequence[bool], bins: int = BINS) -> Reliability:
    """Sort answers by their probabilities into bins and look how many of each are right (Guo et al. 2017)."""
    predicted, actual = np.array(probabilities), np.array(right, dtype=np.float64)
    place = np.minimum((predicted * bins).astype(int), bins - 1)
    found = [
        Bin(int(mask.sum()), float(predicted[mask].mean()), float(actual[mask].mean()))
        for mask in (place == number for number in range(bins))
        if mask.any()
    ]
    error = sum(b.count * abs(b.predicted - b.right) for b in found) / max(1, len(predicted))
    return Reliability(tuple(found), error, len(predicted))


def calibrate(
    engine: Engine, problems: Problems, budget: Budget, *, seed: int = 0, watch: Watch | None = None
) -> tuple[Calibration, Reliability]:
    """Learn from one half of labelled problems and check on the other.

    Problems are run as `budget` says. An answer is looked at after each restart, with what was known then,
    since that is when a policy must decide; the check is of the final answers alone.

    Args:
        engine: runs the reasoner.
        problems: labelled, and like those that will be asked: a calibration holds for their kind.
        budget: how they are run.
        seed: of all draws.
        watch: told of the progress.

    Raises:
        DataError: there are no labels, too few problems, or one half has only right or only wrong answers.
    """
    if problems.labels is None:
        raise DataError("a calibration needs problems with answers")
    if len(problems) < 20:
        raise DataError(f"a calibration needs at least 20 problems, better 1,000; there are {len(problems)}")
    # By turns: a file may be sorted by difficulty.
    first = torch.arange(len(problems)) % 2 == 0
    rows: list[list[float]] = []
    right: list[bool] = []
    attempts: list[Attempt] = []
    for attempt, _ in engine.attempts(
        problems.inputs, budget, seed=seed, identifiers=problems.identifiers, watch=watch
    ):
        attempts.append(attempt)
        if not first[attempt.index]:
            continue
        for count in range(1, len(attempt.in_order) + 1):
            ended = attempt.in_order[:count]
            for answer in dict.fromkeys(restart.answer for restart in ended):
                rows.append(features(ended, answer))
                right.append(_right(attempt, answer, problems))
    try:
        learned = Calibration.fit(rows, right)
    except ValueError as error:
        raise DataError(
            f"nothing to learn a calibration from: of {int(first.sum())} problems {error}; "
            "use more or harder problems, or less depth"
        ) from None
    probabilities, truths = [], []
    for attempt in attempts:
        if not first[attempt.index]:
            found = {r.answer: learned.probability(attempt.in_order, r.answer) for r in attempt.in_order}
            best = max(found, key=lambda answer: found[answer])
            probabilities.append(found[best])
            truths.append(_right(attempt, best, problems))
    checked = reliability(probabilities, truths)
    about = {
        "problems": int(first.sum()),
        "breadth": budget.breadth,
        "nfe": budget.nfe,
        "seed": seed,
        "data_sha256": problems.fingerprint(),
        "checked_on": checked.problems,
        "expected_calibration_error": checked.error,
        "right": float(np.mean(truths)),
    }
    return replace(learned, about=about), checked


def _right(attempt: Attempt, answer: bytes, problems: Problems) -> bool:
    assert problems.labels is not None
    wanted = problems.labels[attempt.index]
    given = torch.frombuffer(bytearray(answer), dtype=torch.uint8)
    return bool(exactly_right(given, wanted))
