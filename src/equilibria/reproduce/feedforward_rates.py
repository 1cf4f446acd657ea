"""EqR App. D.2: does another learning rate make feed-forward networks generalize?

Two depths at three rates, watched over the steps of training.
"""

from collections.abc import Sequence
from pathlib import Path

from equilibria.diagnostics.drawing import COLOURS, COLUMN, LINES, MARKERS, picture
from equilibria.reproduce.graded import FEEDFORWARD, Attempt, rates, recipe_of
from equilibria.reproduce.over_steps import OVER_STEPS, WATCHED, all_curves, over_seeds
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet

DEPTHS = {"cpu": (2, 16), "paper": (4, 16)}
RATES = {"cpu": (1e-3, 3e-3, 1e-2), "paper": (5e-5, 1e-4, 5e-4)}
FITTED, GENERAL = 90.0, 50.0
"""Percent of puzzles right in training from which a network is said to fit, and held out, to generalize."""
BESIDE = (
    "Published, on Sudoku-Extreme: 4 layers underfit at the smallest of 5e-5, 1e-4 and 5e-4 and reach high "
    "training accuracy at the others, 16 layers fit at all three, and held-out accuracy stays extremely low "
    "(Tab. 1: 1.8% and 2.1%)."
)


def attempts(setup: Setup) -> list[Attempt]:
    """All runs, those of a seed before the next."""
    return [
        Attempt(
            f"{depth} layers",
            recipe_of(
                *(FEEDFORWARD, setup.scale, seed),
                (f"reasoner.layers={depth}", *WATCHED[setup.scale], rate),
                setup.overrides,
            ),
            within=OVER_STEPS,
        )
        for seed in range(setup.seeds)
        for depth in DEPTHS[setup.scale]
        for rate in rates(RATES[setup.scale], setup.overrides)
    ]


def run(setup: Setup) -> Findings:
    """Train all, and draw their accuracies."""
    todo = attempts(setup)
    points = over_seeds(all_curves(todo, setup))
    table = ends(points)
    drawing = setup.out / "feedforward-rates.png"
    draw(points, drawing)
    columns = {
        "network": "{way}",
        "rate": "{rate:g}",
        "train % at the end": "{train:.1f}",
        "held out % at the end": "{held_out:.1f}",
        "best held out %": "{best:.1f}",
        "at step": "{best_step:,}",
    }
    training = todo[0].recipe.training
    title = f"EqR App. D.2: {training.steps:,} steps of {training.batch}; mean of {setup.seeds_in_words}"
    recipes = {
        f"{one.way}, rate {one.recipe.training.optimizer.lr:g}": one.recipe.model_dump(mode="json")
        for one in todo
        if one.recipe.training.seed == training.seed
    }
    return Findings(
        [Sheet("feedforward-rates", title, table, columns), Sheet("curves", "over steps", points, {})],
        [*verdict(table), BESIDE],
        [drawing],
        {"recipes (first seed)": recipes},
    )


def ends(points: Sequence[Row]) -> list[Row]:
    """Where every curve ends, and the best held-out accuracy on its way."""
    table: list[Row] = []
    for key in dict.fromkeys((row["way"], row["rate"]) for row in points):
        same = [row for row in points if (row["way"], row["rate"]) == key]
        peak = max(same, key=lambda row: row["held_out"])
        table.append(same[-1] | {"best": peak["held_out"], "best_step": peak["step"]})
    return table


def verdict(table: Sequence[Row]) -> list[str]:
    """Who fits at which rate, and whether anyone generalizes."""
    notes: list[str] = []
    for way in dict.fromkeys(row["way"] for row in table):
        same = [row for row in table if row["way"] == way]
        told = ", ".join(f"{row['train']:.1f}% at {row['rate']:g}" for row in same)
        fit = sum(row["train"] >= FITTED for row in same)
        notes.append(
            f"{way}: training accuracy {told}; it fits (at least {FITTED:.0f}%) at {fit} of "
            f"{len(same)} rates."
        )
    peak = max(table, key=lambda row: row["best"])
    low = peak["best"] < GENERAL
    notes.append(
        f"The best held-out accuracy at any rate and step is {peak['best']:.1f}% ({peak['way']}, rate "
        f"{peak['rate']:g}, step {peak['best_step']:,}): the rate {'does not make' if low else 'makes'} "
        f"a feed-forward network generalize (at least {GENERAL:.0f}%)"
        + (", as published." if low else ", other than published.")
    )
    return notes


def draw(points: Sequence[Row], path: Path) -> None:
    """Accuracy in training and held out over steps: colour and marker by rate, a panel for each depth."""
    ways = list(dict.fromkeys(row["way"] for row in points))
    with picture(path, columns=len(ways), width=2 * COLUMN) as (_, panels):
        for axes, way in zip(panels, ways, strict=True):
            for place, rate in enumerate(sorted({row["rate"] for row in points})):
                rows = [row for row in points if (row["way"], row["rate"]) == (way, rate)]
                steps = [row["step"] for row in rows]
                look = {"color": COLOURS[place], "marker": MARKERS[place], "markevery": 2}
                axes.plot(steps, [row["train"] for row in rows], LINES[1], mfc="white", linewidth=0.8, **look)
                axes.plot(steps, [row["held_out"] for row in rows], LINES[0], label=f"rate {rate:g}", **look)
            axes.set_title(f"{way}; dashed and hollow: in training")
            axes.set_xlabel("optimizer steps")
            axes.set_ylim(-3, 140)  # room for the legend
            axes.set_yticks(range(0, 101, 20))
        panels[0].set_ylabel("exact accuracy (%)")
        panels[0].legend(loc="upper left")


REPRODUCTION = Reproduction(
    name="feedforward-rates",
    what="EqR App. D.2: learning rates of feed-forward networks",
    scales={
        "cpu": "6 runs (2 depths, 3 rates) of 700 steps on 6×6 Sudoku: about 1 minute each for 2 layers and "
        "4 for 16, on one core",
        "paper": "6 runs of 50,000 steps on Sudoku-Extreme: not timed yet",
    },
    run=run,
    seeds=1,
)
