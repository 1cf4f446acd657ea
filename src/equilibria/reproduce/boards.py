"""What reproductions of FPRM, and Attractor Tab. 2, share: Sudoku recipes of several families, at two scales.

At the scale `paper` they are as published, on Sudoku-Extreme. At the scale `cpu` they run on 6×6 puzzles from
the generator, with the changes of `small`, a few a recipe, and MLPs that mix tokens in place of attention,
which takes longer to learn anything. Reproductions that name the same variant share its trained reasoner; TRM
is the one that reproductions of EqR train.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from equilibria.diagnostics import ranks
from equilibria.diagnostics.adaptivity import difficulty
from equilibria.pipeline import Pipeline
from equilibria.recipes import Recipe
from equilibria.reproduce import small
from equilibria.reproduce.cells import Cell, Trial
from equilibria.reproduce.reproduction import Row, Setup
from equilibria.reproduce.runs import seeded
from equilibria.tasks import Problems

FPRM, TRM, TRM_LARGE = "fprm-sudoku", "trm-sudoku-attention", "trm-sudoku-27m"
ATTRACTOR, ATTRACTOR_LARGE = "attractor-sudoku-7m", "attractor-sudoku-27m"
HRM, TRANSFORMER = "hrm-sudoku", "feedforward-sudoku-27m"

LARGE = 4  # blocks of a large reasoner for each one of a small, as published
CPU = (*small.CPU, small.RATE, "reasoner.mixing=mlp", "reasoner.positions=none")
RECURSION = small.CYCLES[1:]
SOLVE = ("reasoner.H_cycles=1", "reasoner.max_iterations=4", "reasoner.min_iterations=2")
SMALLER = {
    # As long in training as TRM: windows of four iterations cost more than TRM's one.
    FPRM: (
        *("reasoner.layers=1", "training.schedule.iterations=4", "training.depth=48", "training.steps=500"),
        "inference.depth=600",
    ),
    TRM: ("reasoner.layers=1", *RECURSION),
    TRM_LARGE: (f"reasoner.layers={LARGE}", *RECURSION),
    ATTRACTOR: ("reasoner.layers=1", *SOLVE),
    ATTRACTOR_LARGE: (f"reasoner.layers={LARGE}", *SOLVE),
    HRM: (f"reasoner.layers={LARGE // 2}", f"reasoner.fast_layers={LARGE // 2}"),
    TRANSFORMER: (f"reasoner.layers={LARGE}",),
}
PROBLEMS = {"cpu": 1000, "paper": 2048}  # held out, of an evaluation
TOO_SMALL = (
    "Published numbers are of Sudoku-Extreme (9×9) and networks of millions of parameters; ours are of "
    "generated 6×6 puzzles, small networks whose tokens are mixed by MLPs in place of attention ({name}: "
    "{parameters:,} parameters) and {steps:,} steps of {batch}: compare the order and the direction of "
    "differences, not the values."
)


@dataclass(frozen=True)
class Variant:
    """A recipe and what is changed of it.

    Attributes:
        label: in tables and figures.
        base: name of the recipe.
        changes: of it, at either scale.
    """

    label: str
    base: str
    changes: tuple[str, ...] = ()


def board(scale: str, seed: int, variant: Variant, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a variant, at one of the two scales; `overrides`, the user's, win."""
    smaller = (*CPU, *SMALLER[variant.base]) if scale == "cpu" else ()
    return seeded(variant.base, [*smaller, *small.RARELY, *variant.changes, *overrides], seed)


def trials(variants: Sequence[Variant], setup: Setup) -> list[Trial]:
    """Every variant with every seed, those of a seed before the next."""
    return [
        Trial(
            Cell(variant.label, variant.changes),
            seed,
            board(setup.scale, seed, variant, setup.overrides),
        )
        for seed in range(setup.seeds)
        for variant in variants
    ]


def beside(scale: str, recipe: Recipe, parameters: int) -> list[str]:
    """What has to be said of ours beside the published numbers."""
    training = recipe.training
    numbers = {"parameters": parameters, "steps": training.steps, "batch": training.batch}
    return [TOO_SMALL.format(name=recipe.name, **numbers)] if scale == "cpu" else []


def exact(pipeline: Pipeline, problems: Problems, depth: int, halting: str = "recipe") -> Row:
    """Exact accuracy in percent, and iterations and block applications a problem."""
    row = pipeline.evaluate(problems, depths=(depth,), halting=halting).rows[0]
    return {
        "accuracy": 100 * row.exact_accuracy,
        "low": 100 * row.ci95[0],
        "high": 100 * row.ci95[1],
        "problems": row.problems,
        "iterations": row.nfe_mean,
        "layers": row.nfe_mean * pipeline.reasoner.equivalent_layers,
        "parameters": pipeline.reasoner.parameter_count(),
    }


def groups(pipeline: Pipeline, problems: Problems, count: int) -> tuple[Tensor, list[Tensor]]:
    """Difficulties `[problems]`, the number of empty cells, and where problems of each group stand.

    Groups are as equally large as may be, from the easiest on; equal difficulties are in one.
    """
    empty = difficulty(pipeline.task, problems)["empty cells"]
    return empty, ranks.equal_groups(empty, count)


def precise() -> None:
    """Multiply float32 as it is: residuals near the tolerance must not depend on the card."""
    torch.set_float32_matmul_precision("highest")
