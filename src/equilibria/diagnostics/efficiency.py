"""What the same accuracy costs: function evaluations of two reasoners at a matched accuracy (EqR Fig. 7)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from equilibria.errors import DataError

Curve = Sequence[tuple[float, float]]
"""Points of (NFE, accuracy), in any order; NFE above 0."""


@dataclass(frozen=True)
class Matched:
    """Two curves at one accuracy.

    Attributes:
        target: the accuracy.
        baseline_nfe: what the baseline needs for it; infinite where it never gets there.
        other_nfe: what the other needs.
        ratio: baseline over other: how many times fewer evaluations the other takes; NaN where neither gets
            there.
    """

    target: float
    baseline_nfe: float
    other_nfe: float
    ratio: float


def evaluations_for(curve: Curve, target: float) -> float:
    """The least NFE at which a curve reaches an accuracy, infinite if it never does.

    Between two points accuracy is taken to grow linearly with the logarithm of NFE. Below the first point
    nothing is known: where that one has reached the target, its own NFE is the answer, and an upper bound.

    Raises:
        DataError: the curve has no points, or one without evaluations.
    """
    points = _in_order(curve)
    if points[0][1] >= target:
        return points[0][0]
    for (before, below), (after, reached) in pairwise(points):
        if reached > target:
            return before * (after / before) ** ((target - below) / (reached - below))
        if reached == target:
            return after
    return math.inf


def matched_accuracy(baseline: Curve, other: Curve, target: float | None = None) -> Matched:
    """How many times fewer evaluations `other` takes than `baseline` for the same accuracy (EqR Fig. 7).

    `target` is by default the best accuracy that both reach. Raises DataError as `evaluations_for` does.
    """
    if target is None:
        target = min(max(accuracy for _, accuracy in _in_order(curve)) for curve in (baseline, other))
    needed, enough = evaluations_for(baseline, target), evaluations_for(other, target)
    neither = math.isinf(needed) and math.isinf(enough)
    return Matched(target, needed, enough, math.nan if neither else needed / enough)


def _in_order(curve: Curve) -> list[tuple[float, float]]:
    points = sorted(curve)
    if not points:
        raise DataError("a curve of accuracy over evaluations needs at least one point")
    if not points[0][0] > 0:
        raise DataError(f"a point at {points[0][0]:g} evaluations: accuracy is measured from 1 evaluation on")
    return points
