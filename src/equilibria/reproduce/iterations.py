"""EqR Fig. 9 and Tab. 6: one budget of layers, spent on distinct blocks or on iterations of fewer.

A feed-forward network of L layers stands beside weight-tied ones that apply n blocks k times, n k = L; one
loss at the end, gradient through all of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from equilibria.diagnostics.drawing import COLOURS, COLUMN, LINES, MARKERS, picture
from equilibria.reproduce.graded import FEEDFORWARD, TIED, Attempt, recipe_of
from equilibria.reproduce.over_steps import OVER_STEPS, WATCHED, all_curves, over_seeds
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet


@dataclass(frozen=True)
class Split:
    """A way to spend the layers.

    Attributes:
        iterations, layers: k and n; 1 iteration: feed-forward.
        cycles: slow cycles and fast updates in each, which make k = slow · (fast + 1) updates.
        published: as the paper writes it, its best evaluation accuracy and the training error there, percent.
    """

    iterations: int
    layers: int
    cycles: tuple[int, int]
    published: tuple[str, float, float]

    @property
    def label(self) -> str:
        """As in the paper."""
        return "feed-forward" if self.iterations == 1 else f"{self.iterations} iterations"

    @property
    def changes(self) -> tuple[str, ...]:
        """Of the recipe."""
        if self.iterations == 1:
            return (f"reasoner.layers={self.layers}",)
        slow, fast = self.cycles
        return (
            *(f"reasoner.layers={self.layers}", f"reasoner.H_cycles={slow}", f"reasoner.L_cycles={fast}"),
            f"reasoner.tracked={self.iterations}",
        )


PUBLISHED = (("1×42", 2.6, 6.2), ("2×21", 3.3, 1.8), ("7×6", 4.8, 3.6), ("21×2", 32.6, 3.8))
SPLITS = {
    "cpu": (
        Split(1, 6, (0, 0), PUBLISHED[0]),
        Split(2, 3, (1, 1), PUBLISHED[1]),
        Split(3, 2, (1, 2), PUBLISHED[2]),
        Split(6, 1, (2, 2), PUBLISHED[3]),
    ),
    "paper": (
        Split(1, 42, (0, 0), PUBLISHED[0]),
        Split(2, 21, (1, 1), PUBLISHED[1]),
        Split(7, 6, (1, 6), PUBLISHED[2]),
        Split(21, 2, (3, 6), PUBLISHED[3]),
    ),
}
TICKS = tuple(digit * 10**power for power in range(1, 6) for digit in (1, 2, 5))
BESIDE = (
    "In training: the weights as they are, puzzles varied by symmetries; held out: the averaged weights, so "
    "early in a run the two differ for that reason as well."
)


def attempts(setup: Setup) -> list[Attempt]:
    """All runs, those of a seed before the next."""
    return [
        Attempt(
            split.label,
            recipe_of(
                *(FEEDFORWARD if split.iterations == 1 else TIED, setup.scale, seed),
                (*split.changes, *WATCHED[setup.scale]),
                setup.overrides,
            ),
            within=OVER_STEPS,
        )
        for seed in range(setup.seeds)
        for split in SPLITS[setup.scale]
    ]


def at_best(split: Split, points: Sequence[Row]) -> Row:
    """A row of the table: the point of a curve with the best held-out accuracy."""
    peak = max((row for row in points if row["way"] == split.label), key=lambda row: row["held_out"])
    written, accuracy, error = split.published
    return peak | {
        "budget": f"{split.iterations}×{split.layers}",
        "held_out_error": 100 - peak["held_out"],
        "train_error": 100 - peak["train"],
        "published_as": written,
        "published_held_out": accuracy,
        "published_train_error": error,
    }


def run(setup: Setup) -> Findings:
    """Train all, draw their accuracies, and tell them apart at their best."""
    todo, splits = attempts(setup), SPLITS[setup.scale]
    points = over_seeds(all_curves(todo, setup))
    table = [at_best(split, points) for split in splits]
    drawing = setup.out / "iterations.png"
    draw(points, drawing)
    columns = {
        "network": "{way}",
        "layers": "{budget}",
        "best held out %": "{held_out:.1f}",
        "at step": "{step:,}",
        "held-out error %": "{held_out_error:.1f}",
        "train error % there": "{train_error:.1f}",
        "paper": "{published_as}",
        "held out %": "{published_held_out:.1f}",
        "train error %": "{published_train_error:.1f}",
    }
    training = todo[0].recipe.training
    title = (
        f"EqR Tab. 6, Fig. 9: {training.steps:,} steps of {training.batch}; mean of {setup.seeds_in_words}"
    )
    recipes = {one.way: one.recipe.model_dump(mode="json") for one in todo[: len(splits)]}
    return Findings(
        [Sheet("iterations", title, table, columns), Sheet("curves", "over steps", points, {})],
        [*verdict(table), BESIDE],
        [drawing],
        {"recipes (first seed)": recipes},
    )


def verdict(table: Sequence[Row]) -> list[str]:
    """The paper's statements about the four, in our numbers."""
    forward, few, *_ = table
    held_out = " → ".join(f"{row['held_out']:.1f}" for row in table)
    errors = " → ".join(f"{row['train_error']:.1f}" for row in table)
    gaps = " → ".join(f"{row['gap']:+.1f}" for row in table)
    rising = all(after["held_out"] > before["held_out"] for before, after in pairwise(table))
    less = few["train_error"] < forward["train_error"] and few["held_out"] > forward["held_out"]
    more_error = all(after["train_error"] > before["train_error"] for before, after in pairwise(table[1:]))
    return [
        f"More iterations of fewer blocks generalize better: {_yes(rising)}, {held_out}% held out.",
        f"The fewest iterations lower training and held-out error alike, against feed-forward: {_yes(less)}, "
        f"training error {forward['train_error']:.1f}% and {few['train_error']:.1f}%.",
        f"More iterations raise the training error: {_yes(more_error)}, {errors}% from feed-forward on.",
        f"Held-out less training accuracy, at the best step: {gaps} points.",
    ]


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def draw(points: Sequence[Row], path: Path) -> None:
    """Training accuracy, held-out accuracy and their difference over steps, as in Fig. 9."""
    ways = list(dict.fromkeys(row["way"] for row in points))
    first, last = min(row["step"] for row in points), max(row["step"] for row in points)
    titles = {"train": "training", "held_out": "held out", "gap": "held out less training"}
    with picture(path, columns=3, width=2 * COLUMN) as (_, panels):
        for axes, (key, title) in zip(panels, titles.items(), strict=True):
            for place, way in enumerate(ways):
                rows = [row for row in points if row["way"] == way and (key == "gap" or row[key] > 0)]
                axes.plot(
                    *([row["step"] for row in rows], [row[key] for row in rows], LINES[place]),
                    color=COLOURS[place],
                    marker=MARKERS[place],
                    markevery=2,
                    label=way,
                )
            axes.set_title(title)
            axes.set_xscale("log")
            axes.set_xticks([step for step in TICKS if first <= step <= last])
            axes.get_xaxis().set_major_formatter("{x:g}")
            axes.get_xaxis().set_minor_formatter("")
            axes.set_xlabel("optimizer steps")
            if key != "gap":
                axes.set_yscale("log")
                axes.set_ylim(0.05, 150)  # one puzzle of 1,000 is 0.1%
                axes.get_yaxis().set_major_formatter("{x:g}")
        panels[0].set_ylabel("exact accuracy (%)")
        panels[2].set_ylabel("points")
        panels[2].legend(loc="best")


REPRODUCTION = Reproduction(
    name="iterations",
    what="EqR Fig. 9, Tab. 6: layers in a row against iterations of fewer",
    scales={
        "cpu": "4 runs of 700 steps on 6×6 Sudoku: about 2 minutes each on one core",
        "paper": "4 runs of 50,000 steps on Sudoku-Extreme: not timed yet",
    },
    run=run,
    seeds=1,
)
