"""What the reproductions about mazes share: training runs, and how a reasoner does on new mazes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from equilibria.diagnostics.drawing import COLOURS, LINES, MARKERS
from equilibria.diagnostics.evaluation import correct
from equilibria.diagnostics.metrics import auroc, averaged, chosen, path_independence
from equilibria.diagnostics.validity import valid_answers
from equilibria.inference.selection import majority, most_converged
from equilibria.pipeline import Pipeline
from equilibria.recipes import Recipe
from equilibria.reproduce.reproduction import Row, Setup
from equilibria.reproduce.runs import CachedRun, Remaining, seeded, side_by_side
from equilibria.tasks import Problems

SELECTED = 256
"""Held-out mazes that are tried many times, where restarts are compared."""


@dataclass(frozen=True)
class Variant:
    """A reasoner and the mazes that it learns.

    Attributes:
        label: in tables and figures.
        recipe: by scale, the recipe that trains it.
        changes: of that recipe.
        breadth: restarts to compare; 1: each maze is tried once.
    """

    label: str
    recipe: Mapping[str, str]
    changes: tuple[str, ...] = ()
    breadth: int = 1


@dataclass(frozen=True)
class Attempt:
    """One run: a variant with a seed."""

    variant: Variant
    recipe: Recipe


def attempts(variants: Sequence[Variant], setup: Setup) -> list[Attempt]:
    """All runs, those of a seed before the next."""
    found: list[Attempt] = []
    for seed in range(setup.seeds):
        for variant in variants:
            changes = [*variant.changes, *setup.overrides]
            found.append(Attempt(variant, seeded(variant.recipe[setup.scale], changes, seed)))
    return found


def all_scores(variants: Sequence[Variant], setup: Setup) -> list[Row]:
    """Every run of every variant, trained where that was not done, with a row for each depth and breadth."""
    todo, done = attempts(variants, setup), list[Row]()
    remaining = Remaining(len(todo))
    work = partial(scores, cache=setup.cache, device=setup.device)
    for attempt, rows in side_by_side(work, todo, setup.jobs):
        done += rows
        told = ", ".join(f"{row['exact']:.1f}% at {row['depth']}" for row in rows if row["breadth"] == 1)
        setup.say(
            f"{remaining.finish(rows[0]['took'], setup.jobs)}: {attempt.variant.label}, "
            f"seed {attempt.recipe.training.seed}: {told}; {rows[0]['seconds'] / 60:.1f} min of training"
        )
    return done


def scores(attempt: Attempt, cache: Path, device: str) -> list[Row]:
    """Train one run, if that was not done, and try new mazes up to eight times the depth of training."""
    began = time.perf_counter()
    run, trained = CachedRun.of(attempt.recipe, cache), attempt.recipe.training.depth
    breadth, problems = attempt.variant.breadth, run.splits.held_out
    asked = {"held_out": problems.fingerprint(), "breadth": breadth, "selected": SELECTED, "trained": trained}

    def measure() -> dict[str, Any]:
        pipeline, seconds = run.trained(device)
        rows = at_depths(pipeline, problems, 1, [2**power for power in range((8 * trained).bit_length())])
        if breadth > 1:
            rows += at_depths(pipeline, problems[:SELECTED], breadth, [trained, 4 * trained])
        facts = {"seconds": seconds, "parameters": pipeline.reasoner.parameter_count()}
        return {"rows": [row | facts for row in rows]}

    found = run.once("mazes", asked, measure)["rows"]
    about = {"method": attempt.variant.label, "recipe": attempt.recipe.name}
    about |= {"seed": attempt.recipe.training.seed, "trained": trained, "folder": run.folder.name}
    return [about | row | {"took": time.perf_counter() - began} for row in found]


def at_depths(pipeline: Pipeline, problems: Problems, breadth: int, depths: Sequence[int]) -> list[Row]:
    """Accuracies in percent, of one pass of full-length trajectories, a row for each depth."""
    labels = problems.labels
    assert labels is not None
    pools = pipeline.engine.pools(problems.inputs, depths=tuple(depths), breadth=breadth)
    rows: list[Row] = []
    for depth, pool in zip(depths, pools, strict=True):
        right, shortest = correct(pool, labels), valid_answers(pipeline.task, problems.inputs, pool.answers)
        assert shortest is not None  # a maze may have several
        several = {
            "majority": 100 * chosen(right, majority(pool)).mean().item(),
            "most_converged": 100 * chosen(right, most_converged(pool)).mean().item(),
            "path_independence": 100 * path_independence(right),
        }
        rows.append(
            {
                "depth": depth,
                "breadth": breadth,
                "problems": len(problems),
                "exact": 100 * averaged(right).mean().item(),
                "any_shortest": 100 * averaged(shortest).mean().item(),
                "auroc": auroc(pool.residual, right),
                "residual": pool.residual.mean().item(),
            }
            | (several if breadth > 1 else dict.fromkeys(several))
        )
    return rows


MEANS = ("exact", "any_shortest", "majority", "most_converged", "auroc", "path_independence", "residual")


def summary(rows: Sequence[Row]) -> Row:
    """Means over the seeds of one method, depth and breadth, and half the range of exact accuracy."""
    kept = {
        key: rows[0][key]
        for key in ("method", "recipe", "depth", "breadth", "trained", "problems", "parameters")
    }
    means = {key: mean([row[key] for row in rows]) for key in MEANS}
    exact = [row["exact"] for row in rows]
    spread = {"spread": (max(exact) - min(exact)) / 2, "seeds": len(rows)}
    return kept | means | spread | {"minutes": mean([row["seconds"] / 60 for row in rows])}


def mean(values: Sequence[float | None]) -> float | None:
    """None where there is none; a NaN (nothing to tell apart) is left out."""
    there = [value for value in values if value is not None and value == value]
    return sum(there) / len(there) if there else None


def by_method(rows: Sequence[Row]) -> list[Row]:
    """The summaries of all rows: method by method as they first come, breadth before depth."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    keys = {(methods.index(row["method"]), row["breadth"], row["depth"]) for row in rows}
    return [
        summary([r for r in rows if (methods.index(r["method"]), r["breadth"], r["depth"]) == key])
        for key in sorted(keys)
    ]


def draw_over_depth(axes: Any, summaries: Sequence[Row], variants: Sequence[Variant]) -> None:
    """Exact accuracy of single trajectories over depth, a line for each variant; the trained depth dotted."""
    for place, variant in enumerate(variants):
        rows = [row for row in summaries if row["method"] == variant.label and row["breadth"] == 1]
        axes.errorbar(
            [row["depth"] for row in rows],
            [row["exact"] for row in rows],
            [row["spread"] for row in rows],
            color=COLOURS[place],
            marker=MARKERS[place],
            linestyle=LINES[place],
            capsize=2,
            label=variant.label,
        )
    axes.axvline(summaries[0]["trained"], color="0.5", linewidth=0.8, linestyle=":")
    axes.set_xscale("log", base=2)
    axes.get_xaxis().set_major_formatter("{x:.0f}")
    axes.set_xlabel("depth, iterations (dotted: trained)")
    axes.set_ylabel("accuracy on new mazes (%)")
    axes.set_ylim(-3, 103)
