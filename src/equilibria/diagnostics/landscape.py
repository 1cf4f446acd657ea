"""What restarts of one problem settle on: attractors, basins, and the mode of the landscape (EqR Sec. 4).

The paper names four modes (Sec. 4.2, Fig. 6) and gives no thresholds. Ours, on the shares p_c and p_w of a
problem's restarts that settle right and settle wrong:

- a: p_c = 0. No correct attractor was reached, whatever p_w: neither depth nor breadth helps.
- b: p_c > 0 and p_w > `SPURIOUS`. Correct and spurious attractors coexist: breadth helps.
- c: p_c < `REACHABLE` and p_w at most `SPURIOUS`. The correct one is hard to reach: breadth helps, and depth.
- d: p_c at least `REACHABLE` and p_w at most `SPURIOUS`. Well aligned: depth refines, breadth is a reserve.

p_c is a share of finitely many restarts: a correct basin of mass m is missed by B of them with chance
(1 − m)ᴮ.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from equilibria.diagnostics.clusters import spanning_tree
from equilibria.diagnostics.ends import Ends

MODES = ("a", "b", "c", "d")
MEANING = {
    "a": "no correct attractor",
    "b": "correct and spurious attractors",
    "c": "correct but hard to reach",
    "d": "well aligned",
}
SPURIOUS = 0.05
"""Share of restarts that settle wrong beyond which spurious attractors count (mode b)."""
REACHABLE = 0.5
"""Share of restarts that settle right from which on the correct attractor is easy to reach (mode d)."""


def mode(p_correct: float, p_wrong: float) -> str:
    """Which of `MODES` a problem is in, by the shares of its restarts that settle right and wrong."""
    if p_correct <= 0:
        return "a"
    if p_wrong > SPURIOUS:
        return "b"
    return "c" if p_correct < REACHABLE else "d"


@dataclass(frozen=True)
class Attractor:
    """A set of states on which some restarts settled.

    Attributes:
        mass: share of all restarts of the problem, settled or not: an estimate of the basin's mass.
        restarts: how many they are.
        period: 1 for a fixed point, p for a cycle of p states.
        residual: median over these restarts of the last `‖z_{k+1} − z_k‖₂`.
        right: whether it decodes to a right answer: most of its restarts do.
        answer: its tokens, what most of its restarts say.
        agreement: share of its restarts that say so.
        members: which restarts, by their place.
        radius: states nearer than this, directly or through others, were taken for one, in ‖z‖₂.
        stable: share of copies, moved a little, that come back; None where nobody looked (`stability`).
    """

    mass: float
    restarts: int
    period: int
    residual: float
    right: bool
    answer: tuple[int, ...]
    agreement: float
    members: tuple[int, ...]
    radius: float
    stable: float | None = None


@dataclass(frozen=True)
class Landscape:
    """The attractors that restarts of a problem reached.

    Attributes:
        problem: its place.
        mode: one of `MODES`.
        p_correct: share of restarts that settled on a right answer.
        p_wrong: share that settled on a wrong one.
        p_unsettled: share that did not settle.
        right: share right at the end, settled or not: what EqR calls accuracy.
        attractors: by mass, the greatest first.
        answers: different answers among settled restarts. Two attractors may decode alike.
        restarts: of the problem.
    """

    problem: int
    mode: str
    p_correct: float
    p_wrong: float
    p_unsettled: float
    right: float
    attractors: tuple[Attractor, ...]
    answers: int
    restarts: int


def attractors(states: Tensor, settled: Tensor, radius: float | None = None) -> Tensor:
    """Which attractor each settled state is on: int64 `[restarts]`, the largest 0; −1: not settled.

    Single linkage: states nearer than the radius share an attractor, and so do chains of them. Chains are
    wanted: what restarts lack of settling points along the slowest direction, and may be long.

    Args:
        states: `[restarts, ...]`.
        settled: bool `[restarts]`.
        radius: in ‖z‖₂, such as 2 · residual / (1 − contraction) (EqR Eq. 5, from either side); None: in the
            widest gap of the distances, the nearest two taken for one. How far single states may be from
            their attractor is not known here; `landscape` knows it of `Ends`.
    """
    rows = settled.nonzero().squeeze(1)
    labels = torch.full((len(settled),), -1, dtype=torch.int64)
    if len(rows):
        chosen = states[rows].flatten(1).double()
        tree = spanning_tree(torch.cdist(chosen, chosen))
        scale = float(torch.linalg.vector_norm(chosen, dim=1).median())
        if radius is None:
            radius = tree.widest_gap(float(tree.lengths.min()) if len(rows) > 1 else 0.0, scale)
        labels[rows] = tree.groups(radius)
    return labels


def landscape(
    ends: Ends, right: Tensor, answers: Tensor, *, problem: int = 0, radius: float | None = None
) -> Landscape:
    """The landscape of one problem, from where its restarts ended.

    Cycles are compared as wholes, at the shift of phase at which they agree best; those of different periods
    are different attractors.

    Args:
        ends: of its restarts.
        right: bool `[restarts]`: whether the answer at the end is right, as labels or a checker say.
        answers: `[restarts, tokens]` at the end.
        problem: its place, to be told apart.
        radius: as in `attractors`; None: between how far restarts stray while they are settled and the size
            of states.
    """
    count = len(right)
    rows = ends.settled.nonzero().squeeze(1)
    right, answers = right.cpu(), answers.cpu()
    found: list[Attractor] = []
    for period in ends.period[rows].unique().tolist():
        alike = rows[ends.period[rows] == period]
        tree = spanning_tree(ends.distances(alike))
        reach = tree.widest_gap(ends.uncertainty(alike), ends.size(alike)) if radius is None else radius
        labels = tree.groups(reach)
        found += [
            _attractor(ends, alike[labels == label], right, answers, count, reach)
            for label in range(int(labels.max()) + 1)
        ]
    said = {tuple(answer) for answer in answers[rows].tolist()}
    p_correct = int((right & ends.settled).sum()) / count
    p_wrong = int((~right & ends.settled).sum()) / count
    return Landscape(
        problem=problem,
        mode=mode(p_correct, p_wrong),
        p_correct=p_correct,
        p_wrong=p_wrong,
        p_unsettled=1 - len(rows) / count,
        right=right.double().mean().item(),
        attractors=tuple(sorted(found, key=lambda each: -each.mass)),
        answers=len(said),
        restarts=count,
    )


def _attractor(
    ends: Ends, members: Tensor, right: Tensor, answers: Tensor, count: int, radius: float
) -> Attractor:
    said, times = answers[members].unique(dim=0, return_counts=True)
    return Attractor(
        mass=len(members) / count,
        restarts=len(members),
        period=int(ends.period[members[0]]),
        residual=float(ends.residual[members].median()),
        right=bool(right[members].double().mean() > 0.5),
        answer=tuple(said[times.argmax()].tolist()),
        agreement=int(times.max()) / len(members),
        members=tuple(members.tolist()),
        radius=radius,
    )


def shares(landscapes: Iterable[Landscape]) -> dict[str, float]:
    """Share of problems in each mode, by its letter; all of `MODES` are named."""
    modes = [each.mode for each in landscapes]
    return {name: modes.count(name) / len(modes) if modes else float("nan") for name in MODES}


def basin_masses(landscape: Landscape, right: bool) -> list[float]:
    """Masses of the attractors that decode right, or of those that decode wrong; the greatest first."""
    return [each.mass for each in landscape.attractors if each.right == right]
