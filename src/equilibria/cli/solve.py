"""`equilibria solve`: problems in, answers out, each with what it cost and how far to trust it."""

import csv
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

import equilibria as eq
from equilibria.cli.options import Device, Seed, With, resolve_device
from equilibria.files import write_atomically

FEW = 3  # so many boards are drawn whole; more become lines of a table


def solve(
    problem: Annotated[
        str, typer.Argument(metavar="PUZZLE|FILE|-", help="A puzzle, a file of puzzles, or - for stdin.")
    ],
    reasoner: With = None,
    depth: Annotated[int | None, typer.Option(help="Iterations per trajectory.")] = None,
    breadth: Annotated[int | None, typer.Option(help="Restarts per problem.")] = None,
    halting: Annotated[
        str, typer.Option(help="recipe: as it says; fixed: full depth; learned: the halting head may stop.")
    ] = "recipe",
    selection: Annotated[
        str, typer.Option(help="convergence, logit-convergence, majority or halting.")
    ] = "convergence",
    out: Annotated[Path | None, typer.Option(help="Write the answers to this CSV file.")] = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Solve problems. Exits with 1 if any answer breaks the rules of its task, and says which."""
    console = Console()
    path = Path(problem) if problem != "-" and _is_file(problem) else None
    text = path.read_text(encoding="utf-8", errors="replace") if path else problem
    if problem == "-":
        text = sys.stdin.read()
    where = resolve_device(device)
    pipeline = eq.load(reasoner, where) if reasoner else eq.load_for(text, where)
    problems = pipeline.problems(path if path else text)
    budget = pipeline.budget(depth=depth, breadth=breadth, halting=halting, selection=selection)
    console.print(
        f"[bold]{pipeline.name}[/]: {len(problems):,} "
        f"{'problem' if len(problems) == 1 else 'problems'}, depth {budget.depth}, breadth {budget.breadth}",
        highlight=False,
    )
    stream = pipeline.stream(
        problems, seed=seed, depth=depth, breadth=breadth, halting=halting, selection=selection
    )
    shown = track(
        stream, total=len(problems), description="solving", console=Console(stderr=True), transient=True
    )
    answers = list(shown)
    if len(answers) <= FEW:
        for place, answer in enumerate(answers):
            console.print()
            console.print(pipeline.task.render(problems.inputs[place], answer.tokens))
            console.print(_facts(answer), highlight=False, soft_wrap=True)
    else:
        console.print(_table(answers))
    if out is not None:
        write_atomically(out, lambda partial: _write(partial, answers))
        console.print(f"{len(answers):,} answers in {out}", highlight=False, soft_wrap=True)
    _conclude(console, answers)


def _is_file(problem: str) -> bool:
    try:
        return Path(problem).is_file()
    except OSError:  # a pasted board can be longer than a file name may be
        return False


def _facts(answer: Any) -> str:
    verdict = "keeps all rules" if answer.valid else "BREAKS THE RULES: " + "; ".join(answer.violations[:3])
    rest = "settled" if answer.settled else "not settled"
    return (
        f"{answer.answer}\n{verdict}; {rest} (residual {answer.residual:.2f}, "
        f"{answer.relative_residual:.3f} per element); {answer.nfe:,} iterations; "
        f"{100 * answer.agreement:.0f}% of restarts agree"
    )


def _table(answers: list[Any]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("answer", overflow="fold")
    for name in ("rules", "rest", "residual", "NFE", "agree"):
        table.add_column(name, justify="right")
    for place, answer in enumerate(answers, start=1):
        table.add_row(
            str(place),
            answer.answer,
            "ok" if answer.valid else "BROKEN",
            "yes" if answer.settled else "no",
            f"{answer.residual:.2f}",
            f"{answer.nfe:,}",
            f"{100 * answer.agreement:.0f}%",
        )
    return table


def _write(path: Path, answers: list[Any]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "answer", "valid", "settled", "residual", "nfe", "agreement"])
        for answer in answers:
            writer.writerow(
                [
                    answer.problem,
                    answer.answer,
                    answer.valid,
                    answer.settled,
                    f"{answer.residual:.6g}",
                    answer.nfe,
                    f"{answer.agreement:.4f}",
                ]
            )


def _conclude(console: Console, answers: list[Any]) -> None:
    broken = [place for place, answer in enumerate(answers, start=1) if not answer.valid]
    if len(answers) > 1:
        settled = sum(answer.settled for answer in answers)
        console.print(
            f"{len(answers) - len(broken):,} of {len(answers):,} answers keep all rules; {settled:,} settled",
            highlight=False,
        )
    if broken:
        listed = ", ".join(str(place) for place in broken[:20]) + (" …" if len(broken) > 20 else "")
        console.print(
            f"[bold]{len(broken):,} broken[/]: number {listed}. More depth or breadth may help.",
            highlight=False,
        )
        raise typer.Exit(1)
