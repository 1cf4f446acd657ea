"""What reproductions that compare ways of training share: runs, their accuracies, and a rate for each way.

A way of training gets every learning rate it is given with every seed; its rate is chosen on the first
quarter of the held-out puzzles and its accuracy is reported on the others, so that choosing does not flatter.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from equilibria.diagnostics.evaluation import AVERAGE
from equilibria.pipeline import Pipeline
from equilibria.recipes import Recipe
from equilibria.reproduce.reproduction import Row, Setup, Sheet, half_range, mean
from equilibria.reproduce.runs import CachedRun, Remaining, seeded, side_by_side
from equilibria.reproduce.small import CPU, RARELY, RATE, variant
from equilibria.tasks import Problems

FEEDFORWARD, TIED = "path-feedforward", "path-weight-tied"
SEEN = 500
"""Training puzzles on which the training accuracy is measured."""


@dataclass(frozen=True)
class Attempt:
    """One training run.

    Attributes:
        way: the way of training, as it is called in the table.
        recipe: with rate and seed.
        within: a folder of the cache to keep it in; empty: the cache itself.
    """

    way: str
    recipe: Recipe
    within: str = ""

    def run(self, cache: Path) -> CachedRun:
        """The run, whether it was made or not."""
        return CachedRun.of(self.recipe, cache / self.within)


def recipe_of(base: str, scale: str, seed: int, changes: Sequence[str], overrides: Sequence[str]) -> Recipe:
    """As `small.variant`, of feed-forward recipes, too, which have no cycles to shorten."""
    if base != FEEDFORWARD:
        return variant(scale, seed, changes, overrides, base=base)
    smaller = (*CPU, RATE) if scale == "cpu" else ()
    return seeded(base, [*smaller, *RARELY, *changes, *overrides], seed)


def rates(given: Sequence[float], overrides: Sequence[str]) -> list[str]:
    """Changes that set each learning rate; the user's alone, where there is one."""
    key = RATE.split("=")[0]
    return [one for one in overrides if one.startswith(f"{key}=")] or [f"{key}={rate}" for rate in given]


def grade(attempt: Attempt, cache: Path, device: str) -> Row:
    """Train one run, if that was not done, and measure it at the depth it was trained at; in percent."""
    began = time.perf_counter()
    recipe, run = attempt.recipe, attempt.run(cache)
    held_out, depth = run.splits.held_out, recipe.training.depth
    chosen_on = len(held_out) // 4
    asked = {"depth": depth, "seen": SEEN, "held_out": held_out.fingerprint(), "chosen_on": chosen_on}

    def measure() -> dict[str, Any]:
        pipeline, seconds = run.trained(device)
        return {
            "train": exact(pipeline, run.splits.train[:SEEN], depth),
            "validation": exact(pipeline, held_out[:chosen_on], depth),
            "evaluation": exact(pipeline, held_out[chosen_on:], depth),
            "parameters": pipeline.reasoner.parameter_count(),
            "layers": pipeline.reasoner.equivalent_layers * depth,
            "steps_lived": logged(run.folder)[-1]["halting_step"],
            "seconds": seconds,
        }

    training = recipe.training
    about = {
        "way": attempt.way,
        "recipe": recipe.name,
        "rate": training.optimizer.lr,
        "seed": training.seed,
        "steps": training.steps,
        "batch": training.batch,
        "depth": depth,
    }
    found = run.once("accuracy", asked, measure)
    return about | found | {"folder": run.folder.name, "took": time.perf_counter() - began}


def exact(pipeline: Pipeline, problems: Problems, depth: int) -> float:
    """Exact accuracy of single trajectories, percent."""
    evaluation = pipeline.evaluate(problems, depths=(depth,), halting="fixed")
    return 100 * evaluation.row(depth, 1, AVERAGE).exact_accuracy


def grade_all(todo: Sequence[Attempt], setup: Setup) -> list[Row]:
    """Every run with its accuracies, in the order of `todo`."""
    remaining, done = Remaining(len(todo)), dict[int, Row]()
    places = {id(attempt): place for place, attempt in enumerate(todo)}
    for attempt, row in side_by_side(
        partial(grade, cache=setup.cache, device=setup.device), todo, setup.jobs
    ):
        left = remaining.finish(row.pop("took"), setup.jobs)
        done[places[id(attempt)]] = row
        setup.say(
            f"{left}: {row['way']}, rate {row['rate']:g}, seed {row['seed']}: {row['evaluation']:.1f}% held "
            f"out, {row['train']:.1f}% in training; {row['seconds'] / 60:.1f} min of training"
        )
    return [done[place] for place in range(len(todo))]


def best(rows: Sequence[Row]) -> Row:
    """One way of training at the rate that is best on the validation puzzles: means over its seeds."""
    by_rate: dict[float, list[Row]] = {}
    for row in rows:
        by_rate.setdefault(row["rate"], []).append(row)
    chosen = max(by_rate.values(), key=lambda same: mean(same, "validation"))
    kept = {
        name: chosen[0][name]
        for name in ("way", "recipe", "rate", "steps", "batch", "depth", "parameters", "layers")
    }
    means = {name: mean(chosen, name) for name in ("train", "validation", "evaluation", "steps_lived")}
    spread = {"spread": half_range(chosen, "evaluation"), "seeds": len(chosen), "rates": len(by_rate)}
    return kept | means | spread | {"minutes": mean(chosen, "seconds") / 60}


def best_of_each(rows: Sequence[Row]) -> dict[str, Row]:
    """`best` of every way, in the order in which they come."""
    ways = dict.fromkeys(row["way"] for row in rows)
    return {way: best([row for row in rows if row["way"] == way]) for way in ways}


def compared(what: str, lower: Row, higher: Row) -> str:
    """Whether one way is more accurate than another, as a sentence with both numbers."""
    low, high = lower["evaluation"], higher["evaluation"]
    word = "yes" if high > low else "no"
    near = abs(high - low) <= lower["spread"] + higher["spread"]
    within = ", within the spread of the seeds" if near and lower["seeds"] > 1 else ""
    return f"{what}: {word}, {low:.1f}% and {high:.1f}%{within}."


def logged(folder: Path) -> list[Row]:
    """What a run wrote while it trained, by step; lines of one step are joined."""
    by_step: dict[int, Row] = {}
    for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines():
        facts = json.loads(line)
        by_step.setdefault(facts["step"], {}).update(facts)
    return [by_step[step] for step in sorted(by_step)]


def every_run(rows: Sequence[Row]) -> Sheet:
    """The sheet of single runs, too long to show."""
    return Sheet("runs", "every run", rows, {})
