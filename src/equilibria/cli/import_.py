"""`equilibria import`: a published checkpoint becomes one of ours."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import equilibria as eq
from equilibria.errors import EquilibriaError


def _list_families(wanted: bool) -> None:
    """Print them and leave; to look them up takes a second, which `--help` should not."""
    if wanted:
        Console().print("\n".join(eq.published_families()), highlight=False)
        raise typer.Exit


def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="The published .pth file.")],
    family: Annotated[str, typer.Option(help="Whose weights they are; --families lists what can be read.")],
    recipe: Annotated[
        str | None, typer.Option(help="Recipe with its task; that of its Sudoku model by default.")
    ] = None,
    architecture: Annotated[
        Path | None,
        typer.Option(help="JSON with the peer's architecture options, where the file lacks them."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; the file's name by default.")] = None,
    families: Annotated[
        bool,
        typer.Option("--families", is_eager=True, callback=_list_families, help="List families and exit."),
    ] = False,
) -> None:
    """Convert published weights (EMA where present). Nothing in the file is executed."""
    options = None
    if architecture is not None:
        try:
            options = json.loads(architecture.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise EquilibriaError(f"{architecture}: not readable as JSON: {error}") from error
    pipeline = eq.import_checkpoint(file, family, recipe, options)
    target = out or Path(file.stem)
    pipeline.save(target)
    Console().print(
        f"{pipeline.reasoner.parameter_count():,} parameters in {target}; "
        f"try: equilibria solve PUZZLE --with {target}",
        highlight=False,
        soft_wrap=True,
    )
