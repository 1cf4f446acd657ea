"""`equilibria solve`: problems in, answers out, each with what it cost and how far to trust it."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

import equilibria as eq
from equilibria.cli.answers import DRAWN, FEW, as_line, conclude, draw_answers, kept_rules, show_answers
from equilibria.cli.options import Compile, Device, Seed, With, resolve_device
from equilibria.cli.progress import meter
from equilibria.errors import EquilibriaError

UNLIMITED = 1 << 20  # restarts, where evaluations or seconds are the limit


def solve(
    problem: Annotated[
        str, typer.Argument(metavar="PUZZLE|FILE|-", help="A puzzle, a file of puzzles, or - for stdin.")
    ],
    reasoner: With = None,
    depth: Annotated[int | None, typer.Option(help="Most iterations per trajectory.")] = None,
    breadth: Annotated[int | None, typer.Option(help="Most restarts per problem.")] = None,
    nfe: Annotated[int | None, typer.Option(help="Most function evaluations per problem.")] = None,
    total_nfe: Annotated[int | None, typer.Option(help="Most function evaluations in all.")] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Answer with the best so far after so many; puzzles take turns.")
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(help="Go on until an answer is right with this probability, as 0.99; else give none."),
    ] = None,
    halting: Annotated[
        str,
        typer.Option(
            help="recipe: as it says; fixed: full depth; learned: the halting head may stop; residual: "
            "rest may."
        ),
    ] = "recipe",
    restarts: Annotated[
        str | None,
        typer.Option(
            help="fixed: all of them; until-settled: another only if none has settled; until-agreement: "
            "until two agree; race: all at once until one settles."
        ),
    ] = None,
    selection: Annotated[
        str, typer.Option(help="convergence, logit-convergence, majority, agreement or halting.")
    ] = "convergence",
    verify: Annotated[
        bool, typer.Option("--verify", help="Let the task's own checker choose; without it nothing does.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the answers here: .csv, .jsonl, .npz or .parquet. Resumes after a kill."),
    ] = None,
    png: Annotated[
        Path | None, typer.Option(help=f"Draw the problems and answers here, at most the first {DRAWN}.")
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Print each answer as a line of JSON when it is certain.")
    ] = False,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="As in inference.solver.name=anderson; repeatable."),
    ] = None,
    dtype: Annotated[str, typer.Option(help="Activations: fp32 or bf16.")] = "fp32",
    seed: Seed = 0,
    compiled: Compile = False,
    device: Device = "auto",
) -> None:
    """Solve problems. Ctrl-C gives the best answers so far. Exits with 1 if one breaks its task's rules."""
    console = Console()
    if png is not None:
        eq.check_picture(png)
    path = Path(problem) if problem != "-" and _is_file(problem) else None
    text = sys.stdin.read() if problem == "-" else problem
    pipeline = _load(reasoner, path, text, device, change or []).compute_in(dtype)
    if compiled:
        pipeline.compiled()
    scan = pipeline.scan(path if path else text)
    limited = seconds is not None or total_nfe is not None
    if limited or nfe is not None:
        breadth = breadth or UNLIMITED
        if restarts is None and confidence is None and pipeline.recipe.inference.restarts.policy == "fixed":
            restarts = "until-settled"
    how: dict[str, Any] = {
        "depth": depth,
        "breadth": breadth,
        "nfe": nfe,
        "confidence": confidence,
        "halting": None if confidence is not None and halting == "recipe" else halting,
        "restarts": restarts,
        "selection": selection,
    }
    budget = pipeline.budget(**how)
    if not stream:
        _announce(console, pipeline, budget, len(scan.problems))
    _report_rejected(scan, out)
    if out is not None and not limited and len(scan.problems) > FEW:
        _solve_file(console, pipeline, scan, out, path, png, seed, verify, how)
        return
    if out is not None:
        eq.check_output(out)
    answers: list[eq.Answer] = []
    with eq.interruptible() as interrupted, meter("solving", len(scan.problems)) as shown:
        limits = eq.Limits(seconds, total_nfe, interrupted)
        running = pipeline.stream(
            scan.problems, seed=seed, verify=verify, limits=limits, watch=shown.watch, **how
        )
        for answer in running:
            answers.append(answer)
            shown.settled += answer.settled
            if stream:
                print(as_line(answer, confidence is not None), flush=True)
    answers.sort(key=lambda answer: answer.index)
    if out is not None:
        eq.write_answers(out, scan, answers, confidence is not None)
        console.print(f"{len(answers):,} answers in {out}", highlight=False, soft_wrap=True)
    if not stream and (out is None or len(answers) <= FEW):
        show_answers(console, pipeline, scan.problems, answers, confidence is not None)
    if png is not None:
        told = Console(stderr=True) if stream else console
        draw_answers(told, pipeline, scan, answers, confidence is not None, path, png)
    if not stream:
        conclude(console, answers, confidence is not None, pipeline.task.rules)


def _load(
    reasoner: str | None, path: Path | None, text: str, device: str, changes: list[str]
) -> "eq.Pipeline":
    where = resolve_device(device)
    if reasoner:
        return eq.load(reasoner, where, changes)
    name = eq.load_for(path if path else text).name
    return eq.load(name, where, changes)


def _is_file(problem: str) -> bool:
    try:
        return Path(problem).is_file()
    except OSError:  # a pasted board can be longer than a file name may be
        return False


def _announce(console: Console, pipeline: "eq.Pipeline", budget: "eq.Budget", count: int) -> None:
    parts = [f"depth {budget.depth}"]
    if budget.breadth < UNLIMITED:
        parts.append(f"breadth {budget.breadth}")
    if budget.nfe is not None:
        parts.append(f"at most {budget.nfe:,} NFE each")
    parts += [f"{budget.halting.rule} halting", f"restarts {budget.restarts.policy}"]
    console.print(
        f"[bold]{pipeline.name}[/]: {count:,} {'problem' if count == 1 else 'problems'}, {', '.join(parts)}",
        highlight=False,
    )


def _report_rejected(scan: "eq.Scan", out: Path | None) -> None:
    console = Console(stderr=True)
    for rejected in scan.rejected[:5]:
        console.print(f"rejected: {rejected.place}: {rejected.reason}", highlight=False, markup=False)
    if len(scan.rejected) > 5:
        console.print(f"rejected: {len(scan.rejected) - 5:,} more", highlight=False)
    if not len(scan.problems):
        raise EquilibriaError("no row of the file is a problem" if scan.rejected else "there is no problem")


def _solve_file(
    console: Console,
    pipeline: "eq.Pipeline",
    scan: "eq.Scan",
    out: Path,
    path: Path | None,
    png: Path | None,
    seed: int,
    verify: bool,
    how: dict[str, Any],
) -> None:
    """Answers that are kept as they come; see `eq.solve_file`."""
    with meter("solving", len(scan.problems)) as shown:
        try:
            summary = eq.solve_file(
                pipeline, scan, out, seed=seed, verify=verify, progress=shown.count, **how
            )
        except KeyboardInterrupt:
            raise EquilibriaError(
                f"interrupted: what is answered is kept in {out}.parts; the same command goes on from there"
            ) from None
    if not summary.wrote:
        if eq.is_first():
            console.print(f"answered in {out}, written by another process", highlight=False, soft_wrap=True)
        return
    told = asdict(summary)
    console.print(
        "{answers:,} of {rows:,} rows answered in {out}: {settled:,} settled, {valid:,} {kept}, "
        "{nfe:,} NFE".format(**told, kept=kept_rules(pipeline.task.rules)),
        highlight=False,
        soft_wrap=True,
    )
    if summary.rejected is not None:
        console.print(f"{len(scan.rejected):,} rows are no problems: {summary.rejected}", highlight=False)
    if png is not None:
        # Solved once more, which gives the very same answers: `summary` has none of them.
        few = pipeline.solve(scan.problems[:DRAWN], seed=seed, verify=verify, **how)
        draw_answers(console, pipeline, scan, few, how["confidence"] is not None, path, png)
    if broken := summary.answers - summary.valid:
        console.print(f"[bold]{broken:,} broken[/]: valid is false there. More depth or breadth may help.")
        raise typer.Exit(1)
