"""EqR Tab. 14, lower half: the same recipe with self-attention in place of an MLP over tokens.

If what RI and NI do, and what depth and breadth add, were of the MLP over tokens, it would not come back
here.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

from equilibria.diagnostics.breadth import expected_accuracy
from equilibria.diagnostics.drawing import COLOURS, picture
from equilibria.reproduce.cells import EQR, TRM, Cell, Trial, alone, by_seed, described, measured, trials
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet
from equilibria.reproduce.runs import CachedRun
from equilibria.reproduce.scaling import DEEP, doublings
from equilibria.reproduce.statements import Statement, rises, sheet, told
from equilibria.reproduce.tries import Ask, percent, tries

ATTENTION = ("reasoner.mixing=attention", "reasoner.positions=rope")
BACKBONES = {
    "MLP": (TRM, EQR),
    "attention": tuple(Cell(f"{cell.label}, attention", (*cell.changes, *ATTENTION)) for cell in (TRM, EQR)),
}
STEPS = ("baseline", "+ training intervention", "+ inference scaling")
PUBLISHED = {"MLP": (84.1, 86.4, 99.8), "attention": (72.0, 74.7, 95.9)}


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        single: problems that are tried once.
        problems: of them, those tried from many states, `DEEP` times as deep as in training.
        breadth: how many states.
    """

    single: int
    problems: int
    breadth: int


SIZES = {"cpu": Size(1000, 128, 16), "paper": Size(2048, 2048, 128)}
COSTS = {
    "cpu": "4 runs of 700 steps on 6×6 Sudoku, of which `shaping` has 2: 2 to 4 minutes each on one core, "
    "and 1 to 2 to try each",
    "paper": "4 runs of 50,000 steps on Sudoku-Extreme; 2,048 problems from 128 states to depth 64",
}


def scores(trial: Trial, run: CachedRun, size: Size, device: str) -> Row:
    """One run, once at the depth of training; if it learned from random states, also deep from many."""
    depth, deep = trial.depth, DEEP * trial.depth
    own = tries(run, Ask(size.single, (depth,)), device)[depth]
    row: Row = {
        "method": trial.cell.label,
        "seed": trial.seed,
        "exact": percent(own),
        "parameters": sum(value.numel() for value in run.trained(device)[0].reasoner.parameters()),
        "folder": run.folder.name,
    }
    if trial.cell not in [cells[1] for cells in BACKBONES.values()]:
        return row
    marks = doublings(deep, depth)  # as `scaling` looks at them, so that the two share their trajectories
    many = tries(run, Ask(size.problems, marks, size.breadth, drawn=True), device)[deep]
    return row | {
        "deep": percent(many),
        "scaled": 100 * expected_accuracy(many.pool, many.right, "convergence", size.breadth).mean().item(),
    }


def run(setup: Setup) -> Findings:
    """Train both backbones, and set them beside each other."""
    size = SIZES[setup.scale]
    todo = trials([cell for cells in BACKBONES.values() for cell in cells], setup)
    found = [row for _, row in measured(todo, partial(scores, size=size, device=setup.device), setup, tell)]
    rows, said = table(found), statements(found)
    drawing = setup.out / "backbone.png"
    draw(rows, drawing)
    training = todo[0].recipe.training
    title = (
        f"EqR Tab. 14: {training.steps:,} steps of {training.batch}, depth {todo[0].depth}, {size.single:,} "
        f"problems; last row: Top-1 of {size.breadth} at depth {DEEP * todo[0].depth}, {size.problems:,} of "
        f"them (paper: of 128 at 64); {setup.seeds_in_words}"
    )
    columns = {
        "mixing of tokens": "{backbone}",
        "method": "{step}",
        "parameters": "{parameters:,}",
        "exact %": "{accuracy:.1f} ±{spread:.1f}",
        "paper": "{published:.1f}",
    }
    sheets = [
        Sheet("backbone", title, rows, columns),
        sheet(said),
        Sheet("runs", "every run", found, {}),
    ]
    configuration = {"size": asdict(size), "recipes (first seed)": described(todo)}
    return Findings(sheets, [told(said), *alone(setup)], [drawing], configuration)


def tell(row: Row) -> str:
    """A run in a few words."""
    return f"{row['exact']:.1f}%" + (f", scaled {row['scaled']:.1f}%" if "scaled" in row else "")


def values(found: Sequence[Row], backbone: str) -> tuple[list[float], ...]:
    """Accuracy of each of `STEPS`, by seed."""
    baseline, shaped = BACKBONES[backbone]
    return (
        by_seed(found, baseline.label, "exact"),
        by_seed(found, shaped.label, "exact"),
        by_seed(found, shaped.label, "scaled"),
    )


def table(found: Sequence[Row]) -> list[Row]:
    """A row for each backbone and step; means over seeds, and half their range."""
    rows: list[Row] = []
    for backbone, cells in BACKBONES.items():
        for place, accuracy in enumerate(values(found, backbone)):
            rows.append(
                {
                    "backbone": backbone,
                    "step": STEPS[place],
                    "parameters": int(by_seed(found, cells[min(place, 1)].label, "parameters")[0]),
                    "accuracy": fmean(accuracy),
                    "spread": (max(accuracy) - min(accuracy)) / 2,
                    "published": PUBLISHED[backbone][place],
                }
            )
    return rows


def statements(found: Sequence[Row]) -> list[Statement]:
    """Whether each step helps, on each backbone."""
    said: list[Statement] = []
    for backbone in BACKBONES:
        baseline, shaped, scaled = values(found, backbone)
        deep = by_seed(found, BACKBONES[backbone][1].label, "deep")
        first, second, third = PUBLISHED[backbone]
        said += [
            rises(f"{backbone}: RI and NI help", f"{first} → {second}", baseline, shaped),
            rises(f"{backbone}: depth helps", "not said", shaped, deep),
            rises(f"{backbone}: depth and breadth help", f"{second} → {third}", shaped, scaled),
        ]
    return said


def draw(rows: Sequence[Row], path: Path) -> None:
    """Bars of each step, ours and published."""
    with picture(path, height=2.7) as (_, axes):
        wide = 0.38
        lefts = [place + place // len(STEPS) for place in range(len(rows))]  # a gap between the backbones
        axes.bar(
            lefts,
            [row["accuracy"] for row in rows],
            wide,
            yerr=[row["spread"] for row in rows],
            capsize=2,
            color=COLOURS[0],
            label="ours",
        )
        axes.bar(
            [left + wide for left in lefts],
            [row["published"] for row in rows],
            wide,
            color="white",
            edgecolor=COLOURS[1],
            hatch="///",
            label="published",
        )
        middles = [left + wide / 2 for left in lefts]
        short = ("baseline", "+ training", "+ inference")
        axes.set_xticks(
            middles, [short[place % len(STEPS)] for place in range(len(rows))], rotation=30, ha="right"
        )
        for place, backbone in enumerate(BACKBONES):
            axes.text(middles[1 + len(STEPS) * place], 103, backbone, ha="center")
        axes.set_ylabel("exact accuracy (%)")
        axes.set_ylim(0, 110)
        axes.figure.legend(loc="outside lower center", ncols=2)


REPRODUCTION = Reproduction(
    name="backbone",
    what="EqR Tab. 14, lower half: self-attention in place of an MLP over tokens",
    scales=COSTS,
    run=run,
    seeds=2,
)
