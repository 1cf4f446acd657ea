"""What each further iteration is worth: depth utilization (FPRM Sec. 4.4), equilibrium internalization
(Attractor Models Sec. 4.3)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from equilibria.diagnostics.metrics import exactly_right
from equilibria.errors import DataError
from equilibria.inference.recording import Recording

POINT = 0.01  # of accuracy
ROUNDING = 1e-9  # so that 0.8 is within 0.1 of 0.9


@dataclass(frozen=True)
class Utilization:
    """How far added depth still adds accuracy.

    Attributes:
        saturation: the least depth whose accuracy is within a point of the best.
        best: the best accuracy at any depth.
        trained: the depth of training; None where it is unknown.
        gain: the best accuracy beyond that depth less the accuracy at it (at the greatest measured depth that
            does not exceed it); NaN where either was not measured.
    """

    saturation: int
    best: float
    trained: int | None
    gain: float


def depth_utilization(
    curve: Sequence[tuple[int, float]], trained: int | None = None, within: float = POINT
) -> Utilization:
    """Add computation and see how long it helps, up to the depth of training and beyond (FPRM Sec. 4.4).

    Where a looped reasoner does not use its depth, accuracy saturates early, and the iterations after that
    could be left out.

    Args:
        curve: points of (depth, accuracy in [0, 1]), in any order.
        trained: the depth of training.
        within: how much less than the best accuracy is as good.

    Raises:
        DataError: there are no points.
    """
    points = sorted(curve)
    if not points:
        raise DataError("depth utilization needs the accuracy at one depth at least")
    best = max(accuracy for _, accuracy in points)
    saturation = next(depth for depth, accuracy in points if accuracy >= best - within - ROUNDING)
    gain = math.nan
    if trained is not None:
        until = [accuracy for depth, accuracy in points if depth <= trained]
        beyond = [accuracy for depth, accuracy in points if depth > trained]
        gain = max(beyond) - until[-1] if until and beyond else math.nan
    return Utilization(saturation, best, trained, gain)


@dataclass(frozen=True)
class Internalization:
    """How much of the answer at rest is in the proposal that iteration starts from.

    Attributes:
        proposal: quality at T = 0: the initial state, decoded.
        rest: quality of the settled state.
        share: proposal over rest; 1 where no solver is needed, NaN where the quality at rest is 0.
        iterations: the least T whose quality is within a point of that at rest; None if none is.
    """

    proposal: float
    rest: float
    share: float
    iterations: int | None


def internalization(qualities: Sequence[float], rest: float, within: float = POINT) -> Internalization:
    """How far training has moved the work of the solver into its starting point (Attractor Models Sec. 4.3).

    It means something where the initial state is predicted from the problem: a fixed or random one knows
    nothing of the answer, and its share is what guessing is worth.

    Args:
        qualities: after T = 0, 1, 2, … iterations, higher being better: see `qualities_of`.
        rest: the quality of the settled state.
        within: how much less than that is as good.

    Raises:
        DataError: there is no quality at T = 0.
    """
    if not qualities:
        raise DataError("internalization needs the quality of the proposal: give qualities from T = 0 on")
    soon = (count for count, quality in enumerate(qualities) if quality >= rest - within - ROUNDING)
    share = qualities[0] / rest if rest else math.nan
    return Internalization(qualities[0], rest, share, next(soon, None))


def qualities_of(recording: Recording, labels: Tensor) -> list[float]:
    """Exact accuracy of all recorded trajectories after T = 0, 1, 2, … iterations.

    `labels` `[problems, tokens]` are those of the call that was recorded. One that ended early counts on as
    it ended.
    """
    wanted = labels[torch.from_numpy(recording.problem)][:, None]
    return exactly_right(torch.from_numpy(recording.answers), wanted).double().mean(dim=0).tolist()
