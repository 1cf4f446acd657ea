"""`equilibria evaluate`: accuracy against compute."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import equilibria as eq
from equilibria.cli.options import Compile, Device, Seed, resolve_device, whole_numbers
from equilibria.cli.progress import meter
from equilibria.errors import EquilibriaError
from equilibria.files import write_text

COLUMNS = {
    "average": "average",
    "convergence": "Top-1",
    "logit-convergence": "logits",
    "majority": "vote",
    "halting": "halt",
    "pass": "any",
}
LEGEND = (
    "D depth · B breadth · NFE iterations a problem · average over restarts ± half its 95% interval · "
    "then the restart chosen by: Top-1 least residual, logits least change of logits, vote majority, "
    "halt halting score · any: some restart is right · "
    "AUROC residual against right or wrong · "
    "ΔPI path independence, % · sec seconds"
)
SEVERAL = (
    "right: label, the answer is the label (as of AUROC and ΔPI) · valid, it keeps all rules, be it the "
    "label or another answer"
)
UNVOTED = "ARC is scored by the votes of the variants of its puzzles: --vote asks them"
VOTES = (
    "D depth · B restarts of every variant · votes in all, and a test · the right grid is among the k with "
    "the most votes: pass with credit for each test (TRM), whole for puzzles with every test right (HRM), "
    "± half the 95% interval over puzzles · sec seconds"
)
LOOKS: dict[str, Any] = {
    "title_justify": "left",
    "caption_justify": "left",
    "box": SIMPLE_HEAD,
    "padding": (0, 1, 0, 0),
    "pad_edge": False,
}


def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="Shipped reasoner, checkpoint folder, or Hub id.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="How it is run, as in inference.solver.name=anderson."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Labelled problems (CSV); without it, those the recipe held out.")
    ] = None,
    depth: Annotated[str, typer.Option(help="Depths, as in 1,4,16.")] = "16",
    breadth: Annotated[str, typer.Option(help="Breadths, as in 1,8.")] = "1",
    halting: Annotated[
        str, typer.Option(help="recipe: as it says; fixed: full depth; learned: the halting head may stop.")
    ] = "recipe",
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="Only the first so many problems; in a vote so many puzzles, with all their tests."
        ),
    ] = None,
    vote: Annotated[
        bool,
        typer.Option("--vote", help="ARC: also pass@1 and pass@2 by votes over the variants of each puzzle."),
    ] = False,
    variants: Annotated[
        int | None,
        typer.Option(
            min=1, help="Vote over so many variants of a puzzle, itself among them; all by default."
        ),
    ] = None,
    submission: Annotated[
        Path | None,
        typer.Option(help="Vote, and write two attempts at every test here, in Kaggle's format."),
    ] = None,
    seed: Seed = 0,
    dtype: Annotated[str, typer.Option(help="Activations: fp32 or bf16.")] = "fp32",
    job: Annotated[
        Path | None,
        typer.Option(help="Keep what is found in this folder: go on after a kill, share among processes."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything to this file.")] = None,
    png: Annotated[Path | None, typer.Option(help="Draw accuracy over depth x breadth here.")] = None,
    card: Annotated[
        bool, typer.Option("--card", help="Write the scores into the checkpoint's card.")
    ] = False,
    compiled: Compile = False,
    device: Device = "auto",
) -> None:
    """Measure accuracy at every depth and breadth, from one pass of trajectories."""
    depths, breadths = whole_numbers(depth, "--depth"), whole_numbers(breadth, "--breadth")
    vote = vote or variants is not None or submission is not None
    if vote and job is not None:
        raise EquilibriaError("a vote is not kept in a job: leave out --job, or evaluate without --vote")
    pipeline = eq.load(checkpoint, resolve_device(device), overrides or []).compute_in(dtype)
    if compiled:
        pipeline.compiled()
    problems = (eq.voting_problems if vote else eq.evaluation_problems)(pipeline, data, limit)
    with meter("evaluating", len(problems)) as shown:
        if job is None:
            evaluation = pipeline.evaluate(
                problems, depths=depths, breadths=breadths, halting=halting, seed=seed, watch=shown.watch
            )
        else:
            evaluation = eq.evaluate_shared(
                pipeline,
                problems,
                job,
                depths=depths,
                breadths=breadths,
                halting=halting,
                seed=seed,
                progress=shown.count,
            )
    votings: list[eq.Voting] = []
    if vote:
        with meter("voting", len(problems)) as shown:
            votings = pipeline.vote(
                problems,
                depths=depths,
                breadths=breadths,
                halting=halting,
                variants=variants,
                seed=seed,
                watch=shown.watch,
            )
    if not eq.is_first():
        return  # one of several processes says what all have found
    console = Console()
    console.print(_table(evaluation))
    parts = _parts(evaluation)
    if parts is not None:
        console.print(parts)
    if votings:
        console.print(_votes(votings))
    elif pipeline.recipe.task["name"] == "arc":
        console.print(UNVOTED)
    if json_file is not None:
        everything = asdict(evaluation) | ({"votings": [v.summary() for v in votings]} if vote else {})
        write_text(json_file, json.dumps(everything, indent=1) + "\n")
    if png is not None:
        eq.plot_budget_grid(evaluation, png)
    if card:
        folder = eq.find_checkpoint(checkpoint)
        what = [
            checkpoint,
            *(overrides or []),
            *(("--data", data) if data else ()),
            "--depth",
            depth,
            "--breadth",
            breadth,
        ]
        how = ["--halting", halting, "--seed", str(seed), "--dtype", dtype]
        part = [*(("--limit", str(limit)) if limit else ()), *(("--vote",) if vote else ())]
        if variants is not None:
            part += ["--variants", str(variants)]
        command = " ".join(["equilibria evaluate", *what, *how, *part])
        eq.record_scores(pipeline, evaluation, folder, command, votings)
    if submission is not None:  # last: the names of puzzles may forbid it
        handed = eq.submission(votings[-1].ranked, problems.sources)
        write_text(submission, json.dumps(handed) + "\n")


def _table(evaluation: "eq.Evaluation") -> Table:
    """One line a budget, one column a way to choose among restarts.

    Where labels are not the only right answers, a second line a budget counts all that are valid.
    """
    context = evaluation.context
    rows = [row for row in evaluation.rows if row.source == row.rating == "all"]
    names = [name for name in COLUMNS if any(row.selection == name for row in rows)]
    several = rows[0].valid_accuracy is not None
    legend = f"{SEVERAL}\n{LEGEND}" if several else LEGEND
    table = Table(
        title=f"{context['reasoner']}: {'' if several else 'exact '}accuracy (%) on "
        f"{context['problems']:,} problems",
        caption=f"{legend}\n{context['seconds']:.0f} s in all, {context['dtype']} on {context['device']} · "
        f"data {context['data_sha256'][:12]} · seed {context['seed']} · {context['halting']} halting",
        **LOOKS,
    )
    if several:
        table.padding = 0  # so that 80 columns are enough
    right = ("right",) if several else ()
    for name in ("D", "B", "NFE", *right, *(COLUMNS[name] for name in names), "AUROC", "ΔPI", "sec"):
        table.add_column(name, justify="right", no_wrap=True)
    for base in (row for row in rows if row.selection == "average"):
        cells = {row.selection: row for row in rows if (row.depth, row.breadth) == (base.depth, base.breadth)}
        chosen = [cells.get(name) for name in names]
        average, *exact = (_percent(None if row is None else row.exact_accuracy) for row in chosen)
        table.add_row(
            str(base.depth),
            str(base.breadth),
            f"{base.nfe_mean:.0f}" if base.nfe_mean.is_integer() else f"{base.nfe_mean:.1f}",
            *("label" for _ in right),
            f"{average} {_half(base.ci95)}",
            *exact,
            f"{evaluation.auroc[base.depth]:.3f}",
            f"{100 * evaluation.path_independence[base.depth]:.1f}",
            f"{base.seconds:.0f}" if base.seconds >= 10 else f"{base.seconds:.1f}",
        )
        if base.valid_ci95 is not None:
            average, *valid = (_percent(None if row is None else row.valid_accuracy) for row in chosen)
            table.add_row("", "", "", "valid", f"{average} {_half(base.valid_ci95)}", *valid)
    return table


def _votes(votings: "Sequence[eq.Voting]") -> Table:
    """One line a budget: pass@k with credit for every test, and for whole puzzles only."""
    first = votings[0]
    table = Table(
        title=f"by votes over variants: pass@k (%) on {first.puzzles:,} puzzles, {len(first.ranked):,} tests",
        caption=VOTES,
        **LOOKS,
    )
    tests, wholes = ([f"{by}@{k}" for k in first.pass_at] for by in ("pass", "whole"))
    for name in ("D", "B", "votes", "a test", *tests, *wholes, "sec"):
        table.add_column(name, justify="right", no_wrap=True)
    for voting in votings:
        shares = [*voting.pass_at.values(), *voting.whole_at.values()]
        table.add_row(
            str(voting.depth),
            str(voting.breadth),
            f"{voting.votes:,}",
            f"{voting.votes / len(voting.ranked):.0f}",
            *(f"{_percent(share)} {_half(voting.interval(share))}" for share in shares),
            f"{voting.seconds:.0f}" if voting.seconds >= 10 else f"{voting.seconds:.1f}",
        )
    return table


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


def _half(interval: tuple[float, float]) -> str:
    """Half of an interval, in %."""
    return f"±{50 * (interval[1] - interval[0]):.1f}"


def _parts(evaluation: "eq.Evaluation") -> Table | None:
    """The greatest budget by source and by rating, where the data has more than one of them."""
    rows = evaluation.rows
    depth, breadth = max(row.depth for row in rows), max(row.breadth for row in rows)
    chosen = "convergence" if breadth > 1 else "average"
    parts = [
        row
        for row in rows
        if (row.depth, row.breadth, row.selection) == (depth, breadth, chosen)
        and (row.source, row.rating) != ("all", "all")
    ]
    if not parts:
        return None
    table = Table(
        title=f"by source and rating, at ({depth}, {breadth}), {COLUMNS[chosen]}", title_justify="left"
    )
    valid = ("valid", "95% interval") if parts[0].valid_accuracy is not None else ()
    for name in ("source", "rating", "problems", "label" if valid else "exact", "95% interval", *valid):
        table.add_column(name, justify="left" if name in ("source", "rating") else "right")
    for row in parts:
        cells = [(row.exact_accuracy, row.ci95)]
        if row.valid_accuracy is not None and row.valid_ci95 is not None:
            cells.append((row.valid_accuracy, row.valid_ci95))
        shares = [
            text
            for share, (low, high) in cells
            for text in (f"{100 * share:.2f}", f"{100 * low:.2f}–{100 * high:.2f}")
        ]
        table.add_row(row.source, row.rating, f"{row.problems:,}", *shares)
    return table
