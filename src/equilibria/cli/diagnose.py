"""`equilibria diagnose`: is my reasoner settling on the right answers, and what shall I do?"""

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import equilibria as eq
from equilibria.cli.options import Device, Seed, resolve_device
from equilibria.cli.progress import meter


def diagnose(
    checkpoint: Annotated[str, typer.Argument(help="Shipped reasoner, checkpoint folder, or Hub id.")],
    data: Annotated[
        str | None, typer.Option(help="Labelled problems; without it, those the recipe held out.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Only the first so many problems.")] = 512,
    depth: Annotated[int, typer.Option(help="Most iterations per trajectory.")] = 16,
    breadth: Annotated[int, typer.Option(help="Restarts per problem.")] = 32,
    out: Annotated[Path, typer.Option(help="Write the page here; its numbers beside it as .json.")] = Path(
        "report.html"
    ),
    halting: Annotated[
        str,
        typer.Option(
            help="settled: restarts that have come to rest leave; fixed: all run their depth; learned, "
            "residual or recipe: as in solve."
        ),
    ] = "settled",
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="As in reasoner.initial=gaussian; repeatable."),
    ] = None,
    dtype: Annotated[str, typer.Option(help="Activations: fp32 or bf16.")] = "fp32",
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Measure the landscape of attractors and say what to do about it: a page, and its numbers as JSON.

    Restarts of every problem are run once. The page shows where they settle, whether rest means right, what
    more depth or more restarts would bring, and what in training or data stands in the way.
    """
    eq.check_report(out)
    changes = change or []
    pipeline = eq.load(checkpoint, resolve_device(device), changes).compute_in(dtype)
    trained = eq.load(checkpoint).recipe if changes else pipeline.recipe
    problems = eq.evaluation_problems(pipeline, data, limit)
    with meter("diagnosing", len(problems)) as shown:
        found = pipeline.diagnose(
            problems,
            depth=depth,
            breadth=breadth,
            halting=halting,
            seed=seed,
            watch=shown.watch,
            data=data or "",
            changes=changes,
            trained=trained,
        )
    numbers = eq.write_report(found, out)
    _tell(Console(), found)
    Console().print(f"the page is {out}, its numbers {numbers}", highlight=False, soft_wrap=True)


def _tell(console: Console, found: "eq.Diagnosis") -> None:
    """The page in a few lines."""
    console.print(f"[bold]{escape(found.verdict)}[/]", highlight=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("", *(str(point.depth) for point in found.accuracy.by_depth)):
        table.add_column(name, justify="right" if name else "left")
    points = found.accuracy.by_depth
    table.add_row("right after so many iterations, %", *(f"{100 * point.accuracy:.1f}" for point in points))
    table.add_row("settled by then, %", *(f"{100 * point.settled:.1f}" for point in points))
    console.print(table)
    modes = ", ".join(f"({mode.mode}) {100 * mode.share:.1f}%" for mode in found.modes)
    console.print(
        f"landscapes: {modes} · residual tells right from wrong with AUROC {found.coupling.auroc:.3f} · "
        f"{found.setting.nfe:,} iterations in {found.setting.seconds:.0f} s",
        highlight=False,
    )
    for advice in found.advice:
        console.print(f"\n[bold]{escape(advice.title)}.[/] {escape(advice.why)}", highlight=False)
        if advice.command:
            console.print(f"  {escape(advice.command)}", highlight=False, soft_wrap=True, style="cyan")
    console.print()
