"""EqR Tab. 2: from a feed-forward network to a reasoner, one ingredient a row.

At the scale `cpu` the same five recipes run on 6×6 Sudoku with one common set of changes. Every row is
trained with every learning rate and every seed for equally many optimizer steps; the rate of a row is chosen
on one part of the held-out puzzles and its accuracy is reported on the other, so that choosing does not
flatter.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from equilibria.diagnostics.drawing import COLOURS, LINES, MARKERS, picture
from equilibria.files import write_text
from equilibria.recipes import Recipe
from equilibria.reproduce.graded import exact
from equilibria.reproduce.reproduction import (
    Findings,
    Reproduction,
    Row,
    Setup,
    Sheet,
    half_range,
    mean,
)
from equilibria.reproduce.runs import CachedRun, Remaining, seeded, side_by_side
from equilibria.reproduce.small import CPU, RARELY


@dataclass(frozen=True)
class Ingredient:
    """A row of the table.

    Attributes:
        recipe: that trains it.
        label: as the paper calls it.
        train, accuracy: as published, in percent.
        changes: of the recipe at the scale `cpu`, beyond those of all rows.
    """

    recipe: str
    label: str
    train: float
    accuracy: float
    changes: tuple[str, ...]


TIED = ("reasoner.layers=1", "reasoner.H_cycles=2", "reasoner.L_cycles=2")  # 6 block applications
WHOLE, TRUNCATED = (*TIED, "reasoner.tracked=6"), (*TIED, "reasoner.tracked=3")
ROWS = (
    Ingredient("path-feedforward", "feed-forward", 93.8, 2.6, ("reasoner.layers=6",)),
    Ingredient("path-weight-tied", "+ weight-tied", 94.5, 32.6, WHOLE),
    Ingredient("path-sot", "+ SOT, depth ×16", 94.9, 74.7, WHOLE),
    Ingredient("path-hierarchy", "+ hierarchy", 99.3, 76.5, TRUNCATED),
    Ingredient("path-act", "+ ACT", 82.2, 84.8, TRUNCATED),
)
RATES = {"cpu": (1e-3, 3e-3), "paper": (1e-4,)}
RATE = "training.optimizer.lr"
SEEN = 500  # training puzzles on which the training accuracy is measured
BESIDE = {
    "cpu": "Published numbers are of Sudoku-Extreme (9×9), ours of generated 6×6 puzzles and networks less "
    "than a hundredth the size: compare the order and the gaps, not the values.",
    "paper": "Ours at the recipe's own learning rate and weight decay; the paper tuned both for each row.",
}


@dataclass(frozen=True)
class Attempt:
    """One run of the grid: a row with a learning rate and a seed."""

    row: Ingredient
    recipe: Recipe


def attempts(setup: Setup) -> list[Attempt]:
    """The whole grid, all rows of a seed before the next, so that what is done first says most."""
    fixed = [change for change in setup.overrides if change.startswith(f"{RATE}=")]
    grid = fixed or [f"{RATE}={rate}" for rate in RATES[setup.scale]]
    found: list[Attempt] = []
    for seed in range(setup.seeds):
        for rate in grid:
            for row in ROWS:
                smaller = (*CPU, *row.changes) if setup.scale == "cpu" else ()
                changes = [*smaller, *RARELY, *setup.overrides, rate]
                found.append(Attempt(row, seeded(row.recipe, changes, seed)))
    return found


def score(attempt: Attempt, cache: Path, device: str) -> Row:
    """Train one run, if that was not done, and measure it at the depth it was trained at."""
    began = time.perf_counter()
    recipe, run = attempt.recipe, CachedRun.of(attempt.recipe, cache)
    held_out, depth = run.splits.held_out, recipe.training.depth
    chosen_on = len(held_out) // 4
    asked = {"depth": depth, "seen": SEEN, "held_out": held_out.fingerprint(), "chosen_on": chosen_on}

    def measure() -> dict[str, Any]:
        pipeline, seconds = run.trained(device)
        reasoner = pipeline.reasoner
        return {
            "train": exact(pipeline, run.splits.train[:SEEN], depth),
            "validation": exact(pipeline, held_out[:chosen_on], depth),
            "evaluation": exact(pipeline, held_out[chosen_on:], depth),
            "parameters": reasoner.parameter_count(),
            "layers": reasoner.equivalent_layers * depth,
            "seconds": seconds,
        }

    about = {
        "recipe": attempt.row.recipe,
        "rate": recipe.training.optimizer.lr,
        "seed": recipe.training.seed,
        "steps": recipe.training.steps,
        "batch": recipe.training.batch,
        "blocks": recipe.reasoner.model_dump()["layers"],
    }
    found = run.once("construction-path", asked, measure)
    return about | found | {"folder": run.folder.name, "minutes": (time.perf_counter() - began) / 60}


def summary(row: Ingredient, results: Sequence[Row]) -> Row:
    """A row of the table, at the learning rate that is best on the validation puzzles."""
    by_rate: dict[float, list[Row]] = {}
    for result in results:
        by_rate.setdefault(result["rate"], []).append(result)
    rate, best = max(by_rate.items(), key=lambda pair: mean(pair[1], "validation"))
    return {
        "method": row.label,
        "recipe": row.recipe,
        "blocks": best[0]["blocks"],
        "parameters": best[0]["parameters"],
        "layers": best[0]["layers"],
        "rate": rate,
        "train": mean(best, "train"),
        "validation": mean(best, "validation"),
        "evaluation": mean(best, "evaluation"),
        "spread": half_range(best, "evaluation"),
        "seeds": len(best),
        "published_train": row.train,
        "published_evaluation": row.accuracy,
        "minutes": mean(best, "seconds") / 60,
    }


def verdict(rows: Sequence[Row]) -> str:
    """Whether every row is better than the one above it, as in the paper."""
    broken = [
        f"{below['method']} ({below['evaluation']:.1f}%) is no better than {above['method']} "
        f"({above['evaluation']:.1f}%){_within_spread(above, below)}"
        for above, below in pairwise(rows)
        if below["evaluation"] <= above["evaluation"]
    ]
    if not broken:
        return "The paper's order holds: every row is more accurate than the one above it."
    return f"The paper's order does not hold throughout: {'; '.join(broken)}."


def _within_spread(above: Row, below: Row) -> str:
    near = above["evaluation"] - below["evaluation"] <= above["spread"] + below["spread"]
    return ", within the spread of the seeds" if near else ""


def run(setup: Setup) -> Findings:
    """Train the grid, choose each row's rate, and set the rows beside the published ones."""
    grid = attempts(setup)
    remaining, done = Remaining(len(grid)), list[Row]()
    work = partial(score, cache=setup.cache, device=setup.device)
    for attempt, result in side_by_side(work, grid, setup.jobs):
        left = remaining.finish(60 * result.pop("minutes"), setup.jobs)
        done.append(result)
        write_text(setup.out / "runs.csv", _every_run(done).csv())
        setup.say(
            f"{left}: {attempt.row.label}, rate {result['rate']:g}, seed {result['seed']}: "
            f"{result['evaluation']:.1f}% held out, {result['train']:.1f}% in training, "
            f"{result['seconds'] / 60:.1f} min"
        )
    places = {row.recipe: place for place, row in enumerate(ROWS)}
    done.sort(key=lambda result: (result["seed"], result["rate"], places[result["recipe"]]))
    rows = [summary(row, [result for result in done if result["recipe"] == row.recipe]) for row in ROWS]
    drawing = setup.out / "construction-path.png"
    draw(rows, setup.scale, drawing)
    recipes = {attempt.row.recipe: attempt.recipe.model_dump(mode="json") for attempt in grid[: len(ROWS)]}
    rates = sorted({result["rate"] for result in done})
    return Findings(
        [_table(rows, setup, grid[0].recipe), _every_run(done)],
        [verdict(rows), BESIDE[setup.scale]],
        [drawing],
        {"rates": rates, "recipes (first seed, first rate)": recipes},
    )


def _table(rows: Sequence[Row], setup: Setup, recipe: Recipe) -> Sheet:
    training = recipe.training
    columns = {
        "method": "{method}",
        "blocks": "{blocks}",
        "param.": "{parameters:,}",
        "NLE": "{layers}",
        "rate": "{rate:g}",
        "train %": "{train:.1f}",
        "eval %": "{evaluation:.1f} ±{spread:.1f}",
        "paper": "{published_train:.1f}/{published_evaluation:.1f}",
    }
    title = (
        f"EqR Tab. 2: {training.steps:,} steps of {training.batch} for every row; "
        f"mean ± half the range of {setup.seeds} seeds; paper: train/eval %"
    )
    return Sheet("construction-path", title, rows, columns)


def _every_run(results: Sequence[Row]) -> Sheet:
    columns = {
        "recipe": "{recipe}",
        "rate": "{rate:g}",
        "seed": "{seed}",
        "train %": "{train:.1f}",
        "validation %": "{validation:.1f}",
        "eval %": "{evaluation:.1f}",
        "seconds": "{seconds:.0f}",
    }
    return Sheet("runs", "every run", results, columns)


def draw(rows: Sequence[Row], scale: str, path: Path) -> None:
    """Accuracy of each row, ours with its spread over seeds, and as published."""
    places = range(len(rows))
    ours = "ours, 6×6 Sudoku" if scale == "cpu" else "ours"
    with picture(path) as (_, axes):
        axes.errorbar(
            places,
            [row["evaluation"] for row in rows],
            [row["spread"] for row in rows],
            color=COLOURS[0],
            marker=MARKERS[0],
            capsize=2,
            label=ours,
        )
        published = [row["published_evaluation"] for row in rows]
        marks = {"color": COLOURS[1], "marker": MARKERS[1], "mfc": "white"}
        axes.plot(places, published, LINES[1], **marks, label="published, 9×9 Sudoku")
        axes.set_xticks(places, [row["method"].replace(", ", ",\n").replace("+ ", "+\u2009") for row in rows])
        axes.tick_params(axis="x", labelsize=6)
        axes.set_ylabel("exact accuracy, held-out puzzles (%)")
        axes.set_ylim(0, 102)
        axes.legend(loc="lower right")


REPRODUCTION = Reproduction(
    name="construction-path",
    what="EqR Tab. 2: from feed-forward to ACT, one ingredient a row",
    scales={
        "cpu": "20 runs (5 rows, 2 learning rates, 2 seeds) of 700 steps on 6×6 Sudoku: about a quarter of "
        "an hour on 2 cores",
        "paper": "10 runs (5 rows, 2 seeds) of 50,000 steps on Sudoku-Extreme: 24 EFLOP on one GPU of 92 GB "
        "(feed-forward: 169 GB), or less with training.accumulate=4",
    },
    run=run,
)
