"""Votes over the variants of ARC puzzles: many answers to one test, ranked, and pass@k (HRM, TRM).

Every variant of a puzzle that a reasoner has an identity for is asked; what it answers is turned back into a
grid of the puzzle itself, and is one vote for it.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equilibria.diagnostics.metrics import interval
from equilibria.dynamics.halting import FixedDepth, Halting
from equilibria.errors import DataError
from equilibria.inference.engine import Engine, Report, Watch
from equilibria.tasks.arc import Arc
from equilibria.tasks.arc.canvas import decode
from equilibria.tasks.arc.grid import Grid
from equilibria.tasks.interface import Task
from equilibria.tasks.problems import Problems

KS = (1, 2)
ROWS = 4096
"""Variants in one call of the engine, at least those of one test: bounds what is remembered."""


@dataclass(frozen=True)
class Candidate:
    """A grid that was voted for.

    Attributes:
        grid: uint8 `[height, width]`.
        votes: how many answers it is.
        score: their mean halting score, a probability; 0 without a halting head.
    """

    grid: Grid
    votes: int
    score: float


@dataclass(frozen=True)
class Voting:
    """How often the right grid was among the first k, within one budget.

    Attributes:
        depth: iterations of a trajectory.
        breadth: restarts of every variant; each has a vote.
        ranked: for each test its candidates, best first.
        pass_at: by k, the share of a puzzle's tests, averaged over puzzles (as TRM scores).
        whole_at: by k, the share of puzzles with every test right (as HRM scores).
        puzzles: how many there are.
        votes: answers that were asked for, over all tests.
        seconds: of the pass to the greatest budget, times the share of votes used.
    """

    depth: int
    breadth: int
    ranked: list[list[Candidate]]
    pass_at: dict[int, float]
    whole_at: dict[int, float]
    puzzles: int
    votes: int
    seconds: float

    def interval(self, share: float) -> tuple[float, float]:
        """The 95% interval of a share (Wilson, over puzzles)."""
        return interval(share, self.puzzles)

    def summary(self) -> dict[str, Any]:
        """All but the grids, as plain data."""
        return {
            "depth": self.depth,
            "breadth": self.breadth,
            "puzzles": self.puzzles,
            "tests": len(self.ranked),
            "votes": self.votes,
            "pass_at": {str(k): share for k, share in self.pass_at.items()},
            "pass_ci95": {str(k): self.interval(share) for k, share in self.pass_at.items()},
            "whole_at": {str(k): share for k, share in self.whole_at.items()},
            "whole_ci95": {str(k): self.interval(share) for k, share in self.whole_at.items()},
            "seconds": self.seconds,
        }


def rank(grids: Sequence[Grid | None], scores: Sequence[float]) -> list[Candidate]:
    """The distinct grids: by the number of votes, then by mean score, then by who was first.

    `scores`: the halting score of each answer; NaN counts as 0. An answer that is no grid (None) can be
    handed in nowhere, so it has no vote; published code counts it.
    """
    found: dict[tuple[tuple[int, ...], bytes], list[float]] = defaultdict(list)
    kept: dict[tuple[tuple[int, ...], bytes], Grid] = {}
    for grid, score in zip(grids, scores, strict=True):
        if grid is not None:
            key = (grid.shape, grid.tobytes())
            kept.setdefault(key, grid)
            found[key].append(0.0 if np.isnan(score) else score)
    candidates = [Candidate(kept[key], len(own), sum(own) / len(own)) for key, own in found.items()]
    return sorted(candidates, key=lambda one: (-one.votes, -one.score))


def passes(ranked: Sequence[Candidate], target: Grid, k: int) -> bool:
    """Whether the right grid is among the first `k`."""
    return any(np.array_equal(one.grid, target) for one in ranked[:k])


def attempts(ranked: Sequence[Candidate], count: int = 2) -> list[Grid]:
    """The first grids, the very first repeated where there are fewer; a black cell where there is none."""
    grids = [one.grid for one in ranked[:count]] or [np.zeros((1, 1), dtype=np.uint8)]
    return grids + [grids[0]] * (count - len(grids))


def submission(
    ranked: Sequence[Sequence[Candidate]], puzzles: Sequence[str]
) -> dict[str, list[dict[str, list[list[int]]]]]:
    """What is handed in at Kaggle: for each puzzle two attempts at each of its tests, in order.

    Args:
        ranked: the candidates of each test.
        puzzles: its puzzle, `corpus/name`; a submission has the name alone.

    Raises:
        DataError: puzzles of two corpora have the same name.
    """
    handed: dict[str, list[dict[str, list[list[int]]]]] = defaultdict(list)
    sources: dict[str, str] = {}
    for source, candidates in zip(puzzles, ranked, strict=True):
        name = source.rpartition("/")[2]
        if sources.setdefault(name, source) != source:
            raise DataError(
                f"{sources[name]} and {source} have the same name, and a submission knows puzzles by their "
                "names alone: evaluate on one corpus at a time (--data)"
            )
        grids = enumerate(attempts(candidates), start=1)
        handed[name].append({f"attempt_{number}": grid.tolist() for number, grid in grids})
    return dict(handed)


def voters(task: Task) -> Arc:
    """The task, whose puzzles have variants that vote. Raises DataError where it is another."""
    if isinstance(task, Arc):
        return task
    raise DataError(
        f"there is no vote on the task {task.name}: only arc has variants of its puzzles that a reasoner has "
        "identities for; leave out the vote (--vote, --variants, --submission)"
    )


def first_puzzles(problems: Problems, count: int) -> Problems:
    """The tests of the first `count` puzzles, all of each."""
    kept = set(list(dict.fromkeys(problems.sources))[:count])
    return problems[torch.tensor([source in kept for source in problems.sources])]


def score(
    ranked: Sequence[Sequence[Candidate]], targets: Sequence[Grid], puzzles: Sequence[str], ks: Sequence[int]
) -> tuple[dict[int, float], dict[int, float]]:
    """pass@k over tests, by puzzle: with credit for each test (TRM), and for whole puzzles only (HRM).

    Raises DataError where there is nothing to score.
    """
    if not ranked:
        raise DataError("there is no test to score")
    fractions: dict[int, float] = {}
    wholes: dict[int, float] = {}
    for k in ks:
        right: dict[str, list[bool]] = defaultdict(list)
        for puzzle, candidates, target in zip(puzzles, ranked, targets, strict=True):
            right[puzzle].append(passes(candidates, target, k))
        fractions[k] = sum(sum(tests) / len(tests) for tests in right.values()) / len(right)
        wholes[k] = sum(all(tests) for tests in right.values()) / len(right)
    return fractions, wholes


def vote(
    engine: Engine,
    task: Arc,
    problems: Problems,
    *,
    depths: tuple[int, ...],
    breadths: tuple[int, ...] = (1,),
    halting: Halting = FixedDepth(),
    variants: int | None = None,
    seed: int = 0,
    ks: Sequence[int] = KS,
    watch: Watch | None = None,
) -> list[Voting]:
    """Ask every test under the variants of its puzzle, and let the answers vote.

    All is run once, to the greatest depth and breadth, and smaller budgets are read off: b restarts are the
    first b of every variant.

    Args:
        engine: runs the reasoner.
        task: knows the puzzles and their variants.
        problems: tests with labels and identities, as they are.
        depths: iterations of a trajectory, to report.
        breadths: restarts of every variant, to report; each has a vote.
        halting: ends trajectories early, or does not.
        variants: most of a puzzle, itself among them; None: all.
        seed: of all draws.
        ks: of pass@k.
        watch: told of the progress; its problems are variants.

    Returns:
        A vote for every depth and breadth, ascending.

    Raises:
        DataError: the problems have no labels or no identities, or there are none.
    """
    if problems.labels is None or problems.identifiers is None or not len(problems):
        raise DataError("a vote needs problems with answers and puzzle identities")
    depths, breadths = tuple(sorted(set(depths))), tuple(sorted(set(breadths)))
    budgets = [(depth, breadth) for depth in depths for breadth in breadths]
    ranked: dict[tuple[int, int], list[list[Candidate]]] = {budget: [] for budget in budgets}
    total = sum(task.identities.count(name, variants) for name in problems.identifiers.tolist())
    asked, spent, started = 0, dict.fromkeys(budgets, 0), time.perf_counter()
    for views in _batches(task, problems, variants):
        tokens, identifiers = (torch.cat([view[part] for view in views]) for part in (0, 1))
        pools = engine.pools(
            tokens,
            depths=depths,
            breadth=breadths[-1],
            halting=halting,
            seed=seed,
            identifiers=identifiers,
            watch=None if watch is None else _within(watch, asked, total),
        )
        asked += len(tokens)
        counts = [len(view[0]) for view in views]
        for depth, pool in zip(depths, pools, strict=True):
            sure = pool.halt_logit.sigmoid()
            parts = (pool.answers.split(counts), identifiers.split(counts), sure.split(counts))
            for answers, names, scores in zip(*parts, strict=True):
                grids = task.identities.undo(answers.flatten(0, 1), names.repeat_interleave(breadths[-1]))
                said = list(zip(grids, scores.flatten().tolist(), strict=True))
                for breadth in breadths:
                    few = [one for place, one in enumerate(said) if place % breadths[-1] < breadth]
                    ranked[depth, breadth].append(rank([one for one, _ in few], [one for _, one in few]))
            for breadth in breadths:
                spent[depth, breadth] += int(pool.evaluations[:, :breadth].sum())
    seconds = time.perf_counter() - started
    targets = decode(problems.labels, task.canvas)
    wanted = [np.zeros((0, 0), dtype=np.uint8) if grid is None else grid for grid in targets]
    puzzles, most = len(set(problems.sources)), max(spent.values())
    return [
        Voting(
            depth,
            breadth,
            ranked[depth, breadth],
            *score(ranked[depth, breadth], wanted, problems.sources, ks),
            puzzles,
            asked * breadth,
            seconds * spent[depth, breadth] / most,
        )
        for depth, breadth in budgets
    ]


def _within(watch: Watch, before: int, total: int) -> Watch:
    """Tells of one call of the engine as a part of all."""

    def tell(report: Report) -> None:
        watch(replace(report, problems=total, begun=before + report.begun, done=before + report.done))

    return tell


def _batches(task: Arc, problems: Problems, most: int | None) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """The variants of consecutive tests, as many tests as stay within `ROWS`."""
    assert problems.identifiers is not None
    batch: list[tuple[Tensor, Tensor]] = []
    rows = 0
    for inputs, identifier in zip(problems.inputs, problems.identifiers.tolist(), strict=True):
        views = task.identities.views(inputs, identifier, most)
        if batch and rows + len(views[0]) > ROWS:
            yield batch
            batch, rows = [], 0
        batch.append(views)
        rows += len(views[0])
    yield batch
