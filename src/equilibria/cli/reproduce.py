"""`equilibria reproduce`: a paper's table or figure, beside the published numbers."""

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import equilibria as eq
from equilibria.cli.options import Device


def reproduce(
    name: Annotated[str, typer.Argument(help="Which; without it, or with `list`, all are listed.")] = "list",
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
    chosen = eq.reproduction(name)
    console.print(f"[bold]{chosen.name}[/]: {chosen.what}", highlight=False)
    console.print(f"cost: {chosen.cost(scale)}", highlight=False)

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    folder = out or Path("runs/reproduce") / chosen.name
    findings = chosen.make(scale, overrides or [], out=folder, seeds=seeds, jobs=jobs, device=device, say=say)
    for sheet in findings.sheets:
        if sheet.columns:
            console.print(_table(sheet))
    for note in findings.notes:
        say(note)
    say(f"written to {folder}: {', '.join(sorted(file.name for file in folder.iterdir()))}")
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text((folder / "findings.json").read_text(encoding="utf-8"), encoding="utf-8")


def _everything() -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("name", "what", "scale", "cost"):
        table.add_column(heading, no_wrap=heading in ("name", "scale"))
    for one in eq.reproductions():
        for place, (scale, cost) in enumerate(one.scales.items()):
            table.add_row(*((one.name, one.what) if place == 0 else ("", "")), scale, cost)
    return table


def _table(sheet: "eq.Sheet") -> Table:
    table = Table(title=sheet.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.padding = (0, 1, 0, 0)
    for place, heading in enumerate(sheet.columns):
        table.add_column(heading, justify="right" if place else "left", no_wrap=not place)
    for cells in sheet.shown():
        table.add_row(*cells)
    return table
