"""`equilibria data`: make problems, and look into those you have."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from yaml import YAMLError, safe_load

import equilibria as eq
from equilibria.cli.answers import DRAWN, say_drawn
from equilibria.cli.options import Seed
from equilibria.cli.survey import show_survey
from equilibria.errors import EquilibriaError

app = typer.Typer(help="Make problems, and look into those you have.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Make problems, and look into those you have."""


@app.command("inspect")
def inspect(
    source: Annotated[
        str, typer.Argument(help="A file (.jsonl, .csv, .npz, .parquet), a folder, or a Hub data set.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="As in ignore=-1, symmetry=dihedral or height=9 width=9."),
    ] = None,
    cost: Annotated[bool, typer.Option(help="Say what training on it would cost.")] = True,
    png: Annotated[
        Path | None, typer.Option(help=f"Draw the first {DRAWN} problems and their answers here.")
    ] = None,
) -> None:
    """Say what a file of grids was understood to hold, and what in it would make training hard."""
    values = _values(settings or [])
    if png is not None:
        eq.check_picture(png)
    eq.load_task({"name": "grids"} | values)  # says which key is wrong
    survey = eq.survey(source, values)
    console = Console()
    show_survey(survey, source, settings or [], console, cost=cost)
    if png is not None:
        _draw(survey, png, console)


@app.command("make")
def make(
    task: Annotated[str, typer.Argument(help="The kind of problem: sudoku, maze or permutations.")],
    out: Annotated[Path, typer.Option(help="The file to write: .csv, .jsonl, .npz or .parquet.")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="What the task can be told, as in size=11 or group=S5."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 1000,
    box: Annotated[
        str | None,
        typer.Option(help="Sudoku: rows x columns of a box; 2x3 makes 6x6 boards. Without it 3x3."),
    ] = None,
    min_rating: Annotated[
        int,
        typer.Option(min=0, help="Least rating: guesses (sudoku), steps (maze), elements (permutations)."),
    ] = 0,
    seed: Seed = 0,
) -> None:
    """Make distinct problems with their answers and ratings."""
    maker = eq.load_task({"name": task} | _values(settings or []) | _shape(box))
    problems = maker.generate(count, seed=seed, min_rating=min_rating)
    maker.write(problems, out)
    Console().print(f"{len(problems):,} problems in {out}", highlight=False, soft_wrap=True)


def _draw(survey: "eq.Survey", png: Path, console: Console) -> None:
    """The first problems of the first file, with their answers."""
    file, _, there = survey.files[0]
    few = survey.task.read(file, limit=DRAWN)
    assert few.labels is not None
    drawn = [
        (f"{number} · {source}", survey.task.panels(given, None, label))
        for number, (source, given, label) in enumerate(
            zip(few.sources, few.inputs, few.labels, strict=True), 1
        )
    ]
    eq.draw_panels(drawn, png)
    say_drawn(console, len(few), there, png)


def _values(settings: list[str]) -> dict[str, Any]:
    """`size=11` → {"size": 11}: values are YAML, as in a recipe."""
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not key or not equals:
            raise EquilibriaError(f"'{setting}': write KEY=VALUE, as in size=11")
        if key in values or key == "name":
            raise EquilibriaError(
                f"'{setting}': {'the task is named already' if key == 'name' else 'given twice'}"
            )
        try:
            values[key] = safe_load(value)
        except YAMLError:
            raise EquilibriaError(f"'{setting}': the value is not YAML; put it in quotes") from None
    return values


def _shape(box: str | None) -> dict[str, list[int]]:
    """`2x3` → {"box": [2, 3]}."""
    if box is None:
        return {}
    shape = box.lower().split("x")
    if len(shape) != 2 or not all(part.isdigit() for part in shape):
        raise EquilibriaError(f"--box '{box}': write rows x columns, as in 2x3")
    return {"box": [int(part) for part in shape]}
