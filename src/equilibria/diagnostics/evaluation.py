"""Accuracy against compute: one pool of restarts, looked at under every budget within it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from equilibria.diagnostics.metrics import (
    auroc,
    averaged,
    chosen,
    exactly_right,
    interval,
    pass_at,
    path_independence,
)
from equilibria.diagnostics.validity import valid_answers
from equilibria.dynamics.halting import FixedDepth, Halting
from equilibria.errors import DataError
from equilibria.inference.engine import Engine, Watch
from equilibria.inference.pool import Pool
from equilibria.inference.selection import SELECTIONS
from equilibria.tasks.interface import Problems, Task

AVERAGE, PASS = "average", "pass"


@dataclass(frozen=True)
class Row:
    """One budget, one way to select, one part of the data.

    Attributes:
        depth: D.
        breadth: B.
        selection: "average" over restarts, "pass" (any restart right), or a rule of `inference.selection`.
        source: where the problems come from; "all" for the whole.
        rating: a bucket of difficulty ratings; "all" for the whole.
        problems: how many problems that is.
        exact_accuracy: share of problems exactly right: the answer is the label.
        ci95: its 95% interval (Wilson, over problems).
        valid_accuracy: share of problems whose answer keeps the rules, be it the label or not ("any-optimal"
            of mazes); None where the label is the one right answer.
        valid_ci95: its 95% interval.
        nfe_mean: iterations per problem, over its restarts.
        seconds: of the pass over all problems to this depth, times the share of restarts used.
    """

    depth: int
    breadth: int
    selection: str
    source: str
    rating: str
    problems: int
    exact_accuracy: float
    ci95: tuple[float, float]
    valid_accuracy: float | None
    valid_ci95: tuple[float, float] | None
    nfe_mean: float
    seconds: float


@dataclass(frozen=True)
class Evaluation:
    """A table of rows and what stands beside it.

    Attributes:
        rows: see `Row`.
        path_independence: by depth, Δ_PI over all restarts (EqR Eq. 22), of exact answers.
        auroc: by depth, how well a low residual tells exactly right restarts from the others.
        residual: by depth, the mean residual over all restarts.
        context: what was evaluated: recipe, data hash, code version, seed.
    """

    rows: list[Row]
    path_independence: dict[int, float]
    auroc: dict[int, float]
    residual: dict[int, float]
    context: dict[str, Any]

    def row(self, depth: int, breadth: int, selection: str, source: str = "all", rating: str = "all") -> Row:
        """The row of one cell; KeyError where there is none."""
        for row in self.rows:
            cell = (row.depth, row.breadth, row.selection, row.source, row.rating)
            if cell == (depth, breadth, selection, source, rating):
                return row
        raise KeyError((depth, breadth, selection, source, rating))


def evaluate(
    engine: Engine,
    problems: Problems,
    *,
    depths: tuple[int, ...],
    breadths: tuple[int, ...],
    task: Task | None = None,
    halting: Halting = FixedDepth(),
    seed: int = 0,
    watch: Watch | None = None,
    context: dict[str, Any] | None = None,
) -> Evaluation:
    """Run every problem once, to the greatest depth and breadth, and read off all smaller budgets.

    A budget of b restarts uses the first b, so budgets are nested and differences between them are paired.

    Args:
        engine: runs the reasoner.
        problems: labelled problems.
        depths: the depths to report.
        breadths: the breadths to report.
        task: checks the answers where labels are not the only right ones; None: only labels count.
        halting: ends trajectories early, or does not.
        seed: of all draws.
        watch: told of the progress.
        context: kept with the result.

    Raises:
        DataError: the problems have no labels, or there are none.
    """
    if problems.labels is None or not len(problems):
        raise DataError("an evaluation needs problems with answers")
    depths, breadths = tuple(sorted(set(depths))), tuple(sorted(set(breadths)))
    started = time.perf_counter()
    pools = engine.pools(
        problems.inputs,
        depths=depths,
        breadth=breadths[-1],
        halting=halting,
        seed=seed,
        identifiers=problems.identifiers,
        watch=watch,
    )
    seconds = time.perf_counter() - started
    tries = {
        depth: Tries(
            pool,
            correct(pool, problems.labels),
            None if task is None else valid_answers(task, problems.inputs, pool.answers),
        )
        for depth, pool in zip(depths, pools, strict=True)
    }
    return tabulate(
        tries, problems, breadths, seconds, (context or {}) | described(engine, problems, halting, seed)
    )


@dataclass(frozen=True)
class Tries:
    """What restarts came to at one depth.

    Attributes:
        pool: their ends. Of an answer nothing is asked but which others equal it, so a hash of it will do.
        right: `[problems, restarts]` bool: exactly right.
        valid: `[problems, restarts]` bool: right by the rules of the task; None where that is the same.
    """

    pool: Pool
    right: Tensor
    valid: Tensor | None = None


def tabulate(
    tries: Mapping[int, Tries],
    problems: Problems,
    breadths: Sequence[int],
    seconds: float,
    context: Mapping[str, Any],
) -> Evaluation:
    """Every budget within what was run, by depth, as a table."""
    groups = list(_groups(problems))
    work = max(tried.pool.evaluations.sum().item() for tried in tries.values())
    rows: list[Row] = []
    for depth, tried in tries.items():
        for breadth in breadths:
            few, right = tried.pool.restarts(breadth), tried.right[:, :breadth]
            valid = None if tried.valid is None else tried.valid[:, :breadth]
            nfe = few.evaluations.sum(dim=1).double()
            took = seconds * nfe.sum().item() / work
            for selection, scored in _selections(few):
                exact, kept = scored(right), None if valid is None else scored(valid)
                for source, rating, mask in groups:
                    rows.append(
                        Row(
                            depth,
                            breadth,
                            selection,
                            source,
                            rating,
                            int(mask.sum()),
                            *_share(exact[mask]),
                            *((None, None) if kept is None else _share(kept[mask])),
                            nfe[mask].mean().item(),
                            took,
                        )
                    )
    return Evaluation(
        rows,
        {depth: path_independence(tried.right) for depth, tried in tries.items()},
        {depth: auroc(tried.pool.residual, tried.right) for depth, tried in tries.items()},
        {depth: tried.pool.residual.mean().item() for depth, tried in tries.items()},
        dict(context) | {"seconds": seconds},
    )


def described(engine: Engine, problems: Problems, halting: Halting, seed: int) -> dict[str, Any]:
    """What was evaluated, and how."""
    return {
        "problems": len(problems),
        "data_sha256": problems.fingerprint(),
        "seed": seed,
        "halting": halting.rule,
        "solver": engine.solver.name,
        "device": str(next(engine.reasoner.parameters()).device),
        "dtype": str(engine.reasoner.compute_dtype).removeprefix("torch."),
        "torch": torch.__version__,
    }


def correct(pool: Pool, labels: Tensor) -> Tensor:
    """`[problems, restarts]` bool: every cell with a label is right."""
    return exactly_right(pool.answers, labels[:, None, :])


Score = Callable[[Tensor], Tensor]
"""Which restarts are right, bool `[problems, restarts]` → a score in [0, 1] per problem `[problems]`."""


def _selections(pool: Pool) -> Iterator[tuple[str, Score]]:
    """Every way to score problems by their restarts."""
    yield AVERAGE, averaged
    breadth = pool.residual.shape[1]
    if breadth == 1:
        return
    yield PASS, partial(pass_at, k=breadth)
    for name, select in SELECTIONS.items():
        if name == "halting" and pool.halt_logit.isnan().any():
            continue
        if name == "logit-convergence" and pool.logit_change.isnan().any():
            continue  # needs two iterations
        yield name, partial(chosen, which=select(pool))


def _share(scores: Tensor) -> tuple[float, tuple[float, float]]:
    """The mean score of problems, and its 95% interval."""
    share = scores.mean().item()
    return share, interval(share, len(scores))


def _groups(problems: Problems) -> Iterator[tuple[str, str, Tensor]]:
    """All problems, each source, and each bucket of ratings: (source, rating, mask)."""
    everything = torch.ones(len(problems), dtype=torch.bool)
    yield "all", "all", everything
    sources = sorted(set(problems.sources))
    if 1 < len(sources) <= len(problems) / 2:  # more of them name single puzzles, not collections
        for source in sources:
            yield source, "all", torch.tensor([name == source for name in problems.sources])
    if problems.ratings is not None:
        edges = (0, 1, 5, 10, 20, 50, 100, float("inf"))
        for low, high in pairwise(edges):
            mask = (problems.ratings >= low) & (problems.ratings < high)
            if mask.any() and not mask.all():
                name = "0" if high == 1 else f"{low}+" if high == float("inf") else f"{low}–{high - 1}"
                yield "all", name, mask
