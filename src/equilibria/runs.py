"""From a recipe to a trained, saved reasoner; and what that will cost, before."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from equilibria.cards import run_card, with_scores
from equilibria.checkpoint import RECIPE, read_checkpoint
from equilibria.diagnostics.evaluation import Evaluation
from equilibria.diagnostics.voting import Voting, first_puzzles, voters
from equilibria.errors import CheckpointError, EquilibriaError
from equilibria.files import write_text
from equilibria.pipeline import Pipeline
from equilibria.reasoners import Reasoner
from equilibria.recipes import Recipe, load_recipe, parse_recipe
from equilibria.shipped import find_checkpoint
from equilibria.tasks import Problems, Splits, Task, load_splits
from equilibria.training.cost import Cost, estimate
from equilibria.training.launch import Launch
from equilibria.training.state import Progress, read_progress
from equilibria.training.trainer import Run
from equilibria.training.trainer import train as run_training


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


def plan(recipe: str | Recipe, overrides: Sequence[str] = (), device: str = "auto") -> Plan:
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
    weights: str | Path | None = None,
    minutes: float | None = None,
    device: str = "auto",
    quiet: bool = False,
) -> Pipeline:
    """Train a recipe and return the reasoner with its averaged weights.

    The run's folder holds `config.yaml`, `log.jsonl`, `tensorboard/`, `state.safetensors` (to resume) and
    two checkpoints: `best/` by held-out accuracy and `last/`.

    Args:
        recipe: a name, a YAML file, or a recipe.
        overrides: `section.key=value`.
        out: the run's folder; by default `runs/<recipe name>`.
        resume: go on where the run in that folder stopped; with `weights`, where those stand, with a fresh
            optimizer that is warmed up once more.
        weights: a shipped reasoner, a checkpoint folder or a Hub id to start from instead of random weights.
        minutes: save and stop after so many, evaluations included.
        device: "auto", "cpu", "cuda" or "mps".
        quiet: print nothing.

    Raises:
        EquilibriaError: recipe, data or checkpoint cannot be used; training had to stop.
    """
    ready = _recipe(recipe, overrides)
    folder = Path(out) if out is not None else Path("runs") / ready.name
    if (folder / "state.safetensors").exists() and (weights is not None or not resume):
        raise CheckpointError(f"{folder} holds a run already: go on with --resume, or choose another --out")
    launch = Launch(device)
    task = ready.build_task()
    splits = read_splits(ready, task)
    if launch.is_main and not quiet:
        _warn_of_contradictions(splits.train)
    reasoner = ready.build_reasoner(task)
    pipeline = Pipeline(reasoner, task, ready, name=ready.name)
    first_step = start_from(reasoner, ready, weights, resume) if weights is not None else 0

    def save_model(name: str, progress: Progress) -> None:
        pipeline.card = run_card(ready, task, splits, progress, launch, reasoner.parameter_count())
        pipeline.facts = {"step": str(progress.step), "held_out_exact": str(progress.best)}
        pipeline.save(folder / name)

    run = Run(
        folder=folder,
        identity=ready.identity(splits.train.fingerprint()),
        save_model=save_model,
        solver=ready.solver,
        augment=ready.data.augment,
        resume=resume and weights is None,
        first_step=first_step,
        minutes=minutes,
        quiet=quiet,
    )
    if run.resume:
        read_progress(run.state, run.identity)  # a run of another recipe keeps its own
    if launch.is_main:
        write_text(folder / RECIPE, ready.to_yaml())
    run_training(reasoner, task, splits, ready.training, run, launch)
    return pipeline


def start_from(reasoner: Reasoner[Any], recipe: Recipe, weights: str | Path, resume: bool) -> int:
    """Give `reasoner` the weights of a checkpoint; returns the step of the run that goes on from there.

    Raises:
        CheckpointError: there is no such checkpoint, it does not fit the recipe, or the run is over already.
    """
    content = read_checkpoint(find_checkpoint(weights))
    try:
        reasoner.load_state_dict(content.weights)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise CheckpointError(
            f"{weights}: its weights do not fit the recipe {recipe.name} ({first}); train its own recipe "
            f"({find_checkpoint(weights) / RECIPE}), or start without --weights"
        ) from error
    if not resume:
        return 0
    step = int(content.facts.get("step", 0))
    if step >= recipe.training.steps:
        raise CheckpointError(
            f"{weights} stands at step {step:,}, the end of the recipe ({recipe.training.steps:,} steps): "
            "raise training.steps, or leave out --resume to begin at step 0 from these weights"
        )
    return step


def read_splits(recipe: Recipe, task: Task) -> Splits:
    """The training and held-out problems of a recipe."""
    data = recipe.data
    return load_splits(
        task,
        data.source,
        limit=data.limit,
        only=data.only,
        held_out=data.held_out,
        held_out_count=data.held_out_count,
        count=data.count,
        seed=data.seed,
    )


def _warn_of_contradictions(train: Problems) -> None:
    """Say so where one input has several labels."""
    several, inputs = train.contradicted()
    if not several:
        return
    Console(stderr=True).print(
        f"note: {several:,} of {inputs:,} inputs to train on ({several / inputs:.1%}) have several answers. "
        "Each pulls towards itself, so the attractors compete, and more depth or restarts stop helping "
        "(EqR, App. C.2). Keep one answer by a rule that the input decides, or leave these inputs out; "
        "equilibria data inspect says where they are.",
        style="yellow",
        highlight=False,
        soft_wrap=True,
    )


def _recipe(recipe: str | Recipe, overrides: Sequence[str]) -> Recipe:
    """The recipe that runs: overrides applied, and nothing of its task left open."""
    if isinstance(recipe, Recipe):
        return parse_recipe(recipe.to_yaml(), overrides, where=recipe.name).fitted()
    return load_recipe(recipe, overrides).fitted()


def evaluation_problems(
    pipeline: Pipeline, source: str | Path | None = None, limit: int | None = None
) -> Problems:
    """Labelled problems to evaluate on: those of a file, or (None) those the recipe held out."""
    if source is None:
        return read_splits(pipeline.recipe, pipeline.task).held_out[:limit]
    return pipeline.task.read(source, limit=limit)


def voting_problems(
    pipeline: Pipeline, source: str | Path | None = None, limit: int | None = None
) -> Problems:
    """As `evaluation_problems`, to vote on: `limit` counts puzzles, and each comes with all of its tests.

    Raises:
        DataError: the task has no variants that could vote.
    """
    voters(pipeline.task)  # before anything is read
    problems = evaluation_problems(pipeline, source)
    return problems if limit is None else first_puzzles(problems, limit)


def record_scores(
    pipeline: Pipeline,
    evaluation: Evaluation,
    folder: Path,
    command: str,
    votings: Sequence[Voting] = (),
) -> None:
    """Write an evaluation into the checkpoint in `folder`: its card, and the best cell as its score."""
    pipeline.card = with_scores(pipeline.card, evaluation, command, votings)
    best = max(evaluation.rows, key=lambda row: (row.source == row.rating == "all", row.depth * row.breadth))
    row = evaluation.row(best.depth, best.breadth, "convergence" if best.breadth > 1 else "average")
    score = f"{100 * row.exact_accuracy:.2f}% of {best.problems:,} at ({best.depth}, {best.breadth})"
    if row.valid_accuracy is not None:
        score += f", {100 * row.valid_accuracy:.2f}% valid"
    pipeline.facts = (pipeline.facts or {}) | {"score": score}
    pipeline.save(folder)
