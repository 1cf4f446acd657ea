"""EqR Tab. 14, the rows of Mini-ARC: HRM, TRM and EqR under one protocol.

The paper states none, so this one is ours: the demonstrations of all 149 tasks are trained on, under
variants of each (turned, mirrored, recoloured); the test pair of each is held out. A test is answered under
every variant of its task, and the answers vote: pass@1 is the winner, pass@2 the first two.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from equilibria.diagnostics.drawing import COLOURS, picture
from equilibria.diagnostics.evaluation import AVERAGE
from equilibria.recipes import Recipe
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet
from equilibria.reproduce.runs import CachedRun, Remaining, seeded, side_by_side


@dataclass(frozen=True)
class Model:
    """A row of the table.

    Attributes:
        label: as the paper calls it.
        recipe: that trains it.
        published: accuracy in percent.
        breadth: most restarts of each variant.
        smaller: changes of the recipe at the scale `cpu`, beyond those of all models.
    """

    label: str
    recipe: str
    published: float
    breadth: int
    smaller: tuple[str, ...]


@dataclass(frozen=True)
class Attempt:
    """One training run."""

    model: Model
    recipe: Recipe


CYCLES, LAYERS = (
    ("reasoner.H_cycles=1", "reasoner.L_cycles=2"),
    ("reasoner.layers=1", "reasoner.fast_layers=1"),
)  # six block applications an iteration, either way
MODELS = (
    Model("HRM", "hrm-mini-arc", 44.85, 1, LAYERS),
    Model("TRM", "trm-mini-arc", 48.35, 1, CYCLES),
    Model("EqR", "eqr-mini-arc", 55.28, 4, CYCLES),
)
CPU = (
    # Fewer variants, each seen more often, shorter lives, a quicker optimizer: for minutes of one core.
    *("task.variants=7", "training.steps=2000", "training.depth=4", "reasoner.gate=bounded"),
    *("training.optimizer.name=muon", "training.optimizer.muon_lr=0.02", "training.optimizer.clip=1.0"),
    *("training.optimizer.identity_lr=0.05", "training.precision=fp32", "training.compiled=true"),
    *("training.evaluate_every=1000000000", "training.save_every=250"),
)
BESIDE = (
    "Published: HRM 44.85%, TRM 48.35%, EqR 55.28%. Neither the paper's split nor its sizes and schedule are "
    "known, so the two columns cannot be compared; only the order can be looked at."
)


def attempts(setup: Setup) -> list[Attempt]:
    """All runs, those of a seed before the next."""
    found: list[Attempt] = []
    for seed in range(setup.seeds):
        for model in MODELS:
            smaller = (*CPU, *model.smaller) if setup.scale == "cpu" else ()
            changes = [*smaller, *setup.overrides]
            found.append(Attempt(model, seeded(model.recipe, changes, seed)))
    return found


def score(attempt: Attempt, cache: Path, device: str) -> list[Row]:
    """Train one run, if that was not done, and let its answers vote at the trained depth and 4 times it."""
    began = time.perf_counter()
    run, trained = CachedRun.of(attempt.recipe, cache), attempt.recipe.training.depth
    problems, breadths = run.splits.held_out, tuple(sorted({1, attempt.model.breadth}))
    asked = {"held_out": problems.fingerprint(), "trained": trained, "breadths": list(breadths)}

    def measure() -> dict[str, Any]:
        pipeline, seconds = run.trained(device)
        depths = (trained, 4 * trained)
        alone = pipeline.evaluate(problems, depths=depths, halting="fixed")
        votings = pipeline.vote(problems, depths=depths, breadths=breadths, halting="fixed")
        rows = [
            {
                "depth": voting.depth,
                "breadth": voting.breadth,
                "tasks": voting.puzzles,
                "votes": voting.votes,
                "alone": 100 * alone.row(voting.depth, 1, AVERAGE).exact_accuracy,
            }
            | {f"pass_{k}": 100 * share for k, share in voting.pass_at.items()}
            | {f"ci95_{k}": [100 * end for end in voting.interval(s)] for k, s in voting.pass_at.items()}
            for voting in votings
        ]
        facts = {"seconds": seconds, "parameters": pipeline.reasoner.parameter_count()}
        return {"rows": [row | facts for row in rows]}

    found = run.once("mini-arc", asked, measure)["rows"]
    about = {"model": attempt.model.label, "recipe": attempt.recipe.name, "trained": trained}
    about |= {"seed": attempt.recipe.training.seed, "published": attempt.model.published}
    return [about | row | {"took": time.perf_counter() - began} for row in found]


def run(setup: Setup) -> Findings:
    """Train, vote, and set the models beside each other."""
    todo, done = attempts(setup), list[Row]()
    remaining = Remaining(len(todo))
    for attempt, rows in side_by_side(
        partial(score, cache=setup.cache, device=setup.device), todo, setup.jobs
    ):
        done += rows
        setup.say(
            f"{remaining.finish(rows[0]['took'], setup.jobs)}: {attempt.model.label}, "
            f"seed {attempt.recipe.training.seed}: pass@1 {rows[0]['pass_1']:.1f}%, pass@2 "
            f"{rows[0]['pass_2']:.1f}%; {rows[0]['seconds'] / 60:.1f} min of training"
        )
    table = summaries(done)
    drawing = setup.out / "mini-arc.png"
    draw(table, drawing)
    columns = {
        "model": "{model}",
        "parameters": "{parameters:,}",
        "D": "{depth}",
        "B": "{breadth}",
        "votes": "{votes:,}",
        "alone %": "{alone:.1f}",
        "pass@1 %": "{pass_1:.1f}",
        "pass@2 %": "{pass_2:.1f}",
        "paper %": "{published:.2f}",
        "min": "{minutes:.1f}",
    }
    training = todo[0].recipe.training
    title = (
        f"Mini-ARC, {table[0]['tasks']} tests held out, {training.steps:,} steps of {training.batch}; our "
        f"protocol; mean of {setup.seeds} seed{'s' if setup.seeds > 1 else ''}"
    )
    recipes = {attempt.recipe.name: attempt.recipe.model_dump(mode="json") for attempt in todo[: len(MODELS)]}
    sheets = [Sheet("mini-arc", title, table, columns), Sheet("runs", "every run", done, {})]
    return Findings(sheets, [verdict(table), BESIDE], [drawing], {"recipes (first seed)": recipes})


def summaries(rows: Sequence[Row]) -> list[Row]:
    """Means over seeds, and the interval of a single run (over tasks)."""
    keys = list(dict.fromkeys((row["model"], row["depth"], row["breadth"]) for row in rows))
    keys.sort(key=lambda key: [model.label for model in MODELS].index(key[0]))
    table: list[Row] = []
    for key in keys:
        same = [row for row in rows if (row["model"], row["depth"], row["breadth"]) == key]
        means = {name: sum(row[name] for row in same) / len(same) for name in ("alone", "pass_1", "pass_2")}
        minutes = sum(row["seconds"] for row in same) / len(same) / 60
        table.append(same[0] | means | {"minutes": minutes, "seeds": len(same)})
        for name in ("took", "seconds", "seed"):
            table[-1].pop(name)
    return table


def verdict(table: Sequence[Row]) -> str:
    """Every model at the depth of training and one restart, and how sure the first one's share is."""
    plain = [row for row in table if row["depth"] == row["trained"] and row["breadth"] == 1]
    best = max(plain, key=lambda row: row["pass_1"])
    low, high = best["ci95_1"]
    told = ", ".join(f"{row['model']} {row['pass_1']:.1f}%" for row in plain)
    return (
        f"pass@1 at the depth of training: {told}. The 95% interval of {best['model']} alone, over tasks, "
        f"is {low:.1f} to {high:.1f}%."
    )


def draw(table: Sequence[Row], path: Path) -> None:
    """pass@1 and pass@2 of every model at its greatest budget, with 95% intervals over tasks."""
    with picture(path) as (_, axes):
        rows = [[row for row in table if row["model"] == model.label][-1] for model in MODELS]
        for place, (k, hatch) in enumerate(((1, ""), (2, "///"))):
            shares = [row[f"pass_{k}"] for row in rows]
            ends = [row[f"ci95_{k}"] for row in rows]
            errors = [
                [max(share - end[0], 0) for share, end in zip(shares, ends, strict=True)],
                [max(end[1] - share, 0) for share, end in zip(shares, ends, strict=True)],
            ]
            axes.bar(
                [x + 0.36 * (place - 0.5) for x in range(len(rows))],
                shares,
                0.34,
                yerr=errors,
                color=COLOURS[place],
                hatch=hatch,
                edgecolor="white",
                error_kw={"elinewidth": 0.8, "capsize": 2},
                label=f"pass@{k}",
            )
        names = [f"{row['model']}\n({row['depth']}, {row['breadth']})" for row in rows]
        axes.set_xticks(range(len(rows)), names)
        axes.set_ylabel("Mini-ARC tests (%), our protocol")
        axes.legend()


REPRODUCTION = Reproduction(
    name="mini-arc",
    what="EqR Tab. 14 (Mini-ARC): HRM, TRM, EqR",
    scales={
        "cpu": "3 runs of 2,000 steps beside a folder mini-arc: 13 to 25 minutes each on one core, "
        "too few to generalize",
        "paper": "3 runs of 12,000 steps beside a folder mini-arc: not timed yet",
    },
    run=run,
    seeds=1,
)
