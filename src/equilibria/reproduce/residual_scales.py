"""FPRM's table of initial residual scales, and how they are distributed after training (Sec. 4.4).

α₁ keeps the residual stream within a block, α₂ the state where the problem is mixed in; both are learned, one
a channel. Nine reasoners begin at nine pairs of values.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from statistics import fmean

import torch

from equilibria.diagnostics.drawing import COLOURS, COLUMN, picture
from equilibria.nn.level import Level
from equilibria.pipeline import Pipeline
from equilibria.reproduce.boards import (
    FPRM,
    PROBLEMS,
    Variant,
    beside,
    exact,
    precise,
    trials,
)
from equilibria.reproduce.cells import Trial, described, measured
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet, half_range, mean
from equilibria.reproduce.runs import CachedRun
from equilibria.reproduce.statements import Statement, sheet, told

VALUES = (0.25, 0.5, 0.75)
PUBLISHED = {  # (α₁, α₂) at the start: exact accuracy on Sudoku-Extreme
    (0.25, 0.25): 83.44,
    (0.25, 0.5): 78.10,
    (0.25, 0.75): 83.24,
    (0.5, 0.25): 84.49,
    (0.5, 0.5): 89.05,
    (0.5, 0.75): 86.29,
    (0.75, 0.25): 94.23,
    (0.75, 0.5): 91.41,
    (0.75, 0.75): 85.70,
}
OWN = (0.75, 0.25)  # of the recipe, the paper's best
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
Pair = tuple[float, float]


def variant(pair: Pair) -> Variant:
    """FPRM that begins at these scales; the recipe itself where they are its own."""
    changes = (f"reasoner.alpha_1={pair[0]}", f"reasoner.alpha_2={pair[1]}")
    return Variant(f"{pair[0]:g}, {pair[1]:g}", FPRM, () if pair == OWN else changes)


PAIRS = {variant(pair).label: pair for pair in product(VALUES, VALUES)}


@torch.no_grad()
def scales(pipeline: Pipeline) -> dict[str, list[float]]:
    """α₁ and α₂ of every channel, ascending."""
    level = pipeline.reasoner.blocks
    assert isinstance(level, Level)
    assert level.scale is not None
    scale = level.scale
    return {
        name: torch.sigmoid(getattr(scale, name)).sort().values.tolist() for name in ("alpha_1", "alpha_2")
    }


def measure(trial: Trial, run: CachedRun, device: str, scale: str) -> Row:
    """Train, if that was not done; accuracy as the recipe halts, and the scales learned."""
    precise()
    depth, problems = run.recipe.inference.depth, run.splits.held_out[: PROBLEMS[scale]]
    asked = {"depth": depth, "problems": problems.fingerprint()}

    def find() -> Row:
        pipeline, seconds = run.trained(device)
        return exact(pipeline, problems, depth) | scales(pipeline) | {"seconds": seconds}

    return run.once("residual-scales", asked, find)


def run(setup: Setup) -> Findings:
    """Train the nine, and tell what they came to."""
    todo = trials([variant(pair) for pair in PAIRS.values()], setup)
    work = partial(measure, device=setup.device, scale=setup.scale)
    done = measured(
        todo, work, setup, lambda found: f"{found['accuracy']:.1f}%, {found['layers']:.0f} layers"
    )
    by_pair = {
        pair: [found for trial, found in done if trial.cell.label == label] for label, pair in PAIRS.items()
    }
    table = [summary(pair, rows) for pair, rows in by_pair.items()]
    learned = [
        {"alpha_1_start": pair[0], "alpha_2_start": pair[1], "seed": seed, "scale": name}
        | {f"q{100 * q:g}": value for q, value in zip(QUANTILES, quantiles(found[name]), strict=True)}
        for pair, rows in by_pair.items()
        for seed, found in enumerate(rows)
        for name in ("alpha_1", "alpha_2")
    ]
    pictures = [setup.out / "residual-scales.png", setup.out / "distribution.png"]
    draw_grid(table, setup.scale, pictures[0])
    own = by_pair[OWN][0]
    draw_distribution({name: own[name] for name in ("alpha_1", "alpha_2")}, pictures[1])
    said = statements(table, own)
    columns = {
        "α₁": "{alpha_1_start:g}",
        "α₂": "{alpha_2_start:g}",
        "exact %": "{accuracy:.1f} ±{spread:.1f}",
        "paper %": "{published:.2f}",
        "layers": "{layers:.0f}",
        "α₁ median": "{alpha_1_median:.2f}",
        "α₂ median": "{alpha_2_median:.2f}",
    }
    title = (
        f"scales at the start; exact accuracy, mean ± half the range of {setup.seeds} seeds; scales learned"
    )
    sheets = [
        Sheet("residual-scales", title, table, columns),
        sheet(said),
        Sheet("scales", "scales learned, by quantile", learned, {}),
    ]
    notes = [told(said), *beside(setup.scale, todo[0].recipe, own["parameters"])]
    return Findings(sheets, notes, pictures, {"recipes (first seed)": described(todo)})


def quantiles(values: Sequence[float]) -> list[float]:
    """`QUANTILES` of some numbers."""
    return (
        torch.tensor(values, dtype=torch.float64)
        .quantile(torch.tensor(QUANTILES, dtype=torch.float64))
        .tolist()
    )


def summary(pair: Pair, rows: Sequence[Row]) -> Row:
    """A cell of the table over its seeds."""
    middles = {
        f"{name}_median": sum(quantiles(row[name])[3] for row in rows) / len(rows)
        for name in ("alpha_1", "alpha_2")
    }
    start = {"alpha_1_start": pair[0], "alpha_2_start": pair[1]}
    numbers = {name: mean(rows, name) for name in ("accuracy", "layers", "iterations")}
    known = {"spread": half_range(rows, "accuracy"), "published": PUBLISHED[pair], "seeds": len(rows)}
    return start | numbers | middles | known


def averages(at: Mapping[Pair, float]) -> tuple[float, float]:
    """Mean accuracy where α₁ begins high, and where α₂ begins low."""
    high = [accuracy for (alpha_1, _), accuracy in at.items() if alpha_1 == VALUES[-1]]
    low = [accuracy for (_, alpha_2), accuracy in at.items() if alpha_2 == VALUES[0]]
    return fmean(high), fmean(low)


def statements(table: Sequence[Row], own: Row) -> list[Statement]:
    """What the paper says of the table and of the distribution of the recipe's own run."""
    at = {(row["alpha_1_start"], row["alpha_2_start"]): row["accuracy"] for row in table}
    best = max(at, key=lambda pair: at[pair])
    high, low = averages(at)
    known_high, known_low = averages(PUBLISHED)
    first, second = quantiles(own["alpha_1"]), quantiles(own["alpha_2"])
    starts = dict(zip(("alpha_1", "alpha_2"), OWN, strict=True))
    shrunk = sum(value < starts["alpha_2"] for value in own["alpha_2"]) / len(own["alpha_2"])
    moved = max(abs(first[3] - OWN[0]), abs(second[3] - OWN[1]))
    wide, narrow = first[-2] - first[1], second[-2] - second[1]
    return [
        Statement(
            "the best start is a high α₁ with a low α₂",
            f"0.75, 0.25: {PUBLISHED[OWN]:.1f}%",
            f"{best[0]:g}, {best[1]:g}: {at[best]:.1f}%",
            best == OWN,
        ),
        Statement(
            "α₁ = 0.75 does slightly more than α₂ = 0.25",
            f"{known_high:.1f}% and {known_low:.1f}% on average",
            f"{high:.1f}% and {low:.1f}% on average",
            high > low,
        ),
        Statement(
            "the medians stay near where they began",
            "not significantly moved",
            f"moved by {moved:.2f} at most",
            moved < 0.1,
        ),
        Statement(
            "α₁ spreads wider than α₂",
            "both widen, α₁ much more",
            f"5th to 95th percentile: {wide:.2f} and {narrow:.2f}",
            wide > narrow,
        ),
        Statement(
            "most channels' α₂ shrinks",
            "the majority of the values",
            f"{shrunk:.0%} of the channels",
            shrunk > 0.5,
        ),
    ]


def draw_grid(table: Sequence[Row], scale: str, path: Path) -> None:
    """Ours and the published accuracy, a square a pair of scales."""
    titles = {
        "accuracy": f"ours, {'6×6 Sudoku' if scale == 'cpu' else 'Sudoku-Extreme'}",
        "published": "published",
    }
    with picture(path, columns=2, width=2 * COLUMN, height=2.8) as (figure, panels):
        for axes, (key, title) in zip(panels, titles.items(), strict=True):
            grid = torch.tensor([row[key] for row in table]).view(len(VALUES), len(VALUES))
            image = axes.imshow(grid.numpy(), cmap="cividis", origin="lower")
            middle = (grid.min() + grid.max()).item() / 2
            for y, x in product(range(len(VALUES)), repeat=2):
                shade = "black" if grid[y, x] > middle else "white"
                axes.text(x, y, f"{grid[y, x]:.1f}", ha="center", va="center", color=shade)
            axes.set_xticks(range(len(VALUES)), [f"{value:g}" for value in VALUES])
            axes.set_yticks(range(len(VALUES)), [f"{value:g}" for value in VALUES])
            axes.set_xlabel(r"$\alpha_2$ at the start")
            axes.set_ylabel(r"$\alpha_1$ at the start")
            axes.set_title(title)
            figure.colorbar(image, ax=axes, shrink=0.8).set_label("exact accuracy (%)")


def draw_distribution(learned: dict[str, list[float]], path: Path) -> None:
    """Histograms over channels of the recipe's own reasoner; a line where they began."""
    names = {"alpha_1": r"$\alpha_1$", "alpha_2": r"$\alpha_2$"}
    bins = [place / 40 for place in range(41)]
    with picture(path) as (_, axes):
        for place, (name, start) in enumerate(zip(names, OWN, strict=True)):
            look = {"color": COLOURS[place], "hatch": ("", "////")[place], "edgecolor": COLOURS[place]}
            filled = {"facecolor": (*_rgb(COLOURS[place]), 0.35)}
            axes.hist(learned[name], bins, label=f"{names[name]}, from {start:g}", **(look | filled))
            axes.axvline(start, color=COLOURS[place], linestyle=("-", "--")[place])
        axes.set_xlim(0, 1)
        axes.set_xlabel("scale after training (line: where it began)")
        axes.set_ylabel("channels")
        axes.legend(loc="upper center")


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


REPRODUCTION = Reproduction(
    name="residual-scales",
    what="FPRM's sweep of α₁ and α₂ at the start, and their distribution after training (Sec. 4.4)",
    scales={
        "cpu": "9 runs of FPRM a seed, 500 steps on 6×6 Sudoku: about 2 minutes each on one core",
        "paper": "9 runs of FPRM a seed, 78,125 steps of 768 on Sudoku-Extreme",
    },
    run=run,
    seeds=1,
)
