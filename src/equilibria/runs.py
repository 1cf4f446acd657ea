"""From a recipe to a trained, saved reasoner; and what that will cost, before."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from equilibria.checkpoint import RECIPE
from equilibria.errors import CheckpointError, EquilibriaError
from equilibria.files import write_text
from equilibria.pipeline import Pipeline
from equilibria.recipes import Recipe, load_recipe, parse_recipe
from equilibria.tasks import Splits, Task, load_splits
from equilibria.training.cost import Cost, estimate
from equilibria.training.launch import Device, Launch
from equilibria.training.state import Progress
from equilibria.training.trainer import Run
from equilibria.training.trainer import train as run_training
from equilibria.version import code_version


@dataclass(frozen=True)
class Plan:
    """A run before it runs.

    Attributes:
        recipe: whole, overrides applied.
        cost: what it takes.
        data: where problems come from, or why they could not be read.
        dtype: of activations.
        device: where it would run.
    """

    recipe: Recipe
    cost: Cost
    data: str
    dtype: str
    device: str


def plan(recipe: str | Recipe, overrides: Sequence[str] = (), device: Device = "auto") -> Plan:
    """Count what a recipe costs without running it."""
    ready = _recipe(recipe, overrides)
    launch = Launch(device)
    task = ready.build_task()
    dtype = launch.dtype(ready.training.precision)
    cost = estimate(ready.build_reasoner(task), ready.training, dtype, launch.processes)
    try:
        data = read_splits(ready, task).description
    except EquilibriaError as error:
        data = f"not readable here: {error}"
    return Plan(ready, cost, data, str(dtype).removeprefix("torch."), str(launch.device))


def train(
    recipe: str | Recipe,
    overrides: Sequence[str] = (),
    *,
    out: str | Path | None = None,
    resume: bool = False,
    device: Device = "auto",
    quiet: bool = False,
) -> Pipeline:
    """Train a recipe and return the reasoner with its averaged weights.

    The run's folder holds `config.yaml`, `log.jsonl`, `tensorboard/`, `state.safetensors` (to resume) and
    two checkpoints: `best/` by held-out accuracy and `last/`.

    Args:
        recipe: a name, a YAML file, or a recipe.
        overrides: `section.key=value`.
        out: the run's folder; by default `runs/<recipe name>`.
        resume: go on where the run in that folder stopped.
        device: "auto", "cpu", "cuda" or "mps".
        quiet: print nothing.

    Raises:
        EquilibriaError: recipe, data or checkpoint cannot be used; training had to stop.
    """
    ready = _recipe(recipe, overrides)
    folder = Path(out) if out is not None else Path("runs") / ready.name
    if (folder / "state.safetensors").exists() and not resume:
        raise CheckpointError(f"{folder} holds a run already: go on with --resume, or choose another --out")
    launch = Launch(device)
    task = ready.build_task()
    splits = read_splits(ready, task)
    reasoner = ready.build_reasoner(task)
    pipeline = Pipeline(reasoner, task, ready, name=ready.name)
    overlap = task.overlap(splits.train, splits.held_out)

    def save_model(name: str, progress: Progress) -> None:
        pipeline.card = run_card(ready, splits, overlap, progress, launch, reasoner.parameter_count())
        pipeline.facts = {"step": str(progress.step), "held_out_exact": str(progress.best)}
        pipeline.save(folder / name)

    if launch.is_main:
        write_text(folder / RECIPE, ready.to_yaml())
    run = Run(
        folder=folder,
        identity=ready.identity(splits.train.fingerprint()),
        save_model=save_model,
        augment=ready.data.augment,
        resume=resume,
        quiet=quiet,
    )
    run_training(reasoner, task, splits, ready.training, run, launch)
    return pipeline


def read_splits(recipe: Recipe, task: Task) -> Splits:
    """The training and held-out problems of a recipe."""
    data = recipe.data
    return load_splits(
        task,
        data.source,
        limit=data.limit,
        held_out=data.held_out,
        held_out_count=data.held_out_count,
        count=data.count,
        seed=data.seed,
    )


def run_card(
    recipe: Recipe, splits: Splits, overlap: str, progress: Progress, launch: Launch, parameters: int
) -> str:
    """The card of a run: what it is, how it was made, how good it was when it was last looked at."""
    training, height_width = recipe.training, "x".join(str(side) for side in recipe.build_task().board)
    score = "not evaluated yet"
    if progress.best is not None:
        score = (
            f"best {100 * progress.best:.2f}% exact on "
            f"{min(training.evaluate_problems, len(splits.held_out)):,} held-out problems at depth {training.depth}, breadth 1 (step {progress.best_step:,})"
        )
    facts = {
        "Task": f"{recipe.task['name']} {height_width}",
        "Parameters": f"{parameters:,}",
        "Recipe": f"`{recipe.name}` ({recipe.summary})",
        "Data": splits.description,
        "Overlap": overlap,
        "Steps": f"{progress.step:,} of {training.steps:,}, batch {training.batch}, seed {training.seed}",
        "Training time": f"{progress.seconds / 60:.1f} minutes (evaluations and saves left out)",
        "Hardware": _hardware(launch),
        "Code": f"equilibria {code_version()}, torch {torch.__version__}",
        "While training": score,
    }
    lines = [f"| {name} | {value} |" for name, value in facts.items() if value]
    return "\n".join(
        [
            "---",
            "library_name: equilibria",
            "license: apache-2.0",
            f"tags: [equilibrium-reasoner, {recipe.task['name']}]",
            "---",
            f"# {recipe.name}",
            "",
            "A reasoner that thinks by settling: it refines a latent state until it stops moving and reads",
            "the answer off it. Load it with `equilibria.load(...)`, or name it with `--with` on the command line.",
            "",
            "| | |",
            "| --- | --- |",
            *lines,
            "",
        ]
    )


def _hardware(launch: Launch) -> str:
    if launch.device.type == "cuda":
        return f"{launch.processes} x {torch.cuda.get_device_name(launch.device)}"
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    return f"{name}, {os.cpu_count()} cores ({launch.device.type})"


def _recipe(recipe: str | Recipe, overrides: Sequence[str]) -> Recipe:
    if isinstance(recipe, Recipe):
        return parse_recipe(recipe.to_yaml(), overrides, where=recipe.name)
    return load_recipe(recipe, overrides)


def evaluation_problems(pipeline: Pipeline, source: str | Path | None, limit: int | None) -> Any:
    """Labelled problems to evaluate on: a file, or (None) what the recipe held out."""
    if source is None:
        return read_splits(pipeline.recipe, pipeline.task).held_out[:limit]
    return pipeline.task.read(source, limit=limit)
