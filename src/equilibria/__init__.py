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
    from equilibria.batch import Summary, check_output, evaluate_shared, is_first, solve_file, write_answers
    from equilibria.diagnostics.calibration import Reliability
    from equilibria.diagnostics.diagnosis import Diagnosis
    from equilibria.diagnostics.evaluation import Evaluation, Row
    from equilibria.diagnostics.plots import plot_budget_grid, plot_reliability
    from equilibria.diagnostics.projection import plot_projection, project_states
    from equilibria.diagnostics.report import check_report, write_report
    from equilibria.diagnostics.voting import Voting, submission
    from equilibria.diagnostics.watching import Scene
    from equilibria.diagnostics.watching.film import draw_film, last_iteration
    from equilibria.diagnostics.watching.strip import draw_strip
    from equilibria.diagnostics.watching.terminal import scene_summary, scene_view
    from equilibria.errors import EquilibriaError
    from equilibria.inference.budget import Budget
    from equilibria.inference.engine import Report
    from equilibria.inference.limits import Limits, interruptible
    from equilibria.inference.recording import Record, Recorder, Recording
    from equilibria.interop import from_published, import_checkpoint, published_families
    from equilibria.loading import held_out_problems, load, load_for
    from equilibria.pipeline import Answer, Pipeline
    from equilibria.reasoners import Reasoner, families
    from equilibria.recipes import Recipe, load_recipe, recipe_names
    from equilibria.reproduce import Findings, Reproduction, Sheet, reproduction, reproductions
    from equilibria.runs import Plan, evaluation_problems, plan, record_scores, train, voting_problems
    from equilibria.shipped import find_checkpoint, shipped_names
    from equilibria.tasks import Problems, Scan, Task, load_task, task_names
    from equilibria.tasks.grids import Survey, survey
    from equilibria.tasks.picture import Cell, Panel
    from equilibria.tasks.picture.drawing import check_picture, draw_panels
    from equilibria.version import __version__

_HOMES = {
    "Answer": "pipeline",
    "Budget": "inference.budget",
    "Cell": "tasks.picture",
    "Diagnosis": "diagnostics.diagnosis",
    "Panel": "tasks.picture",
    "Limits": "inference.limits",
    "Record": "inference.recording",
    "Recorder": "inference.recording",
    "Recording": "inference.recording",
    "Reliability": "diagnostics.calibration",
    "Report": "inference.engine",
    "Scan": "tasks",
    "Scene": "diagnostics.watching",
    "Summary": "batch",
    "check_output": "batch",
    "check_picture": "tasks.picture.drawing",
    "check_report": "diagnostics.report",
    "draw_film": "diagnostics.watching.film",
    "draw_panels": "tasks.picture.drawing",
    "draw_strip": "diagnostics.watching.strip",
    "evaluate_shared": "batch",
    "interruptible": "inference.limits",
    "is_first": "batch",
    "plot_reliability": "diagnostics.plots",
    "solve_file": "batch",
    "write_answers": "batch",
    "write_report": "diagnostics.report",
    "EquilibriaError": "errors",
    "Evaluation": "diagnostics.evaluation",
    "Findings": "reproduce",
    "Pipeline": "pipeline",
    "Problems": "tasks",
    "Reasoner": "reasoners",
    "Recipe": "recipes",
    "Reproduction": "reproduce",
    "Sheet": "reproduce",
    "Survey": "tasks.grids",
    "Task": "tasks",
    "Voting": "diagnostics.voting",
    "__version__": "version",
    "evaluation_problems": "runs",
    "find_checkpoint": "shipped",
    "held_out_problems": "loading",
    "record_scores": "runs",
    "Plan": "runs",
    "Row": "diagnostics.evaluation",
    "families": "reasoners",
    "from_published": "interop",
    "import_checkpoint": "interop",
    "last_iteration": "diagnostics.watching.film",
    "load": "loading",
    "load_for": "loading",
    "load_recipe": "recipes",
    "load_task": "tasks",
    "plan": "runs",
    "plot_budget_grid": "diagnostics.plots",
    "plot_projection": "diagnostics.projection",
    "project_states": "diagnostics.projection",
    "published_families": "interop",
    "recipe_names": "recipes",
    "reproduction": "reproduce",
    "reproductions": "reproduce",
    "scene_summary": "diagnostics.watching.terminal",
    "scene_view": "diagnostics.watching.terminal",
    "shipped_names": "shipped",
    "submission": "diagnostics.voting",
    "survey": "tasks.grids",
    "task_names": "tasks",
    "train": "runs",
    "voting_problems": "runs",
}

__all__ = [
    "Answer",
    "Budget",
    "Cell",
    "Diagnosis",
    "EquilibriaError",
    "Evaluation",
    "Findings",
    "Limits",
    "Panel",
    "Pipeline",
    "Plan",
    "Problems",
    "Reasoner",
    "Recipe",
    "Record",
    "Recorder",
    "Recording",
    "Reliability",
    "Report",
    "Reproduction",
    "Row",
    "Scan",
    "Scene",
    "Sheet",
    "Summary",
    "Survey",
    "Task",
    "Voting",
    "__version__",
    "check_output",
    "check_picture",
    "check_report",
    "draw_film",
    "draw_panels",
    "draw_strip",
    "evaluate_shared",
    "evaluation_problems",
    "families",
    "find_checkpoint",
    "from_published",
    "held_out_problems",
    "import_checkpoint",
    "interruptible",
    "is_first",
    "last_iteration",
    "load",
    "load_for",
    "load_recipe",
    "load_task",
    "plan",
    "plot_budget_grid",
    "plot_projection",
    "plot_reliability",
    "project_states",
    "published_families",
    "recipe_names",
    "record_scores",
    "reproduction",
    "reproductions",
    "scene_summary",
    "scene_view",
    "shipped_names",
    "solve_file",
    "submission",
    "survey",
    "task_names",
    "train",
    "voting_problems",
    "write_answers",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'equilibria' has no attribute '{name}'")
    return getattr(importlib.import_module(f"equilibria.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
