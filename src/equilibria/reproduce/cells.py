"""The cells of EqR Tab. 3: one recipe with and without random initial states (RI) and path noise (NI)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from equilibria.recipes import Recipe
from equilibria.reproduce.reproduction import Row, Setup
from equilibria.reproduce.runs import CachedRun, Remaining, side_by_side
from equilibria.reproduce.small import NI, RI, variant

Found = TypeVar("Found")


@dataclass(frozen=True)
class Cell:
    """A variant of the recipe.

    Attributes:
        label: in tables and figures.
        changes: of the recipe.
    """

    label: str
    changes: tuple[str, ...] = ()


TRM = Cell("TRM")
WITH_RI = Cell("+ RI", RI)
WITH_NI = Cell("+ NI", NI)
EQR = Cell("+ RI + NI", RI + NI)
CELLS = (TRM, WITH_RI, WITH_NI, EQR)


@dataclass(frozen=True)
class Trial:
    """One training run: a cell with a seed."""

    cell: Cell
    seed: int
    recipe: Recipe

    @property
    def depth(self) -> int:
        """Iterations of a trajectory in training: the paper's D = 16."""
        return self.recipe.training.depth


def trials(cells: Sequence[Cell], setup: Setup, seeds: Sequence[int] | None = None) -> list[Trial]:
    """All runs, those of a seed before the next; `seeds`: by default as many as the user asked for."""
    return [
        Trial(cell, seed, variant(setup.scale, seed, cell.changes, setup.overrides))
        for seed in (range(setup.seeds) if seeds is None else seeds)
        for cell in cells
    ]


def measured(
    todo: Sequence[Trial],
    measure: Callable[[Trial, CachedRun], Found],
    setup: Setup,
    tell: Callable[[Found], str],
) -> list[tuple[Trial, Found]]:
    """Each run, trained where that was not done, with what `measure` finds of it, in the order of `todo`.

    Args:
        todo: runs.
        measure: a function that can go to another process.
        setup: how many at a time, and who is told.
        tell: what was found, in a few words.
    """
    remaining, found = Remaining(len(todo)), dict[tuple[str, int], Found]()
    work = partial(_timed, measure=measure, cache=setup.cache)
    for trial, (result, seconds) in side_by_side(work, todo, setup.jobs):
        found[trial.cell.label, trial.seed] = result
        left = remaining.finish(seconds, setup.jobs)
        setup.say(f"{left}: {trial.cell.label}, seed {trial.seed}: {tell(result)}")
    return [(trial, found[trial.cell.label, trial.seed]) for trial in todo]


def _timed(trial: Trial, measure: Callable[[Trial, CachedRun], Found], cache: Path) -> tuple[Found, float]:
    began = time.perf_counter()
    return measure(trial, CachedRun.of(trial.recipe, cache)), time.perf_counter() - began


def by_seed(found: Sequence[Row], method: str, key: str) -> list[float]:
    """A number of all runs of the cell with this label, seed by seed."""
    return [row[key] for row in found if row["method"] == method]


def alone(setup: Setup) -> list[str]:
    """What to say where there is one run of each kind."""
    if setup.seeds > 1:
        return []
    return [
        "One run of each kind: how far seeds alone spread is not in these numbers; `shaping` measures it, "
        "and --seeds asks for more."
    ]


def described(todo: Sequence[Trial]) -> dict[str, dict[str, object]]:
    """The recipe of each cell at its first seed, for `config.yaml`."""
    recipes: dict[str, dict[str, object]] = {}
    for trial in todo:
        recipes.setdefault(trial.cell.label, trial.recipe.model_dump(mode="json"))
    return recipes
