"""The sections of a diagnosis for which a few problems are looked at closely, with all of their states."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from equilibria.diagnostics.diagnosis import Basin, BasinRow, CycleRow, Cycles, Path, Picture, ProblemRow
from equilibria.diagnostics.ends import Ends, recorded_ends
from equilibria.diagnostics.landscape import MODES, landscape
from equilibria.diagnostics.oscillation import flips
from equilibria.diagnostics.perturbation import stability
from equilibria.diagnostics.projection import principal_plane
from equilibria.diagnostics.sections import Pass
from equilibria.dynamics.halting import FixedDepth
from equilibria.errors import DataError
from equilibria.inference.engine import Engine
from equilibria.inference.recording import Record, Recorder, Recording
from equilibria.tasks.interface import Problems

EACH = 4
"""Examples of a mode, at most."""
LEAST = 4
"""Examples that there should be room for, if with fewer restarts."""
MEMORY = 1 << 29
"""Bytes that the states of all examples may take; the recorder keeps so many in a temporary file."""
LISTED = 12
"""Cycles that are listed."""
COPIES = 8
"""Of the states of an attractor, that are moved to see whether they come back."""


@dataclass(frozen=True)
class Example:
    """One problem whose restarts were run again to the full depth, and kept.

    Attributes:
        row: what all of its restarts came to.
        recording: of them, with all states.
        right: bool `[restarts]`, at the full depth.
        ends: where they settled.
    """

    row: ProblemRow
    recording: Recording
    right: Tensor
    ends: Ends


def room(breadth: int, depth: int, elements: int) -> tuple[int, int]:
    """How many problems, and how many restarts of each, fit the memory with all their states."""
    one = 4 * (depth + 1) * elements
    restarts = max(2, min(breadth, MEMORY // (one * LEAST)))
    return max(1, MEMORY // (one * restarts)), restarts


def chosen(rows: Sequence[ProblemRow], fit: int) -> list[ProblemRow]:
    """The first problems of every mode, turn by turn, `fit` of them at most."""
    by_mode = [[row for row in rows if row.mode == letter][:EACH] for letter in MODES]
    turns = [of[turn] for turn in range(EACH) for of in by_mode if turn < len(of)]
    return sorted(turns[:fit], key=lambda row: (row.mode, row.problem))


def run_again(engine: Engine, ran: Pass, all_rows: Sequence[ProblemRow], seed: int) -> list[Example]:
    """The restarts of a few problems once more, on their very paths, but none leaves early.

    Draws depend on seed, problem and restart alone, so these are the same trajectories. Where states are so
    large that they do not fit, only the first restarts are run.
    """
    breadth, depth = ran.last.residual.shape[1], ran.depths[-1]
    fit, restarts = room(breadth, depth, ran.elements)
    rows = chosen(all_rows, fit)
    few = ran.problems[torch.tensor([row.problem for row in rows])]
    needed = 4 * len(rows) * restarts * (depth + 1) * ran.elements
    recorder = Recorder(Record(states=1, memory=needed))
    (pool,) = engine.pools(
        few.inputs,
        depths=(depth,),
        breadth=restarts,
        halting=FixedDepth(),
        seed=seed,
        identifiers=few.identifiers,
        recorders=(recorder,),
    )
    recording, found = recorder.recording(), list[Example]()
    right = Pass(ran.task, few, (depth,), (pool,), recording, ran.elements, ran.tolerance).right(pool)
    for place, row in enumerate(rows):
        own = recording.of(place)
        found.append(Example(row, own, right[place], recorded_ends(own)))
    return found


def basins(engine: Engine, problems: Problems, examples: Sequence[Example]) -> tuple[BasinRow, ...]:
    """The attractors of each, told apart by their states, and whether copies that are moved come back."""
    found: list[BasinRow] = []
    for each in examples:
        answers = torch.from_numpy(each.recording.answers[:, -1])
        seen = landscape(each.ends, each.right, answers, problem=each.row.problem)
        place = each.row.problem
        names = None if problems.identifiers is None else problems.identifiers[place]
        with suppress(DataError):  # the solver remembers earlier states: there is nothing to move
            seen = stability(
                engine.reasoner,
                problems.inputs[place],
                seen,
                each.ends,
                copies=COPIES,
                identifiers=names,
                solver=engine.solver,
            )
        parts = tuple(Basin(a.mass, a.right, a.period, a.agreement, a.stable) for a in seen.attractors)
        found.append(BasinRow(each.row.problem, each.row.mode, parts, seen.p_unsettled))
    return tuple(found)


def cycles(examples: Sequence[Example], labels: Tensor, noise: bool) -> Cycles:
    """How their restarts end, and whether cells are erased on the way.

    Args:
        examples: those that were run again.
        labels: `[problems, tokens]`, of all problems.
        noise: whether there is path noise.
    """
    ended: list[int] = []
    erased: list[bool] = []
    listed: list[CycleRow] = []
    for each in examples:
        answers = each.recording.answers
        retried = flips(answers, labels[each.row.problem].expand(len(answers), -1)).retried
        erased += retried.any(dim=-1).tolist()
        for restart, period in enumerate(each.ends.period.tolist()):
            ended.append(period)
            if period > 1:
                lap = answers[restart, -(period + 1) :]
                cells = int((lap != lap[:1]).any(axis=0).sum())
                listed.append(CycleRow(each.row.problem, restart, period, cells))
    count = len(ended)
    resting, wandering = (sum(period == kind for period in ended) / count for kind in (1, 0))
    return Cycles(
        restarts=count,
        resting=resting,
        cycling=1 - resting - wandering if listed else 0.0,
        wandering=wandering,
        examples=tuple(listed[:LISTED]),
        erased=sum(erased) / count,
        noise=noise,
    )


def pictures(examples: Sequence[Example]) -> tuple[Picture, ...]:
    """The first example of each mode on the plane of most variance of its states."""
    first = {each.row.mode: each for each in reversed(examples)}
    return tuple(_picture(first[letter]) for letter in MODES if letter in first)


def _picture(each: Example) -> Picture:
    assert each.recording.states is not None
    restarts, frames = each.recording.states.shape[:2]
    plane, explained = principal_plane(each.recording.states.reshape(restarts * frames, -1))
    scaled = (plane / max(float(np.abs(plane).max()), 1e-300)).reshape(restarts, frames, 2)
    ends = [
        "unsettled" if period == 0 else "right" if right else "wrong"
        for period, right in zip(each.ends.period.tolist(), each.right.tolist(), strict=True)
    ]
    paths = tuple(
        Path(tuple((round(x, 4), round(y, 4)) for x, y in points), end)
        for points, end in zip(scaled.tolist(), ends, strict=True)
    )
    return Picture(each.row.mode, each.row.problem, explained, paths)
