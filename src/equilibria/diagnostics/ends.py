"""Where trajectories ended, and whether they had settled: on a fixed point, or on a small recurrent set."""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from equilibria.diagnostics.oscillation import LAPS, LONGEST, REST, States, periods, phases, scatter
from equilibria.dynamics.solvers import Map
from equilibria.errors import DataError
from equilibria.inference.recording import Recording

SLOWEST = 0.98
"""No contraction slower than this is believed of two steps alone."""
AGREE = 0.5
"""Cosine beyond which two steps go the same way."""
CONFIDENT = 0.9
"""Quantile of the restarts' uncertainties that stands for all of them."""
CHUNK = 1 << 24
"""Numbers of states that are looked at together."""


@dataclass(frozen=True)
class Ends:
    """The ends of the restarts of one problem.

    Attributes:
        period: int64 `[restarts]`: 1 at rest, p ≥ 2 on a cycle, 0: not settled.
        residual: `[restarts]` last `‖z_{k+1} − z_k‖₂`.
        remaining: `[restarts]` how far from its attractor each may be, in ‖z‖₂: how much it strays there
            (path noise), and what its last steps leave to go.
        orbits: of each restart the states it settled on, `[period, elements]` float64, averaged over the last
            laps: noise averages out, and a cycle is known whatever its phase. Of an unsettled one the last
            state.
    """

    period: Tensor
    residual: Tensor
    remaining: Tensor
    orbits: tuple[Tensor, ...]

    @property
    def settled(self) -> Tensor:
        """Bool `[restarts]`: at rest or on a cycle."""
        return self.period > 0

    @property
    def states(self) -> Tensor:
        """`[restarts, elements]`: the last state of each, noise averaged out."""
        return torch.stack([orbit[-1] for orbit in self.orbits])

    def rows(self, index: Tensor) -> "Ends":
        """Some of the restarts, in the order of `index`."""
        orbits = tuple(self.orbits[row] for row in index.tolist())
        return Ends(self.period[index], self.residual[index], self.remaining[index], orbits)

    def beside(self, other: "Ends") -> "Ends":
        """These restarts, and after them others of the same problem."""
        return Ends(
            torch.cat([self.period, other.period]),
            torch.cat([self.residual, other.residual]),
            torch.cat([self.remaining, other.remaining]),
            self.orbits + other.orbits,
        )

    def distances(self, rows: Tensor) -> Tensor:
        """`[rows, rows]` distances between the orbits of some restarts.

        Of two cycles: the root mean square distance of their states, at the shift of phase that makes it
        least. Infinite where periods differ, and where one has not settled.
        """
        apart = torch.full((len(rows), len(rows)), math.inf, dtype=torch.float64)
        for length in self.period[rows].unique().tolist():
            if not length:
                continue
            same = (self.period[rows] == length).nonzero().squeeze(1)
            orbits = torch.stack([self.orbits[row] for row in rows[same].tolist()])
            least = _apart(orbits, orbits)
            for shift in range(1, length):
                least = torch.minimum(least, _apart(orbits, orbits.roll(shift, dims=1)))
            apart[same[:, None], same] = least
        return apart

    def uncertainty(self, rows: Tensor) -> float:
        """Distance that two of these ends may have though they are on one attractor."""
        return 2 * float(torch.quantile(self.remaining[rows].double(), CONFIDENT))

    def size(self, rows: Tensor) -> float:
        """Typical length of these states."""
        return float(torch.stack([self.orbits[row].norm(dim=1).mean() for row in rows.tolist()]).median())


def settled_ends(
    states: States, *, longest: int = LONGEST, rest: float = REST, lengths: Tensor | None = None
) -> Ends:
    """Whether and where each of several trajectories settled.

    A large residual alone does not say that one has not: on a limit cycle it stays large.

    Args:
        states: `[restarts, steps, ...]` consecutive states; the last `LAPS` · `longest` are looked at.
        longest: period looked for, with as many laps as are there; see `oscillation.period`.
        rest: share of their length by which states at rest may scatter.
        lengths: `[restarts]`: how many of the steps are of the trajectory, for those that ended earlier.
    """
    count, steps = len(states), states.shape[1]
    if lengths is None:
        lengths = torch.full((count,), steps)
    found = torch.zeros(count, dtype=torch.int64)
    residual, remaining = torch.full((count,), math.nan), torch.full((count,), math.nan)
    orbits: list[Tensor] = [torch.empty(0)] * count
    at_once = max(1, CHUNK // max(1, math.prod(states.shape[2:]) * LAPS * longest))
    for stop in lengths.unique().tolist():
        for rows in (lengths == stop).nonzero().squeeze(1).split(at_once):
            # A view of a mapped file, of which only this is read.
            tail = torch.as_tensor(states[rows.tolist(), max(0, stop - LAPS * longest - 1) : stop]).cpu()
            found[rows] = periods(tail, longest, rest=rest)
            residual[rows] = _last_step(tail)
            for lap in found[rows].unique().tolist():
                same = found[rows] == lap
                remaining[rows[same]] = _remaining(tail[same], max(1, lap)).to(remaining)
                ends = phases(tail[same], lap) if lap else tail[same][:, -1:].flatten(2).double()
                for row, orbit in zip(rows[same].tolist(), ends, strict=True):
                    orbits[row] = orbit
    return Ends(found, residual, remaining, tuple(orbits))


@torch.no_grad()
def followed_ends(f: Map, states: Tensor, steps: int, *, longest: int = LONGEST, rest: float = REST) -> Ends:
    """Where trajectories settle that go on from `states [restarts, ...]` by so many iterations of f.

    Args:
        f: of all of them at once; for a reasoner, `contraction.noise_free(..., copies=restarts)`.
        states: as they stand.
        steps: at least `LAPS`, and `LAPS` laps of any cycle that is to be found.
        longest, rest: as in `settled_ends`.
    """
    kept = deque([states], maxlen=LAPS * longest + 1)
    for _ in range(steps):
        kept.append(f(kept[-1]))
    return settled_ends(torch.stack(list(kept), dim=1), longest=longest, rest=rest)


def recorded_ends(recording: Recording, *, longest: int = LONGEST, rest: float = REST) -> Ends:
    """`settled_ends` of a recording, all its trajectories in its order.

    Raises:
        DataError: it has no states of consecutive iterations.
    """
    if recording.states is None or len(recording.frames) < 2:
        raise DataError("no states were recorded; record them at every iteration: Record(states=1)")
    spacing = np.diff(recording.frames)
    if (spacing != 1).any():
        raise DataError(
            f"states were recorded at every {int(spacing.max())}. iteration only, and whether a trajectory "
            "settled shows in consecutive ones; record fewer trajectories, or give the recorder more memory"
        )
    lengths = torch.from_numpy(recording.length - int(recording.frames[0]) + 1)
    return settled_ends(recording.states, longest=longest, rest=rest, lengths=lengths)


def _apart(first: Tensor, second: Tensor) -> Tensor:
    """Root mean square distance over the phases of `[n, phases, elements]` orbits: `[n, n]`."""
    return torch.cdist(first.flatten(1), second.flatten(1)) / math.sqrt(first.shape[1])


def _last_step(tail: Tensor) -> Tensor:
    if tail.shape[1] < 2:
        return torch.full((len(tail),), math.nan)
    return torch.linalg.vector_norm((tail[:, -1] - tail[:, -2]).flatten(1).float(), dim=1)


def _remaining(tail: Tensor, lap: int) -> Tensor:
    """How far from its attractor each end may be: as far as it strays, or as it has to go; `[trajectories]`.

    Steps that agree in their direction are a geometric approach: were they to shrink by L a lap for good,
    there would be step · L / (1 − L) to go (EqR Eq. 5). Steps of path noise do not agree: the next one
    undoes half of the last.
    """
    flat = tail.flatten(2).double()
    if flat.shape[1] <= 2 * lap:
        return torch.linalg.vector_norm(flat[:, -1] - flat[:, max(0, flat.shape[1] - 1 - lap)], dim=1)
    now, before = flat[:, -1] - flat[:, -1 - lap], flat[:, -1 - lap] - flat[:, -1 - 2 * lap]
    step, earlier = torch.linalg.vector_norm(now, dim=1), torch.linalg.vector_norm(before, dim=1)
    agree = (now * before).sum(dim=1) > AGREE * step * earlier
    contraction = (step / earlier.clamp(min=1e-300)).clamp(max=SLOWEST)
    to_go = step * contraction / (1 - contraction)
    return scatter(tail, lap) + torch.where(agree, to_go, 0.0)
