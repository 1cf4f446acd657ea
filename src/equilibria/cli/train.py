"""`equilibria train`: a recipe, with overrides, to a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import equilibria as eq
from equilibria.cli.options import Device


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe by name (see `equilibria list`) or a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="As in training.steps=500.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; runs/<recipe> by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run stopped.")] = False,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Start from the weights of a shipped reasoner, a checkpoint folder or a Hub id; "
            "with --resume, at their step."
        ),
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(min=0, help="Save and stop after so many minutes, evaluations included.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what it will cost; run nothing.")] = False,
    device: Device = "auto",
) -> None:
    """Train a reasoner. Ctrl-C saves and stops; --resume goes on."""
    console = Console()
    if dry_run:
        console.print(plan_table(eq.plan(recipe, overrides or [], device)))
        return
    pipeline = eq.train(
        recipe, overrides or [], out=out, resume=resume, weights=weights, minutes=max_minutes, device=device
    )
    folder = out or Path("runs") / pipeline.recipe.name
    # A run stopped before its first evaluation has no best yet.
    written = [str(folder / name) for name in ("best", "last") if (folder / name).is_dir()]
    console.print(f"checkpoints: {' and '.join(written)}", highlight=False, soft_wrap=True)


def plan_table(plan: "eq.Plan") -> Table:
    """What a run will cost, for a terminal."""
    table = Table(title=f"{plan.recipe.name}: {plan.recipe.summary}", show_header=False, title_justify="left")
    cost, training = plan.cost, plan.recipe.training
    facts = {
        "parameters": f"{cost.parameters:,}",
        "equivalent layers": f"{cost.equivalent_layers} an iteration, {cost.tracked_layers} with gradient",
        "FLOPs": f"{_si(cost.flops_per_step)}FLOP a step, {_si(cost.flops)}FLOP "
        f"in {training.steps:,} steps; {_si(cost.flops_per_iteration)}FLOP an inference iteration",
        "memory": f"about {_si(cost.memory)}B a process (batch {training.batch:,}, {plan.dtype}), "
        "kernel workspace not included",
        "device": f"{plan.device}, activations in {plan.dtype}",
        "data": plan.data,
        "hardware": plan.recipe.hardware or "not run yet",
    }
    for name, value in facts.items():
        table.add_row(name, value)
    return table


def _si(value: float) -> str:
    """A number with a decimal prefix: 1.23 T."""
    for prefix in ("", "k", "M", "G", "T", "P"):
        if value < 1000:
            return f"{value:.3g} {prefix}"
        value /= 1000
    return f"{value:.3g} E"
