"""`equilibria reproduce`: a paper's table or figure, beside the published numbers."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import equilibria as eq
from equilibria.cli.options import Device
from equilibria.errors import EquilibriaError, Stopped

RESULTS = Path("runs/reproduce")
NAME = 24
"""Letters up to which a first column holds names, which are not broken; longer ones are sentences."""


def reproduce(
    name: Annotated[
        str, typer.Argument(help="Which; `list`, as without it, lists them, `all` makes one after the other.")
    ] = "list",
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="On top of every recipe, as in training.steps=500."),
    ] = None,
    scale: Annotated[str, typer.Option(help="cpu: small, in minutes; paper: as published.")] = "cpu",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results; runs/reproduce/<name> by default.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Runs of each kind, with seeds of their own; 2 for training.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs side by side; by default one a core, or one on a GPU.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all numbers to this file.")] = None,
    device: Device = "auto",
) -> None:
    """Make a paper's table or figure again. Ctrl-C saves; the same command goes on."""
    console = Console()
    if name == "list":
        console.print(_everything())
        return
    how: dict[str, Any] = {"seeds": seeds, "jobs": jobs, "device": device}
    if name == "all":
        if json_file is not None:
            raise EquilibriaError("--json is of one reproduction; all write findings.json to their folders")
        _make_all(console, scale, overrides or [], out or RESULTS, how)
        return
    folder = out or RESULTS / name
    _make(console, eq.reproduction(name), scale, overrides or [], folder, how)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text((folder / "findings.json").read_text(encoding="utf-8"), encoding="utf-8")


def _make(
    console: Console,
    chosen: "eq.Reproduction",
    scale: str,
    overrides: list[str],
    folder: Path,
    how: dict[str, Any],
) -> None:
    console.print(f"[bold]{chosen.name}[/]: {chosen.what}", highlight=False)
    console.print(f"cost: {chosen.cost(scale)}", highlight=False)

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    findings = chosen.make(scale, overrides, out=folder, say=say, **how)
    for sheet in findings.sheets:
        if sheet.columns:
            console.print(_table(sheet))
    for note in findings.notes:
        say(note)
    say(f"written to {folder}: {', '.join(sorted(file.name for file in folder.iterdir()))}")


def _make_all(console: Console, scale: str, overrides: list[str], results: Path, how: dict[str, Any]) -> None:
    """One after the other; what cannot be made here is told at the end and stops none of the others."""
    failed: list[tuple[str, str]] = []
    for one in eq.reproductions():
        if one.finished(results / one.name, scale, overrides, how["seeds"]):
            console.print(f"[bold]{one.name}[/]: made already, in {results / one.name}", highlight=False)
            continue
        try:
            _make(console, one, scale, overrides, results / one.name, how)
        except Stopped:
            raise
        except EquilibriaError as error:
            failed.append((one.name, str(error)))
    for name, reason in failed:
        console.print(f"not made: {name}: {reason}", highlight=False, markup=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _everything() -> Table:
    """Each with what it is and, below that, what it costs at each scale: readable in 80 columns."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="dim")
    table.add_column()
    for one in eq.reproductions():
        table.add_row(f"[bold]{one.name}[/]", "", f"[bold]{one.what}[/]")
        for scale, cost in one.scales.items():
            table.add_row("", scale, cost)
    return table


def _table(sheet: "eq.Sheet") -> Table:
    table = Table(title=sheet.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.padding = (0, 1, 0, 0)
    shown = sheet.shown()
    named = max((len(cells[0]) for cells in shown), default=0) <= NAME
    for place, heading in enumerate(sheet.columns):
        table.add_column(heading, justify="right" if place else "left", no_wrap=named and not place)
    for cells in shown:
        table.add_row(*cells)
    return table
