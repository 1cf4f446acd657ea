"""`equilibria demo`: a puzzle settling, what depth and breadth buy, and real 9x9 puzzles; none trained on."""

import time
from typing import Annotated

import typer
from rich.columns import Columns
from rich.console import Console
from rich.panel import Panel
from rich.progress import Progress
from rich.table import Table

import equilibria as eq

NAME, LARGE = "sudoku-6x6", "sudoku-9x9"
DEPTHS, BREADTH = (1, 2, 4, 6, 7, 8, 16), 8
DEEP = 64


def demo(
    problems: Annotated[int, typer.Option(min=32, help="Held-out puzzles to solve.")] = 256,
) -> None:
    """Solve held-out puzzles with a shipped reasoner and show what depth and breadth buy."""
    console = Console()
    pipeline = eq.load(NAME)
    held_out = eq.held_out_problems(NAME)
    console.rule(
        f"[bold]{NAME}[/]: {pipeline.reasoner.parameter_count():,} parameters, iterated until at rest"
    )
    _one_puzzle(console, pipeline, held_out)

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(f"solving {problems} puzzles", total=2 * problems)
        wide = pipeline.evaluate(
            held_out[:problems],
            depths=DEPTHS,
            breadths=(1, BREADTH),
            halting="fixed",
            watch=lambda report: progress.update(bar, completed=report.done),
        )
        deep = pipeline.evaluate(
            held_out[:problems],
            depths=(DEPTHS[-1], DEEP),
            halting="fixed",
            watch=lambda report: progress.update(bar, completed=problems + report.done),
        )
    _budgets(console, wide, deep)
    _conclusions(console, wide, deep)
    _adaptive(console, pipeline, held_out[:problems])
    if LARGE in eq.shipped_names():
        _published_puzzles(console)
    console.print(
        "\nNext: [bold]equilibria solve PUZZLE[/], [bold]equilibria train eqr-sudoku6-cpu[/], README.md."
    )


def _one_puzzle(console: Console, pipeline: "eq.Pipeline", held_out: "eq.Problems") -> None:
    """The puzzle, of the first few, that takes longest to come right, drawn at three moments."""
    few = held_out[:16]
    assert few.labels is not None
    depths = tuple(range(1, 33))
    pools = pipeline.engine.pools(few.inputs, depths=depths, breadth=1)
    right_from = []
    for place in range(len(few)):
        wrong = [k for k, pool in enumerate(pools) if (pool.answers[place, 0] != few.labels[place]).any()]
        right_from.append(wrong[-1] + 1 if wrong else 0)
    place = max((k, -place) for place, k in enumerate(right_from) if k < len(depths))[1] * -1
    solved = right_from[place]
    console.print("\n[bold]One held-out puzzle settles.[/] Underlined with ! : differs from the solution.\n")
    panels = [Panel(pipeline.task.render(few.inputs[place]), title="puzzle")]
    for k in sorted({0, solved // 2, solved}):
        answer = pools[k].answers[place, 0]
        residual = pools[k].residual[place, 0].item()
        board = pipeline.task.render(few.inputs[place], answer, few.labels[place])
        panels.append(Panel(board, title=f"iteration {k + 1}", subtitle=f"residual {residual:.1f}"))
    console.print(Columns(panels))


def _budgets(console: Console, wide: "eq.Evaluation", deep: "eq.Evaluation") -> None:
    table = Table(
        title=f"\nexact accuracy (%) on {wide.context['problems']} held-out puzzles", title_justify="left"
    )
    columns = (
        "depth",
        "one restart",
        f"{BREADTH} restarts: most converged",
        "majority",
        "any right",
        "residual",
    )
    for name in (*columns, "AUROC"):
        table.add_column(name, justify="right")
    for depth in DEPTHS:
        cells = [wide.row(depth, 1, "average")]
        cells += [wide.row(depth, BREADTH, name) for name in ("convergence", "majority", "pass")]
        table.add_row(
            str(depth),
            *(f"{100 * row.exact_accuracy:.1f}" for row in cells),
            f"{wide.residual[depth]:.1f}",
            f"{wide.auroc[depth]:.3f}",
        )
    far = deep.row(DEEP, 1, "average")
    table.add_row(str(DEEP), f"{100 * far.exact_accuracy:.1f}", "", "", "", f"{deep.residual[DEEP]:.1f}", "")
    console.print(table)


def _conclusions(console: Console, wide: "eq.Evaluation", deep: "eq.Evaluation") -> None:
    """Sentences whose every number stands in the table above them."""

    def percent(row: "eq.Row") -> str:
        return f"{100 * row.exact_accuracy:.1f}%"

    first, last = DEPTHS[0], DEPTHS[-1]
    middle = min(DEPTHS[1:], key=lambda depth: abs(wide.row(depth, 1, "average").exact_accuracy - 0.93))
    one, chosen = wide.row(middle, 1, "average"), wide.row(middle, BREADTH, "convergence")
    start, end = wide.row(first, 1, "average"), wide.row(last, 1, "average")
    console.print(
        f"\n[bold]Depth:[/] after {first} iteration {percent(start)} of the answers are right; let them "
        f"settle for {last} and it is {percent(end)}, for {DEEP}: {percent(deep.row(DEEP, 1, 'average'))}.\n"
        f"[bold]Breadth:[/] at depth {middle} one restart solves {percent(one)}; of {BREADTH}, the one that "
        f"moves least solves {percent(chosen)}, and nothing but its own motion chose it.\n"
        f"[bold]Residual:[/] at that depth a lower residual means a right answer with AUROC "
        f"{wide.auroc[middle]:.3f} (1 is perfect, 0.5 is chance).\n"
        f"Seconds: {wide.context['seconds'] + deep.context['seconds']:.0f} on this machine.",
        highlight=False,
    )


def _adaptive(console: Console, pipeline: "eq.Pipeline", puzzles: "eq.Problems") -> None:
    """The same puzzles with the budget that the reasoner ships with."""
    assert puzzles.labels is not None
    answers = pipeline.solve(puzzles)
    right = sum(bool((answer.tokens == puzzles.labels[answer.index]).all()) for answer in answers)
    nfe = [answer.nfe for answer in answers]
    console.print(
        f"[bold]Adaptive:[/] each puzzle until its halting head is sure, another restart only if it never "
        f"is:\n{100 * right / len(answers):.1f}% with {sum(nfe) / len(nfe):.1f} iterations a puzzle (at most "
        f"{max(nfe):,}), where the widest budget above takes {BREADTH * DEPTHS[-1]}.",
        highlight=False,
    )


def _published_puzzles(console: Console) -> None:
    """Each published puzzle with its answer, if the reasoner came to rest on one that keeps the rules."""
    pipeline, puzzles = eq.load(LARGE), eq.held_out_problems(LARGE)
    console.print()
    console.rule(f"[bold]{LARGE}[/]: {pipeline.reasoner.parameter_count():,} parameters")
    budget = pipeline.budget()
    console.print(
        f"\n[bold]{len(puzzles)} published 9x9 puzzles[/] it was not trained on, at most "
        f"{budget.breadth} restarts of {budget.depth} iterations.\n",
        highlight=False,
    )
    start = time.perf_counter()
    answers = pipeline.solve(puzzles)
    seconds = time.perf_counter() - start
    assert puzzles.labels is not None
    table = Table("puzzle", "clues", "rating", "answer", "restarts", "NFE")
    solved = 0
    for place, answer in enumerate(answers):
        given = answer.valid and answer.settled
        right = bool((answer.tokens == puzzles.labels[place]).all())
        solved += given and right
        verdict = "right" if given and right else "WRONG" if given else "unsettled"
        rating = "" if puzzles.ratings is None else f"{puzzles.ratings[place].item():.0f}"
        clues = sum(mark not in ".0" for mark in answer.problem)
        facts = (str(clues), rating, verdict, f"{answer.restarts}", f"{answer.nfe:,}")
        table.add_row(f"{answer.problem[:18]}…", *facts)
    console.print(table)
    console.print(
        f"[bold]{solved} of {len(answers)}[/] right in {seconds:.0f} seconds. An answer is given where "
        "a restart\nsettled on a board that keeps the rules; rating: search guesses.",
        highlight=False,
    )
