"""Recurrence: whether the last states of a trajectory rest or go round, and which cells change their mind.

Iterating need not end in a fixed point for a reasoner to have settled: small recurrent sets are attractors
too (EqR Sec. 4.1). And on the way answers are revised: cells that were right are erased and found again (EqR
App. B Fig. 13).
"""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LAPS = 4
"""A period is looked for in so many laps of it: the last `LAPS` · p states."""
LONGEST = 8
"""Longest period looked for."""
REST = 0.02
"""States rest that scatter about their mean by less than this share of their own length. Path noise of the
published strength scatters them by about a hundredth."""
UNEXPLAINED = 0.1
"""Share of the variance of the states on a cycle that their phase may leave unexplained."""
SUSTAINED = 0.8
"""A cycle is one whose last lap is at least so wide as its first, and no wider than the inverse."""

States = Tensor | NDArray[np.float32]


@dataclass(frozen=True)
class Flips:
    """How answers changed along trajectories; `...` are the trajectories.

    Attributes:
        changes: int64 `[..., tokens]`, how often the answer of a cell changed.
        retried: bool `[..., tokens]`, cells that were right, then wrong, then right again ("erase then
            retry").
        last: int64 `[..., tokens]`, the place in the sequence from which on the answer stayed; 0: it never
            changed.
    """

    changes: Tensor
    retried: Tensor
    last: Tensor


def flips(answers: Tensor | NDArray[np.uint8], labels: Tensor) -> Flips:
    """Changes of `answers [..., steps, tokens]` (by iteration) against `labels [..., tokens]`.

    A cell without a label (0) is never right, and so never retried.
    """
    said = torch.as_tensor(answers)
    truth = torch.as_tensor(labels).to(said.device).unsqueeze(-2)
    right = (said == truth) & (truth != 0)
    changed = said[..., 1:, :] != said[..., :-1, :]
    erased = (right.cummax(dim=-2).values & ~right).cummax(dim=-2).values
    place = torch.arange(1, said.shape[-2], device=said.device)[:, None]
    last = (
        (changed * place).amax(dim=-2) if len(place) else torch.zeros_like(said[..., 0, :], dtype=torch.int64)
    )
    return Flips(changed.sum(dim=-2), (erased & right).any(dim=-2), last)


def candidates(answers: Tensor | NDArray[np.uint8]) -> dict[int, dict[int, int]]:
    """Cells that went back to a value they had left: by cell, each value and how often it was taken up.

    Args:
        answers: `[steps, tokens]` of one trajectory.

    Returns:
        for each such cell its values, the one taken up most often first; those taken up once only come last.
    """
    found: dict[int, dict[int, int]] = {}
    for cell, values in enumerate(np.asarray(answers).T.tolist()):
        taken = Counter(values[:1] + [b for a, b in pairwise(values) if a != b])
        if max(taken.values(), default=0) > 1:
            found[cell] = dict(taken.most_common())
    return found


def period(
    states: States, longest: int = LONGEST, *, rest: float = REST, unexplained: float = UNEXPLAINED
) -> int:
    """Period of the end of a trajectory `[steps, ...]`: 1 at rest, p ≥ 2 on a cycle, 0 neither.

    See `periods`.
    """
    whole = torch.as_tensor(states)[None]
    return int(periods(whole, longest, rest=rest, unexplained=unexplained))


def periods(
    states: States, longest: int = LONGEST, *, rest: float = REST, unexplained: float = UNEXPLAINED
) -> Tensor:
    """Periods of the ends of several trajectories: int64 `[trajectories]`; 1 at rest, p ≥ 2 on a cycle, 0
    neither.

    At rest, the last `LAPS` states stay together: their scatter about their mean is at most `rest` of their
    length. On a cycle of p states, each state returns a lap later: over the last `LAPS` laps, half the mean
    square of ‖z_k − z_{k−p}‖ is at most `unexplained` of the variance of all their states. Path noise of
    variance σ² adds σ² to both. The smallest such p counts; an orbit that closes only nearly, as on an
    invariant circle, has the period at which it nearly does. A spiral into or out of a fixed point also
    returns, but on another scale: the width of the laps must be sustained. A spiral slower than that cannot
    be told from a cycle, nor slow drift from rest.

    Args:
        states: `[trajectories, steps, ...]` consecutive states, the last of them last.
        longest: period looked for; bounded by a `LAPS`-th of the steps.
        rest: share of the states' length.
        unexplained: share of the variance.
    """
    flat = _flat(states)[:, -LAPS * longest :]
    found = torch.zeros(len(flat), dtype=torch.int64)
    if flat.shape[1] < 2:
        return found
    # Inner products as seen from the last state are all that a period depends on.
    away = flat - flat[:, -1:]
    products = (away @ away.mT).cpu()
    finite = products.isfinite().flatten(1).all(dim=1)
    total = _variance(products, 1)
    length = torch.linalg.vector_norm(flat[:, -1], dim=1).cpu()
    found[finite & (total.sqrt() <= rest * length)] = 1
    for p in range(2, min(longest, flat.shape[1] // LAPS) + 1):
        recurs = finite & (_unexplained(products, p) <= unexplained * _variance(products, p))
        recurs &= _sustained(products, p)
        found[recurs & (found == 0)] = p
    return found


def phases(states: States, period: int) -> Tensor:
    """Mean states of the phases of cycles of one period: `[trajectories, steps, ...]` → `[…, period,
    elements]`.

    Over the last laps, in float64; the last phase is that of the last state. Over a fixed point, period 1,
    it is
    the mean of the last states: path noise averages out.
    """
    return _by_phase(states, period).mean(dim=1)


def scatter(states: States, period: int) -> Tensor:
    """How far states stray from the mean of their phase: root mean square of ‖z − mean‖₂, `[trajectories]`.

    Args:
        states: `[trajectories, steps, ...]`, at least two laps.
        period: of all of them.
    """
    groups = _by_phase(states, period)
    squares = (groups - groups.mean(dim=1, keepdim=True)).square().sum(dim=(1, 2, 3))
    return (squares / ((groups.shape[1] - 1) * period)).sqrt()


def _flat(states: States) -> Tensor:
    return torch.as_tensor(states).flatten(2).double()


def _by_phase(states: States, period: int) -> Tensor:
    """The last laps: `[trajectories, laps, period, elements]`."""
    flat = _flat(states)
    laps = min(LAPS, flat.shape[1] // period)
    return flat[:, flat.shape[1] - laps * period :].unflatten(1, (laps, period))


def _variance(products: Tensor, p: int) -> Tensor:
    """Variance of the last `LAPS` · p states about their mean: `[trajectories]`."""
    count = min(products.shape[1], LAPS * p)
    return _squares(products[:, -count:, -count:]) / max(1, count - 1)


def _unexplained(products: Tensor, p: int) -> Tensor:
    """Of that what the phase does not explain: half the mean square of what changes in a lap."""
    window = products[:, -LAPS * p :, -LAPS * p :]
    own = window.diagonal(dim1=1, dim2=2)
    between = window.diagonal(offset=p, dim1=1, dim2=2)
    return (own[:, p:] + own[:, :-p] - 2 * between).mean(dim=1) / 2


def _squares(products: Tensor) -> Tensor:
    """Sum of squared distances of states from their mean, of their inner products: `[trajectories]`."""
    trace = products.diagonal(dim1=1, dim2=2).sum(dim=1)
    return (trace - products.sum(dim=(1, 2)) / products.shape[1]).clamp(min=0)


def _sustained(products: Tensor, p: int) -> Tensor:
    """Whether the last lap is about as wide as the first: bool `[trajectories]`."""
    window = products[:, -LAPS * p :, -LAPS * p :]
    first, last = _squares(window[:, :p, :p]), _squares(window[:, -p:, -p:])
    ratio = (last / first.clamp(min=1e-300)).sqrt()
    return (ratio >= SUSTAINED) & (ratio <= 1 / SUSTAINED)
