"""`equilibria evaluate`: accuracy against compute."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import equilibria as eq
from equilibria.cli.options import Compile, Device, Seed, resolve_device, whole_numbers
from equilibria.cli.progress import meter
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
    limit: Annotated[int | None, typer.Option(help="Only the first so many problems.")] = None,
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
    """Measure exact accuracy at every depth and breadth, from one pass of trajectories."""
    depths, breadths = whole_numbers(depth, "--depth"), whole_numbers(breadth, "--breadth")
    pipeline = eq.load(checkpoint, resolve_device(device), overrides or []).compute_in(dtype)
    if compiled:
        pipeline.compiled()
    problems = eq.evaluation_problems(pipeline, data, limit)
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
    if not eq.is_first():
        return  # one of several processes says what all have found
    console = Console()
    console.print(_table(evaluation))
    parts = _parts(evaluation)
    if parts is not None:
        console.print(parts)
    if json_file is not None:
        write_text(json_file, json.dumps(asdict(evaluation), indent=1) + "\n")
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
        part = ["--limit", str(limit)] if limit else []
        eq.record_scores(pipeline, evaluation, folder, " ".join(["equilibria evaluate", *what, *how, *part]))


def _table(evaluation: "eq.Evaluation") -> Table:
    """One line a budget, one column a way to choose among restarts."""
    context = evaluation.context
    rows = [row for row in evaluation.rows if row.source == row.rating == "all"]
    names = [name for name in COLUMNS if any(row.selection == name for row in rows)]
    table = Table(
        title=f"{context['reasoner']}: exact accuracy (%) on {context['problems']:,} problems",
        caption=f"{LEGEND}\n{context['seconds']:.0f} s in all, {context['dtype']} on {context['device']} · "
        f"data {context['data_sha256'][:12]} · seed {context['seed']} · {context['halting']} halting",
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for name in ("D", "B", "NFE", *(COLUMNS[name] for name in names), "AUROC", "ΔPI", "sec"):
        table.add_column(name, justify="right", no_wrap=True)
    for base in (row for row in rows if row.selection == "average"):
        cells: list[str] = []
        for name in names:
            found = [r for r in rows if (r.depth, r.breadth, r.selection) == (base.depth, base.breadth, name)]
            cells.append(f"{100 * found[0].exact_accuracy:.1f}" if found else "–")
        half = 50 * (base.ci95[1] - base.ci95[0])
        cells[0] += f" ±{half:.1f}"
        table.add_row(
            str(base.depth),
            str(base.breadth),
            f"{base.nfe_mean:.0f}" if base.nfe_mean.is_integer() else f"{base.nfe_mean:.1f}",
            *cells,
            f"{evaluation.auroc[base.depth]:.3f}",
            f"{100 * evaluation.path_independence[base.depth]:.1f}",
            f"{base.seconds:.0f}" if base.seconds >= 10 else f"{base.seconds:.1f}",
        )
    return table


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
    for name in ("source", "rating", "problems", "exact", "95% interval"):
        table.add_column(name, justify="left" if name in ("source", "rating") else "right")
    for row in parts:
        low, high = row.ci95
        table.add_row(
            row.source,
            row.rating,
            f"{row.problems:,}",
            f"{100 * row.exact_accuracy:.2f}",
            f"{100 * low:.2f}–{100 * high:.2f}",
        )
    return table
