"""What rounding to int8 costs in accuracy: one reasoner, one set of problems, three ways to run it.

    python benchmarks/int8.py sudoku-9x9 --problems 512

Where the recipe's problems are a folder, run it beside that folder, or name a file with `--data`.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

import equilibria as eq
from equilibria.diagnostics.evaluation import correct
from equilibria.inference.engine import Engine
from equilibria.reasoners.recursive import RecursiveReasoner

SLOTS = 64  # trajectories side by side: one number, so that each path compiles once


def solved(pipeline: eq.Pipeline, problems: eq.Problems, depth: int) -> torch.Tensor:
    """`[problems]` bool: answered right at `depth` by one restart."""
    assert problems.labels is not None
    engine = Engine(pipeline.reasoner, solver=pipeline.recipe.solver, slots=SLOTS, steady=True)
    (pool,) = engine.pools(problems.inputs, depths=(depth,), breadth=1)
    return correct(pool, problems.labels)[:, 0]


def main(
    reasoner: Annotated[str, typer.Argument(help="a shipped reasoner or a checkpoint folder")],
    data: Annotated[
        Path | None, typer.Option(help="labelled problems; left out: those the recipe held out")
    ] = None,
    problems: Annotated[int, typer.Option(min=1, help="the first so many")] = 512,
    depth: Annotated[int, typer.Option(help="iterations")] = 64,
) -> None:
    """Exact accuracy in float32, in bfloat16 frozen, and in int8."""
    first = eq.load(reasoner)
    given = eq.evaluation_problems(first, data)
    given = given[:problems]
    results: dict[str, torch.Tensor] = {}
    for name in ("fp32, eager", "bf16, frozen", "int8, frozen"):
        pipeline = eq.load(reasoner)
        assert isinstance(pipeline.reasoner, RecursiveReasoner)
        if name != "fp32, eager":
            pipeline.compute_in("bf16")
            pipeline.reasoner.frozen(int8=name.startswith("int8"))
        results[name] = solved(pipeline, given, depth)
    table = Table(
        title=f"{reasoner}: {len(given)} problems, depth {depth}, one restart", title_justify="left"
    )
    for heading in ("path", "exact %", "solved, fp32 not", "fp32 solved, not"):
        table.add_column(heading, justify="left" if heading == "path" else "right")
    exact = results["fp32, eager"]
    for name, right in results.items():
        table.add_row(
            name,
            f"{100 * right.float().mean().item():.1f}",
            str(int((right & ~exact).sum())),
            str(int((exact & ~right).sum())),
        )
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
