"""Memory is set by slots: 100,000 problems with 128 restarts each start at once and stay flat.

    python benchmarks/memory.py

Random boards (nothing has to be solved) go through a shipped reasoner for some seconds, a thousand of them
and a hundred thousand; what the process holds is looked at all along.
"""

import json
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

import equilibria as eq
from equilibria.inference.budget import Budget


def resident() -> float:
    """MiB of main memory that this process holds now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / (1 << 20)


def measure(pipeline: eq.Pipeline, problems: int, breadth: int, seconds: float) -> dict[str, float]:
    """Run for some seconds and look at the memory."""
    tokens = torch.randint(1, pipeline.task.vocab_size, (problems, pipeline.task.tokens), dtype=torch.uint8)
    budget = Budget(depth=16, breadth=breadth)
    before, start = resident(), time.perf_counter()
    first, done, held = 0.0, 0, []
    outcomes = pipeline.engine.solve(tokens, budget)
    for _ in outcomes:
        now = time.perf_counter() - start
        first = first or now
        done += 1
        held.append((now, resident()))
        if now > seconds:
            break
    outcomes.close()
    return {
        "problems": problems,
        "restarts": problems * breadth,
        "first_answer_seconds": first,
        "answers": done,
        "mib_before": before,
        "mib_first_half": max((mib for now, mib in held if now <= seconds / 2), default=before),
        "mib_second_half": max((mib for now, mib in held if now > seconds / 2), default=before),
    }


def main(
    reasoner: Annotated[str, typer.Argument(help="a shipped reasoner")] = "sudoku-6x6",
    breadth: Annotated[int, typer.Option(min=1, help="restarts a problem")] = 128,
    seconds: Annotated[float, typer.Option(min=1, help="each")] = 20,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the numbers here")] = None,
) -> None:
    """Resident memory of the same call with a thousand and with a hundred thousand problems."""
    pipeline = eq.load(reasoner)
    measure(pipeline, 100, 2, 1.0)  # what is allocated once
    rows = [measure(pipeline, problems, breadth, seconds) for problems in (1_000, 100_000)]
    table = Table(title=f"{reasoner}, {pipeline.engine.slots} slots, {breadth} restarts a problem")
    for name in (
        "problems",
        "trajectories",
        "first answer s",
        "answers",
        "MiB before",
        "1st half",
        "2nd half",
    ):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            f"{row['problems']:,}",
            f"{row['restarts']:,}",
            f"{row['first_answer_seconds']:.2f}",
            f"{row['answers']:,}",
            *(f"{row[name]:.0f}" for name in ("mib_before", "mib_first_half", "mib_second_half")),
        )
    Console(width=110).print(table)
    if json_file is not None:
        json_file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
