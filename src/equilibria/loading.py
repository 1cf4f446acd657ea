"""A reasoner by name: with its task, recipe, card and calibration, ready to solve."""

from collections.abc import Sequence
from pathlib import Path

import torch

from equilibria import checkpoint
from equilibria.errors import CheckpointError, DataError, RecipeError
from equilibria.inference.calibration import Calibration
from equilibria.pipeline import Pipeline
from equilibria.recipes import parse_recipe
from equilibria.shipped import find_checkpoint, shipped_names
from equilibria.tables import existing_file, read_columns, table_format
from equilibria.tasks import Problems
from equilibria.tasks.external import is_path

HELD_OUT = "held-out.csv"


def held_out_problems(name: str | Path) -> Problems:
    """The labelled problems that lie beside a shipped reasoner's weights: it never saw them in training.

    Raises:
        CheckpointError: this checkpoint brings none.
    """
    file = find_checkpoint(name) / HELD_OUT
    if not file.is_file():
        raise CheckpointError(f"{file}: this checkpoint brings no held-out problems")
    return load(name).task.read(file)


def load(name: str | Path, device: str | torch.device = "cpu", overrides: Sequence[str] = ()) -> Pipeline:
    """A shipped reasoner by name, a checkpoint folder, or a Hub id `owner/name`.

    Args:
        name: which.
        device: where it shall run.
        overrides: `section.key=value` on top of its recipe: how it is run, as in `reasoner.noise=0` or
            `inference.solver.name=anderson`; what its weights are made of cannot change.

    Raises:
        CheckpointError: there is none, it is damaged, or its weights do not fit the overrides.
        RecipeError: an override names something that does not exist or does not fit.
    """
    folder = find_checkpoint(name)
    content = checkpoint.read_checkpoint(folder)
    try:
        recipe = parse_recipe(content.recipe, where=str(folder / checkpoint.RECIPE))
    except RecipeError as error:
        raise CheckpointError(str(error)) from error
    program = str(recipe.task.get("name", ""))
    if is_path(program) and not any(override.startswith("task.name=") for override in overrides):
        raise CheckpointError(
            f"{folder}: its task is a program, {program}, and nothing that a checkpoint names is run "
            f"unasked; if you trust that file, say so: task.name={program}"
        )
    if overrides:
        recipe = parse_recipe(content.recipe, overrides, where=str(name))
    task = recipe.build_task()
    reasoner = recipe.build_reasoner(task)
    try:
        reasoner.load_state_dict(content.weights)
    except RuntimeError as error:
        raise CheckpointError(f"{folder}: weights do not fit the recipe beside them: {error}") from error
    reasoner.to(device).eval()
    calibration = None
    if content.calibration:
        calibration = Calibration.from_json(content.calibration, str(folder / checkpoint.CALIBRATION))
    return Pipeline(reasoner, task, recipe, content.card, content.facts, str(name), calibration)


def load_for(given: str | Path, device: str | torch.device = "cpu") -> Pipeline:
    """The shipped reasoner whose task can read `given`: text, or a file, whose first problems decide.

    Raises:
        CheckpointError: none can; says what ships.
        DataError: it is no problem of any kind.
    """
    texts = _first_problems(given) if isinstance(given, Path) else [given]
    shapes: list[str] = []
    fault: DataError | None = None
    pipelines = [load(name, device) for name in shipped_names()]
    for text in texts:
        for pipeline in pipelines:
            try:
                if type(pipeline.task).for_text(text).board == pipeline.task.board:
                    return pipeline
            except DataError as error:
                fault = fault or error
    if fault is not None:
        raise fault
    for pipeline in pipelines:
        height, width = pipeline.task.board
        shapes.append(f"{pipeline.name} ({pipeline.task.name} {height}x{width})")
    raise CheckpointError(
        f"no shipped reasoner fits this problem; there are: {', '.join(shapes) or 'none'}. "
        "Train one (equilibria train) and name it with --with"
    )


def _first_problems(path: Path) -> list[str]:
    """The first problems of a file, as text; some of them may be no problems."""
    if table_format(path) is None:
        return [existing_file(path).read_text(encoding="utf-8-sig", errors="replace")]
    chunk = next(read_columns(path, only=("question",), rows=16))
    texts = [text for text in chunk.columns.get("question", []) if isinstance(text, str)]
    if not texts:
        raise DataError(f"{path}: no problem is written as text in it; name the reasoner (--with)")
    return texts
