"""How fast mazes are made, and what they are like: 1,000 to train on and 1,000 held out, of each kind.

    OMP_NUM_THREADS=1 python benchmarks/mazes.py

Seconds are of the processor (one core) and of the clock, which on a busy machine are more. The generator is
compiled once, when it is first used after installation; a fresh process makes one maze to time that.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from equilibria.tasks.maze import Maze
from equilibria.tasks.maze.grid import GOAL, START, WALL, steps_from

KINDS: dict[str, dict[str, Any]] = {
    "Maze-Unique": {},
    "Maze-Hard": {"mode": "random", "unique": False, "shortest": 111},
    "random, one path": {"mode": "random", "shortest": 20, "longest": 30},
}


def compiling(settings: Mapping[str, Any]) -> float:
    """Seconds of the processor that the first maze takes where nothing has been compiled yet."""
    code = (
        "import json, sys, time\n"
        "from equilibria.tasks.maze import Maze\n"
        "task = Maze(Maze.Config(**json.loads(sys.argv[1])))\n"
        "start = time.process_time()\n"
        "task.generate(1, seed=0)\n"
        "print(time.process_time() - start)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(settings)],
            env=os.environ | {"NUMBA_CACHE_DIR": folder},
            capture_output=True,
            text=True,
            check=True,
        )
    return float(done.stdout)


def several_ways(maze: NDArray[np.uint8], size: int) -> bool:
    """Whether more than one shortest path leads from S to G: they cross some distance from S in two cells."""
    free = maze != WALL
    there = steps_from(free, size, int((maze == START).argmax()))
    back = steps_from(free, size, int((maze == GOAL).argmax()))
    length = int(there[maze == GOAL][0])
    return int((free & (there >= 0) & (there + back == length)).sum()) > length + 1


def measure(settings: Mapping[str, Any], count: int, seed: int) -> dict[str, Any]:
    """Make `count` + `count` mazes; seconds, shares and lengths."""
    task = Maze(Maze.Config(**settings))
    task.generate(1, seed=seed)  # compiled from here on
    clock, processor = time.perf_counter(), time.process_time()
    splits = task.generate_splits({"train": count, "held_out": count}, seed=seed)
    processor, clock = time.process_time() - processor, time.perf_counter() - clock
    mazes = np.concatenate([part.inputs.numpy() for part in splits.values()])
    steps = np.concatenate([part.ratings.numpy() for part in splits.values() if part.ratings is not None])
    return {
        "size": task.size,
        "mazes": len(mazes),
        "different": len(np.unique(mazes, axis=0)),
        "processor_seconds": processor,
        "clock_seconds": clock,
        "several_shortest_paths": float(np.mean([several_ways(maze, task.size) for maze in mazes])),
        "least": int(steps.min()),
        "mean": float(steps.mean()),
        "most": int(steps.max()),
    }


def main(
    count: Annotated[int, typer.Option(min=1, help="mazes to train on, and as many held out")] = 1000,
    seed: Annotated[int, typer.Option(min=0)] = 42,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the numbers here")] = None,
) -> None:
    """Time the maze generator."""
    rows: dict[str, dict[str, Any]] = {}
    for name, settings in KINDS.items():
        rows[name] = {"first_maze_seconds": compiling(settings)} | measure(settings, count, seed)
    table = Table(title=f"{count:,} + {count:,} mazes of 30×30, seed {seed}")
    for column in (
        "kind",
        "processor s",
        "clock s",
        "first, compiling s",
        "several paths",
        "steps: least, mean, most",
    ):
        table.add_column(column, justify="left" if column == "kind" else "right")
    for name, row in rows.items():
        table.add_row(
            name,
            f"{row['processor_seconds']:.2f}",
            f"{row['clock_seconds']:.2f}",
            f"{row['first_maze_seconds']:.1f}",
            f"{100 * row['several_shortest_paths']:.1f}%",
            f"{row['least']}, {row['mean']:.2f}, {row['most']}",
        )
    Console(width=110).print(table)
    if json_file is not None:
        json_file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
