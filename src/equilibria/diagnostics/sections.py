"""The sections of a diagnosis for which all restarts of all problems count: pure functions of one pass."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equilibria.diagnostics import adaptivity, breadth
from equilibria.diagnostics.coupling import coupling
from equilibria.diagnostics.depth import depth_utilization, internalization, qualities_of
from equilibria.diagnostics.diagnosis import (
    Accuracy,
    Band,
    Breadth,
    CouplingBin,
    CouplingSection,
    Curve,
    DepthPoint,
    Difficulty,
    DifficultyGroup,
    Head,
    HeadBin,
    Interval,
    Labels,
    Mode,
    ProblemRow,
    Residuals,
    Stopping,
)
from equilibria.diagnostics.efficiency import matched_accuracy
from equilibria.diagnostics.landscape import MODES, mode
from equilibria.diagnostics.metrics import auroc, averaged, exactly_right, interval
from equilibria.diagnostics.ranks import equal_groups
from equilibria.diagnostics.stability import path_independence_at
from equilibria.diagnostics.validity import valid_answers
from equilibria.inference.pool import Pool
from equilibria.inference.recording import Recording
from equilibria.tasks.interface import Problems, Task

EXAMPLES = 4
"""Problems named for each mode."""
HALF_A_POINT = 0.005
SURENESS = tuple(range(-2, 9))
"""Halting logits at which the head might stop a trajectory."""
ROUGHNESS = (1.0, 0.7, 0.5, 0.3, 0.2, 0.14, 0.1, 0.07, 0.05, 0.03, 0.02)
"""Residuals per state element at which rest might stop one; those under the tolerance are left out."""


@dataclass(frozen=True)
class Pass:
    """One pass of the engine over all problems, looked at in several depths.

    Attributes:
        task, problems: what was asked, with labels.
        depths: ascending; the last is the full depth.
        pools: the ends of all restarts at each of them.
        recording: of all trajectories, without states.
        elements: of a state.
        tolerance: see `Setting.tolerance`.
    """

    task: Task
    problems: Problems
    depths: tuple[int, ...]
    pools: tuple[Pool, ...]
    recording: Recording
    elements: int
    tolerance: float

    def right(self, pool: Pool) -> Tensor:
        """Bool `[problems, restarts]`: the label, or another answer that the task says is right."""
        assert self.problems.labels is not None
        exact = exactly_right(pool.answers, self.problems.labels[:, None])
        valid = valid_answers(self.task, self.problems.inputs, pool.answers)
        return exact if valid is None else exact | valid

    def settled(self, pool: Pool) -> Tensor:
        """Bool `[problems, restarts]`: at rest by the tolerance, or ended by the halting rule."""
        return pool.halted | (pool.residual <= self.tolerance * math.sqrt(self.elements))

    @property
    def last(self) -> Pool:
        """At the full depth."""
        return self.pools[-1]

    def right_by_iteration(self) -> NDArray[np.bool_]:
        """`[problems, restarts, depth + 1]`; one that ended early stays as it ended."""
        assert self.problems.labels is not None
        count, breadth_, tokens = self.last.answers.shape
        answers = torch.from_numpy(np.asarray(self.recording.answers)).view(count, -1, tokens)
        right = exactly_right(answers, self.problems.labels[:, None])
        valid = valid_answers(self.task, self.problems.inputs, answers)
        return (right if valid is None else right | valid).view(count, breadth_, -1).numpy()


def accuracy(ran: Pass) -> Accuracy:
    """See `Accuracy`."""
    found: list[DepthPoint] = []
    rights = [ran.right(pool) for pool in ran.pools]
    for depth, pool, right in zip(ran.depths, ran.pools, rights, strict=True):
        share = right.double().mean().item()
        nfe, settled = pool.evaluations.double().mean().item(), ran.settled(pool).double().mean().item()
        found.append(DepthPoint(depth, share, interval(share, len(right)), nfe, settled))
    last, before = (averaged(rights[place]) for place in (-1, max(0, len(rights) - 2)))
    gain, bounds = paired(last - before)
    wrong, settled = ~rights[-1], ran.settled(ran.last)
    best = max(point.accuracy for point in found)
    assert ran.problems.labels is not None
    start = internalization(qualities_of(ran.recording, ran.problems.labels), found[-1].accuracy)
    return Accuracy(
        by_depth=tuple(found),
        before=found[max(0, len(found) - 2)].depth,
        gain=gain,
        gain_ci95=bounds,
        still_moving=(wrong & ~settled).double().mean().item(),
        resting_wrong=(wrong & settled).double().mean().item(),
        best_depth=next(point.depth for point in found if point.accuracy == best),
        saturation=depth_utilization([(point.depth, point.accuracy) for point in found]).saturation,
        proposal=start.proposal,
        internalized=start.share,
    )


def selection(ran: Pass, right: Tensor) -> Breadth:
    """See `Breadth`."""
    pool, most = ran.last, right.shape[1]
    counts = doublings(most)
    curves = breadth.curves(pool, right, counts)
    blind = [rule for rule in ("convergence", "majority", "halting", "first-to-settle") if rule in curves]
    best = max(blind, key=lambda rule: curves[rule][-1])
    of = {rule: breadth.expected_accuracy(pool, right, rule, most) for rule in {*blind, "average", "oracle"}}
    gain, gain_bounds = paired(of[best] - of["average"])
    unselected, unselected_bounds = paired(of["oracle"] - of[best])
    apart, apart_bounds = paired(of["convergence"] - of["majority"])
    return Breadth(
        counts=counts,
        curves={rule: tuple(curve) for rule, curve in curves.items()},
        best=best,
        single=curves["average"][-1],
        accuracy=curves[best][-1],
        gain=gain,
        gain_ci95=gain_bounds,
        enough=next(
            n
            for n, value in zip(counts, curves[best], strict=True)
            if value >= curves[best][-1] - HALF_A_POINT
        ),
        unselected=unselected,
        unselected_ci95=unselected_bounds,
        convergence_over_majority=apart,
        convergence_over_majority_ci95=apart_bounds,
    )


def residual_coupling(ran: Pass, right: Tensor) -> CouplingSection:
    """See `CouplingSection`."""
    found = coupling(ran.last.residual / math.sqrt(ran.elements), right)
    bins = tuple(CouplingBin(b.count, b.mean_residual, b.right, b.ci95) for b in found.bins)
    return CouplingSection(found.auroc, found.rank_correlation, bins)


def problem_rows(ran: Pass, right: Tensor, best: str) -> tuple[ProblemRow, ...]:
    """One row a problem."""
    assert ran.problems.labels is not None
    pool, settled = ran.last, ran.settled(ran.last)
    chosen = breadth.expected_accuracy(pool, right, best, right.shape[1])
    found: list[ProblemRow] = []
    for place in range(len(ran.problems)):
        rests = settled[place]
        said = Counter(row.numpy().tobytes() for row in pool.answers[place][rests])
        p_correct = (right[place] & rests).double().mean().item()
        p_wrong = (~right[place] & rests).double().mean().item()
        found.append(
            ProblemRow(
                problem=place,
                source=ran.problems.sources[place],
                mode=mode(p_correct, p_wrong),
                p_correct=p_correct,
                p_wrong=p_wrong,
                p_unsettled=1 - rests.double().mean().item(),
                answers=len(said),
                iterations=pool.evaluations[place].double().median().item(),
                chosen=chosen[place].item(),
                keeps_rules=_keeps_rules(ran, place, said),
            )
        )
    return tuple(found)


def _keeps_rules(ran: Pass, place: int, said: Counter[bytes]) -> bool | None:
    """Whether the commonest answer besides the label keeps the rules; None: none, or nobody knows them."""
    if not ran.task.rules:
        return None
    given, labels = ran.problems.inputs[place], ran.problems.labels
    assert labels is not None
    for answer, _ in said.most_common():
        tokens = torch.frombuffer(bytearray(answer), dtype=torch.uint8)
        if exactly_right(tokens, labels[place]):
            continue
        asked = tokens.masked_fill(~ran.task.asked(given[None])[0], 0)
        return bool(ran.task.valid(given[None], asked[None])[0])
    return None


def mode_shares(rows: Sequence[ProblemRow]) -> tuple[Mode, ...]:
    """The four modes, with the first problems of each as examples."""
    found: list[Mode] = []
    for letter in MODES:
        of = [row for row in rows if row.mode == letter]
        share = len(of) / len(rows)
        unsettled = sum(row.p_unsettled for row in of) / len(of) if of else math.nan
        resting = sum(row.p_unsettled < 0.5 for row in of)
        examples = tuple(row.problem for row in of[:EXAMPLES])
        found.append(Mode(letter, len(of), share, interval(share, len(rows)), unsettled, resting, examples))
    return tuple(found)


def label_doubts(ran: Pass, rows: Sequence[ProblemRow]) -> Labels:
    """See `Labels`."""
    keeping = sum(bool(row.keeps_rules) for row in rows) if ran.task.rules else None
    return Labels(ran.problems.contradicted()[0], keeping)


def independence(right: Tensor) -> Curve:
    """Path independence from two restarts on (EqR Eq. 22)."""
    counts = doublings(right.shape[1])[1:]
    return Curve(counts, tuple(path_independence_at(right, count) for count in counts))


def residual_bands(ran: Pass, right: Tensor) -> Residuals:
    """Quartiles of the residual over iterations, of restarts that end right, and wrong."""
    found = np.asarray(ran.recording.residuals) / math.sqrt(ran.elements)
    ends = right.flatten().numpy()
    return Residuals(_band(found[ends]), _band(found[~ends]))


def _band(residuals: NDArray[np.float32]) -> Band:
    running = (~np.isnan(residuals)).sum(axis=0)
    shown = residuals[:, : int((running > 0).sum())]
    if not shown.size:
        return Band((), (), (), ())
    low, median, high = (tuple(map(float, row)) for row in np.nanquantile(shown, (0.25, 0.5, 0.75), axis=0))
    return Band(low, median, high, tuple(running[running > 0].tolist()))


def halting_head(ran: Pass, right: Tensor, bins: int = 10) -> Head | None:
    """What the halting head says at the end; None where there is none."""
    logit = ran.last.halt_logit
    if logit.isnan().any():
        return None
    score, hits = torch.sigmoid(logit.double()).flatten(), right.flatten().double()
    owner = torch.arange(len(right)).repeat_interleave(right.shape[1])
    found: list[HeadBin] = []
    for rows in equal_groups(score, bins):
        share = hits[rows].mean().item()
        found.append(
            HeadBin(len(rows), score[rows].mean().item(), share, interval(share, len(owner[rows].unique())))
        )
    return Head(auroc(-logit, right), tuple(found))


def stopping_rules(ran: Pass) -> tuple[Stopping, ...]:
    """What stopping by the halting head or by rest would cost, read off trajectories that ran on.

    One that left early, settled, before a threshold was met counts with the full depth and its last answer.
    """
    right = ran.right_by_iteration()
    flat = right.reshape(-1, right.shape[-1])
    depth = flat.shape[1] - 1
    fixed = [(float(k), float(flat[:, k].mean())) for k in range(1, depth + 1)]
    logits, residuals = (np.asarray(a) for a in (ran.recording.halt_logits, ran.recording.residuals))
    relative = residuals / math.sqrt(ran.elements)
    meets: dict[str, list[NDArray[np.bool_]]] = {
        "head": [] if np.isnan(logits).all() else [logits > level for level in SURENESS],
        "residual": [relative < level for level in ROUGHNESS if level >= ran.tolerance],
    }
    found: list[Stopping] = []
    for rule, tests in meets.items():
        points = {_stopped(test, flat, depth) for test in tests}
        if not points:
            continue
        matched = matched_accuracy(fixed, list(points))
        found.append(
            Stopping(
                *(rule, tuple(sorted(points)), matched.target),
                *(matched.baseline_nfe, matched.other_nfe, matched.ratio),
            )
        )
    return tuple(found)


def _stopped(met: NDArray[np.bool_], right: NDArray[np.bool_], depth: int) -> tuple[float, float]:
    """Mean iterations and accuracy where every trajectory stops when it first meets a test."""
    stop = np.where(met.any(axis=1), met.argmax(axis=1) + 1, depth)
    return float(stop.mean()), float(right[np.arange(len(right)), stop].mean())


def adaptivities(ran: Pass, right: Tensor) -> tuple[Difficulty, ...]:
    """Iterations against every measure of difficulty that tells problems apart."""
    spent, found = ran.last.evaluations, list[Difficulty]()
    if spent.min() == spent.max():
        return ()
    for name, values in adaptivity.difficulty(ran.task, ran.problems).items():
        correlation = adaptivity.rank_correlation(values, spent)
        if math.isnan(correlation):
            continue
        groups = [
            DifficultyGroup(g.low, g.high, g.problems, g.evaluations, g.accuracy, g.ci95)
            for g in adaptivity.by_difficulty(values, spent, right)
        ]
        found.append(Difficulty(name, correlation, tuple(groups)))
    return tuple(found)


def paired(differences: Tensor) -> tuple[float, Interval]:
    """The mean of differences by problem `[problems]` and its 95% interval (normal)."""
    mean, count = differences.mean().item(), len(differences)
    half = 1.959963984540054 * differences.std().item() / math.sqrt(count) if count > 1 else math.inf
    return mean, (mean - half, mean + half)


def doublings(most: int) -> tuple[int, ...]:
    """1, 2, 4, … and `most` itself."""
    found: list[Any] = [1 << power for power in range(most.bit_length()) if 1 << power < most]
    return (*found, most)
