"""EqR App. C: the data sets in numbers and pictures (Tab. 15, 16, Fig. 14, 15).

Maze-Unique and mazes like Maze-1k are made by the generator, as the papers describe them. Sudoku-Extreme
cannot be had here; Sudoku-Forum, a folder of hard published puzzles in the same format, stands in where it is
there, and is never called by the other's name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equilibria.diagnostics.drawing import COLOURS, COLUMN, LINES, picture
from equilibria.diagnostics.metrics import exactly_right, interval
from equilibria.loading import load
from equilibria.recipes import Recipe, load_recipe
from equilibria.reproduce.maze_paths import other_path, shortest_paths
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet
from equilibria.reproduce.small import variant
from equilibria.tasks import Problems, Task, load_task
from equilibria.tasks.maze import Maze
from equilibria.tasks.maze.grid import solved
from equilibria.tasks.picture import Panel
from equilibria.tasks.picture.drawing import draw_panels

FORUM = "sudoku-forum"
REASONER = "sudoku-9x9"
LITE = 2048
DEPTH = 16


@dataclass(frozen=True)
class Mazes:
    """A sort of mazes.

    Attributes:
        label: in tables and figures.
        config: of the task.
        published: as the paper calls it, and its average path length.
    """

    label: str
    config: dict[str, Any]
    published: tuple[str, float]


UNIQUE = Mazes("without loops (as Maze-Unique)", {"mode": "perfect"}, ("Maze-Unique", 119.75))
SEVERAL = Mazes(
    "walled at random (as Maze-1k)",
    {"mode": "random", "unique": False, "shortest": 111},
    ("Maze-1k", 113.79),
)
SIZES = {"cpu": (30, 200), "paper": (30, 1000)}
"""Cells in a row, and mazes that are counted of each sort."""
EXTREME = {"published_as": "Sudoku-Extreme", "published": "9×9, 11, 1,001,000 and 422,786"}
MAZE = {"published_as": "Maze-Unique", "published": "30×30, 6, 1,000 and 1,000"}


def path_lengths(sort: Mazes, problems: Problems, size: int) -> Row:
    """A line of Tab. 16(b)."""
    found = [shortest_paths(maze, size) for maze in problems.inputs.numpy()]
    steps, ways = (np.array(column, dtype=float) for column in zip(*found, strict=True))
    name, length = sort.published
    return {
        "mazes": sort.label,
        "count": len(problems),
        "mean": steps.mean(),
        "least": int(steps.min()),
        "greatest": int(steps.max()),
        "several": 100 * float((ways > 1).mean()),
        "ways": float(np.median(ways)),
        "most_ways": float(ways.max()),
        "published_as": name,
        "published": length,
        "lengths": steps.astype(int).tolist(),
    }


def draw_pair(pair: Sequence[tuple[Mazes, NDArray[np.uint8]]], size: int, path: Path) -> None:
    """One maze of each sort, with the path of its label, and another shortest one where there is any."""
    drawn: list[tuple[str, list[Panel]]] = []
    for sort, maze in pair:
        task = Maze(Maze.Config(size=size))
        steps, ways = shortest_paths(maze, size)
        label, other = solved(maze, size), other_path(maze, size)
        first = task.panels(torch.from_numpy(maze), None, torch.from_numpy(label))
        panels = [first[0], Panel("the label", first[1].rows)]
        if (label != other).any():
            again = task.panels(torch.from_numpy(maze), None, torch.from_numpy(other))
            panels.append(Panel("another shortest path", again[1].rows))
        number = "one shortest path" if ways == 1 else f"{ways:,} shortest paths"
        drawn.append((f"{sort.label[0].upper()}{sort.label[1:]}: {number}, {steps} steps", panels))
    draw_panels(drawn, path)


def specifications(forum: tuple[Problems, Problems] | None) -> list[Row]:
    """Tab. 16(a): what each set is in numbers; generated ones as their recipes say."""
    rows = [_generated("mazes without loops", load_recipe("eqr-maze-unique")) | MAZE]
    if forum is not None:
        train, test = forum
        task = load_task({"name": "sudoku"})
        told: Row = {"set": "Sudoku-Forum", "board": _board(task), "vocabulary": task.vocab_size}
        rows.append(told | {"train": len(train), "held_out": len(test), "origin": "files"} | EXTREME)
    nothing = dict.fromkeys(EXTREME)
    return [*rows, _generated("6×6 puzzles of the scale cpu", variant("cpu", 0)) | nothing]


def _generated(name: str, recipe: Recipe) -> Row:
    task, data = recipe.build_task(), recipe.data
    told: Row = {"set": name, "board": _board(task), "vocabulary": task.vocab_size}
    return told | {"train": data.count, "held_out": data.held_out_count, "origin": "generated"}


def _board(task: Task) -> str:
    return "×".join(map(str, task.board))


def lite(test: Problems, seed: int) -> Tensor:
    """Places of a random subset of the test puzzles, as Sudoku-Lite is one of Sudoku-Extreme."""
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(seed))
    return order[:LITE].sort().values


def ratings(name: str, problems: Problems, right: Tensor | None) -> Row:
    """How hard a set of puzzles is, and how often the shipped reasoner solves it."""
    assert problems.ratings is not None
    rating = problems.ratings.double()
    row: Row = {"set": name, "count": len(problems), "mean": rating.mean().item()}
    row |= {f"quantile_{share}": rating.quantile(share / 100).item() for share in (25, 50, 75, 95)}
    row |= {"zero": 100 * (rating == 0).double().mean().item(), "most": rating.max().item()}
    for source in sorted(set(problems.sources)):
        there = sum(one == source for one in problems.sources)
        row[f"from {source}"] = 100 * there / len(problems)
    accuracy = None if right is None else right.double().mean().item()
    low, high = (None, None) if accuracy is None else interval(accuracy, len(problems))
    return row | {
        "accuracy": None if accuracy is None else 100 * accuracy,
        "half": None if low is None or high is None else 50 * (high - low),
    }


def solved_by(problems: Problems, device: str) -> Tensor:
    """Which puzzles the shipped reasoner solves with one trajectory: bool `[problems]`."""
    pipeline = load(REASONER, "cpu" if device == "auto" else device)
    (pool,) = pipeline.engine.pools(problems.inputs, depths=(DEPTH,), breadth=1)
    assert problems.labels is not None
    return exactly_right(pool.answers[:, 0], problems.labels)


def run(setup: Setup) -> Findings:
    """Count, draw and compare."""
    size, count = SIZES[setup.scale]
    made = {
        sort.label: Maze(Maze.Config(size=size, **sort.config)).generate(count, seed=setup.seeds - 1)
        for sort in (UNIQUE, SEVERAL)
    }
    lengths = [path_lengths(sort, made[sort.label], size) for sort in (UNIQUE, SEVERAL)]
    setup.say(f"counted the shortest paths of {2 * count:,} mazes")
    pictures = [setup.out / "mazes.png", setup.out / "path-lengths.png"]
    setup.out.mkdir(parents=True, exist_ok=True)
    draw_pair([(sort, made[sort.label].inputs[0].numpy()) for sort in (UNIQUE, SEVERAL)], size, pictures[0])
    draw_lengths(lengths, pictures[1])

    sudoku, forum, compared = load_task({"name": "sudoku"}), None, list[Row]()
    if Path(FORUM).is_dir():
        forum = (sudoku.read(Path(FORUM) / "train.csv"), sudoku.read(Path(FORUM) / "test.csv"))
        test, chosen = forum[1], lite(forum[1], setup.seeds - 1)
        right = None
        if setup.scale == "paper":
            setup.say(f"{REASONER} at depth {DEPTH} on {len(test):,} puzzles of Sudoku-Forum")
            right = solved_by(test, setup.device)
        compared = [
            ratings("whole test set", test, right),
            ratings(f"{LITE:,} at random", test[chosen], None if right is None else right[chosen]),
        ]
        pictures.append(setup.out / "ratings.png")
        draw_ratings(test, test[chosen], pictures[-1])
    columns = {
        "set": "{set}",
        "board": "{board}",
        "vocabulary": "{vocabulary}",
        "train": "{train:,}",
        "held out": "{held_out:,}",
        "from": "{origin}",
        "paper": "{published_as}",
        "board, vocabulary, sizes": "{published}",
    }
    sheets = [
        Sheet("specifications", "EqR Tab. 16(a)", specifications(forum), columns),
        Sheet(
            "path-lengths",
            f"EqR Tab. 16(b): {count:,} mazes of each sort, {size}×{size}",
            [{name: value for name, value in row.items() if name != "lengths"} for row in lengths],
            {
                "mazes": "{mazes}",
                "mean length": "{mean:.2f}",
                "from": "{least}",
                "to": "{greatest}",
                "several shortest paths %": "{several:.1f}",
                "paths, median": "{ways:,.0f}",
                "paper": "{published_as}",
                "length": "{published:.2f}",
            },
        ),
    ]
    if compared:
        sheets.append(
            Sheet(
                "lite",
                "EqR Tab. 15, Fig. 15, of Sudoku-Forum: ratings (a solver's guesses), whole and in part",
                compared,
                {
                    "puzzles": "{set}",
                    "count": "{count:,}",
                    "mean rating": "{mean:.2f}",
                    "25%": "{quantile_25:.0f}",
                    "median": "{quantile_50:.0f}",
                    "75%": "{quantile_75:.0f}",
                    "95%": "{quantile_95:.0f}",
                    "most": "{most:.0f}",
                    "rated 0, %": "{zero:.1f}",
                    f"{REASONER} %": "{accuracy:.1f} ±{half:.1f}",
                },
            )
        )
    return Findings(
        sheets,
        notes(lengths, compared),
        pictures,
        {"mazes": {sort.label: sort.config | {"size": size} for sort in (UNIQUE, SEVERAL)}, "count": count},
    )


def notes(lengths: Sequence[Row], compared: Sequence[Row]) -> list[str]:
    """What the tables show."""
    unique, several = lengths
    said = [
        f"Mazes without loops have the longer paths, {unique['mean']:.2f} against {several['mean']:.2f} "
        f"(published 119.75 and 113.79): {'yes' if unique['mean'] > several['mean'] else 'no'}.",
        f"Several shortest paths: {unique['several']:.1f}% of mazes without loops, {several['several']:.1f}% "
        f"of those walled at random, with a median of {several['ways']:,.0f} paths (the paper: most of "
        "Maze-1k).",
    ]
    if not compared:
        said.append(
            f"Sudoku-Forum was left out: there is no folder {FORUM} here with train.csv and test.csv. Start "
            "where it lies, or link it."
        )
        return said
    whole, part = compared
    said.append(
        f"Of Sudoku-Forum, {part['count']:,} of {whole['count']:,} test puzzles at random have mean rating "
        f"{part['mean']:.2f} against {whole['mean']:.2f}, and {part['zero']:.1f}% against "
        f"{whole['zero']:.1f}% need no guess."
    )
    if part["accuracy"] is None:
        said.append("The reasoner's accuracy on both is measured at the scale paper alone.")
    else:
        said.append(
            f"{REASONER} at depth {DEPTH}: {part['accuracy']:.1f}% of the part, {whole['accuracy']:.1f}% of "
            "the whole (published, of Sudoku-Lite and Sudoku-Extreme: EqR 84.3 and 86.4, TRM 82.0 and 84.1)."
        )
    return said


def draw_lengths(lengths: Sequence[Row], path: Path) -> None:
    """How long shortest paths are, in each sort."""
    bins = list(range(100, max(row["greatest"] for row in lengths) + 5, 4))
    with picture(path) as (_, axes):
        for place, row in enumerate(lengths):
            look: Any = {"histtype": "step", "color": COLOURS[place], "linestyle": LINES[place]}
            label = f"{row['mazes']},\nmean {row['mean']:.1f}"
            axes.hist(row["lengths"], bins=bins, label=label, linewidth=1.2, **look)
        axes.set_xlabel("steps of the shortest path")
        axes.set_ylabel(f"mazes of {lengths[0]['count']:,}")
        axes.legend(loc="upper right")


def draw_ratings(whole: Problems, part: Problems, path: Path) -> None:
    """Shares of puzzles by rating, of a set and of a random part of it."""
    assert whole.ratings is not None and part.ratings is not None
    edges = sorted({0, 1, *np.geomspace(2, float(whole.ratings.max()) + 1, 20).round().astype(int).tolist()})
    with picture(path, width=COLUMN) as (_, axes):
        for place, (problems, label) in enumerate(
            ((whole, "whole test set"), (part, f"{len(part):,} of it"))
        ):
            assert problems.ratings is not None
            shares, _ = np.histogram(problems.ratings.numpy(), edges)
            look: Any = {"color": COLOURS[place], "linestyle": LINES[place], "label": label}
            axes.stairs(100 * shares / len(problems), edges, linewidth=1.2, **look)
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(0, edges[-1])
        axes.set_xticks([0.5, 1, 10, 100], ["0", "1", "10", "100"])
        axes.set_xlabel("rating: guesses of a solver (Sudoku-Forum)")
        axes.set_ylabel("puzzles (%)")
        axes.legend(loc="upper center")


REPRODUCTION = Reproduction(
    name="data-sets",
    what="EqR Tab. 15, 16, Fig. 14, 15: data sets",
    scales={
        "cpu": "200 mazes of each sort, and ratings beside a folder sudoku-forum: a minute on one core, no "
        "training",
        "paper": "1,000 mazes of each sort, and the shipped 9×9 reasoner on 4,096 puzzles of sudoku-forum: "
        "not timed yet",
    },
    run=run,
    seeds=1,
)
