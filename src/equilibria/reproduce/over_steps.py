"""Accuracy over the steps of a training run: kept in its log, in training and on held-out puzzles."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from equilibria.reproduce.graded import Attempt, logged
from equilibria.reproduce.reproduction import Row, Setup, mean
from equilibria.reproduce.runs import Remaining, side_by_side

WATCHED = {
    "cpu": ("training.log_every=50", "training.evaluate_every=50", "training.evaluate_problems=1000"),
    "paper": ("training.log_every=500", "training.evaluate_every=5000", "training.evaluate_problems=2048"),
}
"""Evaluate while training: held-out accuracy over steps stands in the run's log."""
OVER_STEPS = "over-steps"
"""Such runs have a folder of their own in the cache: a run that was not watched has no such log."""


def curve(attempt: Attempt, cache: Path, device: str) -> list[Row]:
    """Accuracy over steps of a run that was watched, trained if that was not done; in percent.

    In training: of the rows since the last line of the log, under the weights as they were and with every
    puzzle varied. Held out: under the averaged weights.
    """
    began, run = time.perf_counter(), attempt.run(cache)
    _, seconds = run.trained(device)
    found = [line for line in logged(run.folder) if "held_out_exact" in line]
    training = attempt.recipe.training
    about = {"way": attempt.way, "rate": training.optimizer.lr, "seed": training.seed, "seconds": seconds}
    took = time.perf_counter() - began
    return [
        about
        | {
            "step": line["step"],
            "train": 100 * line["exact"],
            "held_out": 100 * line["held_out_exact"],
            "took": took,
        }
        for line in found
    ]


def all_curves(todo: Sequence[Attempt], setup: Setup) -> list[Row]:
    """The curves of every run, one after the other."""
    remaining, done = Remaining(len(todo)), dict[int, list[Row]]()
    places = {id(attempt): place for place, attempt in enumerate(todo)}
    for attempt, rows in side_by_side(
        partial(curve, cache=setup.cache, device=setup.device), todo, setup.jobs
    ):
        left = remaining.finish(rows[0]["took"], setup.jobs)
        for row in rows:
            row.pop("took")
        done[places[id(attempt)]] = rows
        peak = max(row["held_out"] for row in rows)
        setup.say(
            f"{left}: {attempt.way}, rate {rows[0]['rate']:g}, seed {rows[0]['seed']}: at best {peak:.1f}% "
            f"held out; {rows[0]['seconds'] / 60:.1f} min of training"
        )
    return [row for place in range(len(todo)) for row in done[place]]


def over_seeds(rows: Sequence[Row]) -> list[Row]:
    """Curves averaged over seeds: a row for each way, rate and step."""
    keys = dict.fromkeys((row["way"], row["rate"], row["step"]) for row in rows)
    averaged: list[Row] = []
    for key in keys:
        same = [row for row in rows if (row["way"], row["rate"], row["step"]) == key]
        train, held_out = mean(same, "train"), mean(same, "held_out")
        averaged.append(
            dict(zip(("way", "rate", "step"), key, strict=True))
            | {"train": train, "held_out": held_out, "gap": held_out - train, "seeds": len(same)}
        )
    return averaged
