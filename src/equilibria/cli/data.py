"""`equilibria data`: make problems."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import equilibria as eq
from equilibria.cli.options import Seed
from equilibria.errors import EquilibriaError

app = typer.Typer(help="Make problems.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Make problems."""


@app.command("make")
def make(
    task: Annotated[str, typer.Argument(help="The kind of problem, as in sudoku.")],
    out: Annotated[Path, typer.Option(help="The CSV file to write.")],
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 1000,
    box: Annotated[str, typer.Option(help="Sudoku: rows x columns of a box; 2x3 makes 6x6 boards.")] = "3x3",
    min_rating: Annotated[int, typer.Option(min=0, help="Least number of guesses a search needs.")] = 0,
    seed: Seed = 0,
) -> None:
    """Make uniquely solvable, minimal problems with their answers and ratings."""
    shape = box.lower().split("x")
    if len(shape) != 2 or not all(part.isdigit() for part in shape):
        raise EquilibriaError(f"--box '{box}': write rows x columns, as in 2x3")
    maker = eq.load_task({"name": task, "box": [int(part) for part in shape]})
    problems = maker.generate(count, seed=seed, min_rating=min_rating)
    maker.write(problems, out)
    Console().print(f"{len(problems):,} problems in {out}", highlight=False, soft_wrap=True)
