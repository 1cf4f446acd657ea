"""EqR Tab. 8 and Fig. 12: where losses sit, where gradient flows, when weights move, and who halts.

At the scale `cpu` all rows are matched in what they compute: equally many optimizer steps, and equally many
iterations of single puzzles in each. Where a step runs a trajectory of D iterations, as without segmented
online training, its batch is therefore D times smaller. At the scale `paper` the batch is the paper's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from equilibria.diagnostics.drawing import COLOURS, COLUMN, MARKERS, picture
from equilibria.reproduce import costs
from equilibria.reproduce.cost_formula import Shape
from equilibria.reproduce.costs import PAPER_UPDATES, SMALL_UPDATES
from equilibria.reproduce.graded import (
    FEEDFORWARD,
    TIED,
    Attempt,
    best_of_each,
    compared,
    every_run,
    grade_all,
    rates,
    recipe_of,
)
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet


@dataclass(frozen=True)
class Way:
    """A row: a way of training.

    Attributes:
        number, label: as in the paper; the number is empty where it has none.
        recipe, changes: that train it; `{all}` and `{last}` stand for the updates of an iteration and of its
            last cycle.
        accuracy: published, percent; None where the paper has no number.
    """

    number: str
    label: str
    recipe: str
    changes: tuple[str, ...]
    accuracy: float | None

    @property
    def name(self) -> str:
        """In the table."""
        return f"{self.number} {self.label}".strip()


NUMBERED = tuple(Way(one.number, one.label, one.recipe, one.changes, one.accuracy) for one in costs.VARIANTS)
(FORWARD, TIED_ONCE, TWICE, TOO_LARGE, TERMINAL, TRAJECTORY, SOT, *_, NEVER, ORACLE, LEARNED) = NUMBERED
SINGLE = Way("⑫", "one latent + learned halting", "path-act", ("reasoner.streams=1",), 73.9)
SILENT = Way("", "⑩ + a head that does not halt", "path-act", ("training.halting.acts=false",), None)
WAYS = (*(way for way in NUMBERED if way is not TOO_LARGE), SINGLE, SILENT)
HALTING = (NEVER, SILENT, LEARNED, ORACLE)
"""The ways of Fig. 12."""

RATES = {"cpu": (3e-3,), "paper": (1e-4,)}
OFFLINE_RATES = {"cpu": (1e-3, 3e-3), "paper": (5e-5, 1e-4, 5e-4, 1e-3)}
"""Of ways whose optimizer steps once a trajectory: the recipes' own rate was found for the others."""


def changes_of(way: Way, scale: str) -> tuple[str, ...]:
    """What makes a recipe this way at a scale."""
    updates = SMALL_UPDATES if scale == "cpu" else PAPER_UPDATES
    if way.recipe == FEEDFORWARD:
        return ("reasoner.layers=6",) if scale == "cpu" else ()
    whole = way.recipe in (TIED, SOT.recipe)
    tracked = f"reasoner.tracked={updates['all' if whole else 'last']}"
    return (tracked, *(change.format(**updates) for change in way.changes))


def attempts_of(way: Way, setup: Setup, seed: int) -> list[Attempt]:
    """The runs of one way with one seed: one a learning rate."""
    changes = changes_of(way, setup.scale)
    training = recipe_of(way.recipe, setup.scale, seed, changes, ()).training
    interval = training.schedule.interval(training.depth)
    if interval > 1 and setup.scale == "cpu":
        changes = (*changes, f"training.batch={training.batch // interval}")
    grid = (RATES if interval == 1 else OFFLINE_RATES)[setup.scale]
    return [
        Attempt(way.name, recipe_of(way.recipe, setup.scale, seed, (*changes, rate), setup.overrides))
        for rate in rates(grid, setup.overrides)
    ]


def attempts(ways: Sequence[Way], setup: Setup) -> list[Attempt]:
    """All runs of some ways, those of a seed before the next."""
    return [
        attempt for seed in range(setup.seeds) for way in ways for attempt in attempts_of(way, setup, seed)
    ]


def needed(setup: Setup) -> float:
    """Gigabytes that autograd keeps of ④, the whole gradient of 16 times the depth, at the published size:
    by EqR Eq. 14 with the terms of one block, counted without numbers."""
    recipe = costs.recipe_of(costs.VARIANTS[3], replace(setup, scale="paper", overrides=()))
    device = torch.device("meta")
    with device:
        reasoner = recipe.build_reasoner(recipe.build_task())
    local = costs.local_terms(reasoner, recipe, device)
    return Shape.of(reasoner, recipe).kept(local) / 1e9


def run(setup: Setup) -> Findings:
    """Train all rows, and set them beside the published ones."""
    memory = needed(setup)
    todo = attempts(WAYS, setup)
    done = grade_all(todo, setup)
    found = best_of_each(done)
    rows = {way.name: found[way.name] | {"published": way.accuracy, "note": ""} for way in WAYS}
    blank = dict.fromkeys(("rate", "batch", "depth", "train", "evaluation", "spread", "minutes", "published"))
    missing: Row = {
        "way": TOO_LARGE.name,
        "note": f"not run: {memory:,.0f} GB of float32 at the published size",
    } | blank
    table = [missing if way is TOO_LARGE else rows[way.name] for way in (*NUMBERED, SINGLE, SILENT)]
    drawing, halting = setup.out / "training-dynamics.png", setup.out / "halting.png"
    draw([row for row in table if row["evaluation"] is not None], drawing)
    draw_halting([rows[way.name] | {"label": label} for way, label in HALTING_LABELS], halting)
    columns = {
        "row": "{way}",
        "D": "{depth}",
        "batch": "{batch}",
        "rate": "{rate:g}",
        "train %": "{train:.1f}",
        "held out %": "{evaluation:.1f} ±{spread:.1f}",
        "paper %": "{published:.1f}",
        "min": "{minutes:.1f}",
        " ": "{note}",
    }
    steps = todo[0].recipe.training.steps
    title = f"EqR Tab. 8: {steps:,} optimizer steps; mean ± half the range of {setup.seeds_in_words}"
    lives = [
        {name: rows[way.name][name] for name in ("way", "evaluation", "train", "steps_lived")}
        for way in HALTING
    ]
    life = {
        "halting": "{way}",
        "iterations of a row in training, at the end": "{steps_lived:.1f}",
        "train %": "{train:.1f}",
        "held out %": "{evaluation:.1f}",
    }
    recipes = {one.way: one.recipe.model_dump(mode="json") for one in todo}
    return Findings(
        [
            Sheet("training-dynamics", title, table, columns),
            Sheet("halting", "EqR Fig. 12: who halts in training", lives, life),
            every_run(done),
        ],
        [*verdict(rows), BESIDE[setup.scale]],
        [drawing, halting],
        {
            "rates": {"every iteration": RATES[setup.scale], "every trajectory": OFFLINE_RATES[setup.scale]},
            "recipes (last seed, last rate)": recipes,
        },
    )


HALTING_LABELS = (
    (NEVER, "no early halt"),
    (SILENT, "head, no early halt"),
    (LEARNED, "learned head"),
    (ORACLE, "oracle"),
)
BESIDE = {
    "cpu": "Ours: 6×6 puzzles, and equal iterations for all rows: a step that runs D iterations has a batch "
    "D times smaller, so that its gradients are of fewer puzzles. The paper keeps the batch, so there such "
    "rows cost more; training.batch=128 does that here.",
    "paper": "The paper tuned rates and weight decay for each row; here only the rates listed were tried.",
}


def verdict(rows: dict[str, Row]) -> list[str]:
    """The statements that the paper draws from its table, and whether they hold in ours.

    Args:
        rows: by name.
    """

    def said(what: str, lower: Way, higher: Way) -> str:
        return compared(what, rows[lower.name], rows[higher.name])

    single, short, wide, both = (rows[way.name]["evaluation"] for way in NUMBERED[6:10])
    return [
        said("(a) Weight-tying helps (published 2.6 → 32.6)", FORWARD, TIED_ONCE),
        said("(b) Twice the depth helps (32.6 → 51.3)", TIED_ONCE, TWICE),
        said("(b) 16 times the depth with detached carry adds to that (51.3 → 51.8)", TWICE, TERMINAL),
        said(
            "(c) Supervising the whole trajectory is worse than its end (51.8 → 47.1)", TRAJECTORY, TERMINAL
        ),
        said("(c) Segmented online training is better than both (→ 74.7)", TERMINAL, SOT),
        f"(d) Truncation: one latent {single:.1f} → {short:.1f} (published 74.7 → 67.2), two {wide:.1f} → "
        f"{both:.1f} (69.8 → 75.4): the paper's reversal "
        f"{'holds' if short < single and both > wide else 'does not hold'}.",
        said("(e) The oracle collapses (75.4 → 13.6)", ORACLE, NEVER),
        said("(e) Learned halting helps (75.4 → 84.8)", NEVER, LEARNED),
        said("(e) Learned halting with one latent is below that with two (73.9, 84.8)", SINGLE, LEARNED),
        said("(Fig. 12) A head that does not halt helps", NEVER, SILENT),
    ]


def draw(table: Sequence[Row], path: Path) -> None:
    """Held-out accuracy of all rows, ours and published."""
    places = [-place for place in range(len(table))]
    with picture(path, width=1.4 * COLUMN, height=3.2) as (_, axes):
        axes.errorbar(
            *([row["evaluation"] for row in table], places),
            xerr=[row["spread"] for row in table],
            color=COLOURS[0],
            marker=MARKERS[0],
            linestyle="none",
            capsize=2,
            label="ours",
        )
        known = [(row["published"], at) for row, at in zip(table, places, strict=True) if row["published"]]
        published = {"color": COLOURS[1], "marker": MARKERS[1], "mfc": "white", "linestyle": "none"}
        axes.plot(*zip(*known, strict=True), label="published, 9×9", **published)
        axes.set_yticks(places, [_plain(row["way"]) for row in table])
        axes.set_xlabel("exact accuracy, held-out Sudoku (%)")
        axes.set_xlim(-3, 103)
        axes.grid(axis="y", linewidth=0.3)
        axes.set_axisbelow(True)
        axes.legend(loc="upper right", frameon=True, edgecolor="none")


def _plain(name: str) -> str:
    """Circled numbers as plain ones: few fonts have ⑪."""
    return "".join(f"({ord(one) - 0x245F})" if "①" <= one <= "⑫" else one for one in name)


def draw_halting(rows: Sequence[Row], path: Path) -> None:
    """Accuracy over the iterations that a row lives in training."""
    with picture(path) as (_, axes):
        for place, row in enumerate(rows):
            axes.errorbar(
                *(row["steps_lived"], row["evaluation"], row["spread"]),
                color=COLOURS[place],
                marker=MARKERS[place],
                linestyle="none",
                capsize=2,
                label=row["label"],
            )
        axes.set_xlabel("iterations of a row in training, at the end")
        axes.set_ylabel("exact accuracy, held out (%)")
        axes.set_xlim(0, None)
        axes.set_ylim(-3, 103)
        axes.legend(loc="best")


REPRODUCTION = Reproduction(
    name="training-dynamics",
    what="EqR Tab. 8, Fig. 12: schedules, truncation, latents and halting",
    scales={
        "cpu": "16 runs (13 rows, 3 of them at two learning rates) of 700 steps on 6×6 Sudoku, 5 shared with "
        "construction-path: about 2 minutes each on one core",
        "paper": "22 runs of 50,000 steps on Sudoku-Extreme: not timed yet",
    },
    run=run,
    seeds=1,
)
