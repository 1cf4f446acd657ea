"""EqR Tab. 1: feed-forward networks of growing depth against reasoners that iterate, on the same puzzles.

At the scale `cpu` every method has width 64 and equal steps, batch and learning rate, and those that iterate
apply six blocks an iteration. At the scale `paper` each is trained as it was published.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equilibria.diagnostics.drawing import COLOURS, MARKERS, picture
from equilibria.reproduce.graded import (
    FEEDFORWARD,
    Attempt,
    best_of_each,
    compared,
    every_run,
    grade_all,
    recipe_of,
)
from equilibria.reproduce.over_steps import OVER_STEPS, WATCHED
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet, mean
from equilibria.reproduce.small import NI, RI


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
        label: in the table, by scale.
        recipe: that trains it, by scale.
        changes: of the recipe, by scale.
        published: what the paper calls it, and its accuracy on Sudoku and Maze in percent.
    """

    label: Mapping[str, str]
    recipe: Mapping[str, str]
    changes: Mapping[str, tuple[str, ...]]
    published: tuple[str, float, float]


def _forward(small: int, large: int, sudoku: float, maze: float) -> Method:
    layers = {"cpu": small, "paper": large}
    return Method(
        {scale: f"feed-forward, {count} layers" for scale, count in layers.items()},
        dict.fromkeys(layers, FEEDFORWARD),
        {scale: (f"reasoner.layers={count}", *WATCHED[scale]) for scale, count in layers.items()},
        (f"{large}-Layer Model", sudoku, maze),
    )


def _iterative(label: str, recipes: tuple[str, str], small: tuple[str, ...], *accuracies: float) -> Method:
    scales = ("cpu", "paper")
    return Method(
        dict.fromkeys(scales, label),
        dict(zip(scales, recipes, strict=True)),
        {"cpu": small, "paper": ()},
        (label, accuracies[0], accuracies[1]),
    )


FORWARD = (_forward(2, 4, 1.8, 0.0), _forward(6, 16, 2.1, 0.0), _forward(16, 64, 2.6, 0.0))
HRM, TRM, URM, EQR = ITERATIVE = (
    _iterative(
        "HRM", ("hrm-sudoku", "hrm-sudoku"), ("reasoner.fast_layers=1", "reasoner.tracked=2"), 55.0, 0.3
    ),
    _iterative("TRM", ("path-act", "trm-sudoku"), (), 84.8, 44.9),
    _iterative("URM", ("urm-sudoku", "urm-sudoku"), ("reasoner.L_cycles=3",), 77.6, 51.4),
    _iterative("EqR", ("path-act", "eqr-sudoku"), (*RI, *NI), 99.8, 93.0),
)
SCALED = {"cpu": (64, 4, 250), "paper": (64, 128, 1024)}
"""Depth, restarts and puzzles with which EqR is tried once more: its published number has them."""


def attempts(setup: Setup) -> list[Attempt]:
    """All runs, those of a seed before the next. Feed-forward ones are watched: other reproductions draw
    their accuracy over steps."""
    return [
        Attempt(
            method.label[setup.scale],
            recipe_of(
                *(method.recipe[setup.scale], setup.scale, seed, method.changes[setup.scale]),
                setup.overrides,
            ),
            within=OVER_STEPS if method in FORWARD else "",
        )
        for seed in range(setup.seeds)
        for method in (*FORWARD, *ITERATIVE)
    ]


def scaled(attempt: Attempt, setup: Setup) -> dict[str, Any]:
    """Accuracy of a trained reasoner at the greatest budget, the most converged restart answering."""
    depth, breadth, count = SCALED[setup.scale]
    run = attempt.run(setup.cache)
    problems = run.splits.held_out[-count:]  # no rate was chosen on these
    asked = {"depth": depth, "breadth": breadth, "held_out": problems.fingerprint()}

    def measure() -> dict[str, Any]:
        pipeline, _ = run.trained(setup.device)
        evaluation = pipeline.evaluate(problems, depths=(depth,), breadths=(breadth,), halting="fixed")
        row = evaluation.row(depth, breadth, "convergence" if breadth > 1 else "average")
        return {"evaluation": 100 * row.exact_accuracy}

    return run.once("scaled", asked, measure)


def run(setup: Setup) -> Findings:
    """Train all, and set them beside each other."""
    todo = attempts(setup)
    done = grade_all(todo, setup)
    found = best_of_each(done)
    table = [
        found[method.label[setup.scale]]
        | dict(zip(("published_as", "published", "published_maze"), method.published, strict=True))
        for method in (*FORWARD, *ITERATIVE)
    ]
    depth, breadth, count = SCALED[setup.scale]
    eqr = EQR.label[setup.scale]
    setup.say(f"EqR at depth {depth}, {breadth} restarts, {count} puzzles")
    tries = [scaled(attempt, setup) for attempt in todo if attempt.way == eqr]
    scores = [one["evaluation"] for one in tries]
    table[-1] |= {"published": None, "published_maze": None}
    table.append(
        found[eqr]
        | {"way": f"EqR at ({depth}, {breadth})", "train": None, "evaluation": mean(tries, "evaluation")}
        | {"spread": (max(scores) - min(scores)) / 2}
        | dict(zip(("published_as", "published", "published_maze"), EQR.published, strict=True))
    )
    drawing = setup.out / "methods.png"
    draw(table, drawing)
    columns = {
        "method": "{way}",
        "parameters": "{parameters:,}",
        "layers": "{layers:,}",
        "train %": "{train:.1f}",
        "held out %": "{evaluation:.1f} ±{spread:.1f}",
        "paper": "{published_as}",
        "Sudoku %": "{published:.1f}",
        "Maze %": "{published_maze:.1f}",
        "min": "{minutes:.1f}",
    }
    title = (
        f"EqR Tab. 1, {todo[0].recipe.training.steps:,} steps of {todo[0].recipe.training.batch}; "
        f"mean ± half the range of {setup.seeds_in_words}; layers: block applications of a trajectory"
    )
    recipes = {one.way: one.recipe.model_dump(mode="json") for one in todo}
    return Findings(
        [Sheet("methods", title, table, columns), every_run(done)],
        [*verdict(table, len(FORWARD)), BESIDE[setup.scale]],
        [drawing],
        {"recipes (last seed)": recipes, "scaled": {"depth": depth, "breadth": breadth, "puzzles": count}},
    )


BESIDE = {
    "cpu": "Published: Sudoku-Extreme and 30×30 mazes, EqR with up to 1,024 iterations and 128 restarts. "
    "Ours: 6×6 puzzles and one learning rate for all, found for the recursive family; HRM and URM may want "
    "another.",
    "paper": "Every method by its own published recipe, one learning rate each.",
}


def verdict(table: Sequence[Row], forward: int) -> list[str]:
    """What the paper says of its table, and whether it holds in ours.

    Args:
        table: feed-forward networks from shallow to deep, then HRM, TRM, URM, EqR, and EqR scaled.
        forward: how many of them are feed-forward.
    """
    layered, iterative = table[:forward], table[forward:-1]
    deepest, trained, more = layered[-1], table[-2], table[-1]
    highest = max(layered, key=lambda row: row["evaluation"])
    lowest = min(iterative, key=lambda row: row["evaluation"])
    order = sorted(iterative, key=lambda row: row["evaluation"])
    told = " < ".join(f"{row['way']} {row['evaluation']:.1f}" for row in order)
    return [
        compared(
            f"The least accurate reasoner that iterates ({lowest['way']}) is above the most accurate "
            f"feed-forward network ({highest['way']})",
            highest,
            lowest,
        ),
        compared(f"Depth helps feed-forward networks ({deepest['way']})", layered[0], deepest),
        f"Among reasoners that iterate, at the depth of training: {told} (published, EqR scaled: HRM < URM < "
        "TRM < EqR).",
        compared(f"Test-time compute helps EqR ({more['way']})", trained, more),
    ]


def draw(table: Sequence[Row], path: Path) -> None:
    """Held-out accuracy of every method, ours and published."""
    places = [-place for place in range(len(table))]
    with picture(path, height=2.7) as (_, axes):
        ours = {"color": COLOURS[0], "marker": MARKERS[0], "linestyle": "none", "label": "ours"}
        axes.errorbar(
            *([row["evaluation"] for row in table], places),
            xerr=[row["spread"] for row in table],
            capsize=2,
            **ours,
        )
        known = [(row["published"], at) for row, at in zip(table, places, strict=True) if row["published"]]
        published = {"color": COLOURS[1], "marker": MARKERS[1], "mfc": "white", "linestyle": "none"}
        axes.plot(*zip(*known, strict=True), label="published, 9×9", **published)
        axes.set_yticks(places, [row["way"] for row in table])
        axes.set_xlabel("exact accuracy, held-out Sudoku (%)")
        axes.set_xlim(-3, 103)
        axes.grid(axis="y", linewidth=0.3)
        axes.set_axisbelow(True)
        axes.legend(loc="upper right", frameon=True, edgecolor="none")


REPRODUCTION = Reproduction(
    name="methods",
    what="EqR Tab. 1: feed-forward networks against HRM, TRM, URM and EqR",
    scales={
        "cpu": "7 runs of 700 steps on 6×6 Sudoku, some shared with other reproductions: about 2 minutes "
        "each on one core",
        "paper": "7 runs on Sudoku-Extreme, each by its published recipe: not timed yet",
    },
    run=run,
    seeds=1,
)
