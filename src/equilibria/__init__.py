"""Equilibria: reasoners that think by settling.

    import equilibria as eq
    solver = eq.load("sudoku-6x6")
    answers = solver.solve(puzzles, depth=64, breadth=16)

The names below are the public face; they are imported when first used, so that `import equilibria` and
`equilibria --help` are quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equilibria.diagnostics.evaluation import Evaluation, Row
    from equilibria.diagnostics.plots import plot_budget_grid
    from equilibria.errors import EquilibriaError
    from equilibria.inference.budget import Budget
    from equilibria.interop import from_published, import_checkpoint, published_families
    from equilibria.pipeline import (
        Answer,
        Pipeline,
        find_checkpoint,
        held_out_problems,
        load,
        load_for,
        shipped_names,
    )
    from equilibria.reasoners import Reasoner, families
    from equilibria.recipes import Recipe, load_recipe, recipe_names
    from equilibria.reproduce import Findings, Reproduction, Sheet, reproduction, reproductions
    from equilibria.runs import Plan, evaluation_problems, plan, record_scores, train
    from equilibria.tasks import Problems, Task, load_task, task_names
    from equilibria.version import __version__

_HOMES = {
    "Answer": "pipeline",
    "Budget": "inference.budget",
    "EquilibriaError": "errors",
    "Evaluation": "diagnostics.evaluation",
    "Findings": "reproduce",
    "Pipeline": "pipeline",
    "Problems": "tasks",
    "Reasoner": "reasoners",
    "Recipe": "recipes",
    "Reproduction": "reproduce",
    "Sheet": "reproduce",
    "Task": "tasks",
    "__version__": "version",
    "evaluation_problems": "runs",
    "find_checkpoint": "pipeline",
    "held_out_problems": "pipeline",
    "record_scores": "runs",
    "Plan": "runs",
    "Row": "diagnostics.evaluation",
    "families": "reasoners",
    "from_published": "interop",
    "import_checkpoint": "interop",
    "load": "pipeline",
    "load_for": "pipeline",
    "load_recipe": "recipes",
    "load_task": "tasks",
    "plan": "runs",
    "plot_budget_grid": "diagnostics.plots",
    "published_families": "interop",
    "recipe_names": "recipes",
    "reproduction": "reproduce",
    "reproductions": "reproduce",
    "shipped_names": "pipeline",
    "task_names": "tasks",
    "train": "runs",
}

__all__ = [
    "Answer",
    "Budget",
    "EquilibriaError",
    "Evaluation",
    "Findings",
    "Pipeline",
    "Plan",
    "Problems",
    "Reasoner",
    "Recipe",
    "Reproduction",
    "Row",
    "Sheet",
    "Task",
    "__version__",
    "evaluation_problems",
    "families",
    "find_checkpoint",
    "from_published",
    "held_out_problems",
    "import_checkpoint",
    "load",
    "load_for",
    "load_recipe",
    "load_task",
    "plan",
    "plot_budget_grid",
    "published_families",
    "recipe_names",
    "record_scores",
    "reproduction",
    "reproductions",
    "shipped_names",
    "task_names",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'equilibria' has no attribute '{name}'")
    return getattr(importlib.import_module(f"equilibria.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
