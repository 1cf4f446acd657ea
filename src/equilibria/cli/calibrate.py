"""`equilibria calibrate`: how probable the answers of a reasoner are right, learned and checked."""

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import equilibria as eq
from equilibria.cli.options import Device, Seed, resolve_device
from equilibria.cli.progress import meter
from equilibria.files import write_text


def calibrate(
    checkpoint: Annotated[str, typer.Argument(help="Shipped reasoner, checkpoint folder, or Hub id.")],
    data: Annotated[
        str | None, typer.Option(help="Labelled problems; without it, those the recipe held out.")
    ] = None,
    depth: Annotated[int | None, typer.Option(help="Most iterations per trajectory.")] = None,
    breadth: Annotated[int | None, typer.Option(help="Most restarts per problem.")] = None,
    nfe: Annotated[int | None, typer.Option(help="Most function evaluations per problem.")] = None,
    halting: Annotated[str, typer.Option(help="recipe, fixed, learned or residual.")] = "recipe",
    restarts: Annotated[str | None, typer.Option(help="fixed, until-settled or until-agreement.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many problems.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write it to this file instead of into the checkpoint's folder.")
    ] = None,
    png: Annotated[Path | None, typer.Option(help="Draw the reliability diagram here.")] = None,
    dtype: Annotated[str, typer.Option(help="Activations: fp32 or bf16.")] = "fp32",
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Learn from half of the problems how probable answers are right, and check it on the other half.

    The checkpoint keeps what was learned, for `equilibria solve --confidence`. It holds for problems like
    these, run with this depth and halting.
    """
    console = Console()
    pipeline = eq.load(checkpoint, resolve_device(device)).compute_in(dtype)
    problems = eq.evaluation_problems(pipeline, data, limit)
    with meter("calibrating", len(problems)) as shown:
        found = pipeline.calibrate(
            problems,
            seed=seed,
            watch=shown.watch,
            depth=depth,
            breadth=breadth,
            nfe=nfe,
            halting=halting,
            restarts=restarts,
        )
    assert pipeline.calibration is not None
    file = out or eq.find_checkpoint(checkpoint) / "calibration.json"
    write_text(file, pipeline.calibration.to_json())
    if png is not None:
        eq.plot_reliability(found, png, f"{pipeline.name}, depth {pipeline.calibration.conditions['depth']}")
    table = Table(
        title=f"{pipeline.name}: answers to {found.problems:,} problems that nothing was learned from",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in ("answers", "probability, mean", "right"):
        table.add_column(name, justify="right")
    for row in found.bins:
        table.add_row(f"{row.count:,}", f"{row.predicted:.3f}", f"{row.right:.3f}")
    console.print(table)
    console.print(
        f"expected calibration error {100 * found.error:.2f}%; "
        f"{100 * pipeline.calibration.about['right']:.1f}% right; learned from "
        f"{pipeline.calibration.about['problems']:,} others; written to {file}",
        highlight=False,
        soft_wrap=True,
    )
