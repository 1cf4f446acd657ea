"""The command line: one file a command, each calling only what `import equilibria` offers."""

import sys

import typer
from rich.console import Console

from equilibria.cli import (
    calibrate,
    data,
    demo,
    diagnose,
    evaluate,
    import_,
    list_,
    reproduce,
    solve,
    train,
    watch,
)
from equilibria.errors import EquilibriaError

app = typer.Typer(
    name="equilibria",
    help="Reasoners that think by settling: train, scale and study small weight-tied networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("solve")(solve.solve)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("calibrate")(calibrate.calibrate)
app.command("diagnose")(diagnose.diagnose)
app.command("list")(list_.list_everything)
app.command("import")(import_.import_checkpoint)
app.command("demo")(demo.demo)
app.command("watch")(watch.watch)
app.command("reproduce")(reproduce.reproduce)
app.add_typer(data.app, name="data")


def main() -> None:
    """Run a command; a user's mistake ends in one message and status 2, without a traceback."""
    try:
        app()
    except EquilibriaError as error:
        Console(stderr=True).print(
            f"[bold red]error:[/] {_plain(str(error))}", highlight=False, soft_wrap=True
        )
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output (head, less) has left
        sys.stderr.close()
        sys.exit(1)


def _plain(text: str) -> str:
    """Text whose square brackets are not markup."""
    return text.replace("[", "\\[")
