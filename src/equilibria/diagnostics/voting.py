"""Votes over the variants of ARC puzzles: many answers to one test, ranked, and pass@k (HRM, TRM).

Every variant of a puzzle that a reasoner has an identity for is asked; what it answers is turned back into a
grid of the puzzle itself, and is one vote for it.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from equilibria.dynamics.halting import FixedDepth, Halting
from equilibria.errors import DataError
from equilibria.inference.engine import Engine, Watch
from equilibria.tasks.arc import Arc
from equilibria.tasks.arc.canvas import decode
from equilibria.tasks.arc.grid import Grid
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
    """How often the right grid was among the first k.

    Attributes:
        ranked: for each test its candidates, best first.
        pass_at: by k, the share of a puzzle's tests, averaged over puzzles (as TRM scores).
        whole_at: by k, the share of puzzles with every test right (as HRM scores).
        puzzles: how many there are.
        votes: answers that were asked for, over all tests.
    """

    ranked: list[list[Candidate]]
    pass_at: dict[int, float]
    whole_at: dict[int, float]
    puzzles: int
    votes: int


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


def submission(ranked: Sequence[Candidate], attempts: int = 2) -> list[Grid]:
    """The first grids, the very first repeated where there are fewer; a black cell where there is none."""
    grids = [one.grid for one in ranked[:attempts]] or [np.zeros((1, 1), dtype=np.uint8)]
    return grids + [grids[0]] * (attempts - len(grids))


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
    depth: int,
    breadth: int = 1,
    halting: Halting = FixedDepth(),
    variants: int | None = None,
    seed: int = 0,
    ks: Sequence[int] = KS,
    watch: Watch | None = None,
) -> Voting:
    """Ask every test under the variants of its puzzle, and let the answers vote.

    Args:
        engine: runs the reasoner.
        task: knows the puzzles and their variants.
        problems: tests with labels and identities, as they are.
        depth: iterations of a trajectory.
        breadth: restarts of every variant; each has a vote.
        halting: ends trajectories early, or does not.
        variants: most of a puzzle, itself among them; None: all.
        seed: of all draws.
        ks: of pass@k.
        watch: told of the progress of each call of the engine.

    Raises:
        DataError: the problems have no labels or no identities, or there are none.
    """
    if problems.labels is None or problems.identifiers is None or not len(problems):
        raise DataError("a vote needs problems with answers and puzzle identities")
    ranked: list[list[Candidate]] = []
    votes = 0
    for views in _batches(task, problems, variants):
        tokens, identifiers = (torch.cat([view[part] for view in views]) for part in (0, 1))
        (pool,) = engine.pools(
            tokens,
            depths=(depth,),
            breadth=breadth,
            halting=halting,
            seed=seed,
            identifiers=identifiers,
            watch=watch,
        )
        counts = [len(view[0]) for view in views]
        sure = pool.halt_logit.sigmoid()
        parts = (pool.answers.split(counts), identifiers.split(counts), sure.split(counts))
        for answers, names, scores in zip(*parts, strict=True):
            grids = task.identities.undo(answers.flatten(0, 1), names.repeat_interleave(breadth))
            ranked.append(rank(grids, scores.flatten().tolist()))
            votes += len(grids)
    targets = decode(problems.labels, task.canvas)
    wanted = [np.zeros((0, 0), dtype=np.uint8) if grid is None else grid for grid in targets]
    pass_at, whole_at = score(ranked, wanted, problems.sources, ks)
    return Voting(ranked, pass_at, whole_at, len(set(problems.sources)), votes)


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
