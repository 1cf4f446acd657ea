"""EqR Fig. 6: which of the four landscapes problems have, cell by cell, and a picture of each.

Every problem is run from many random states, deep enough to settle; what the restarts settle on says which
mode its landscape is in (`diagnostics.landscape` has the thresholds, which the paper does not give).
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import prod
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from equilibria.diagnostics.drawing import COLOURS, picture
from equilibria.diagnostics.ends import recorded_ends
from equilibria.diagnostics.evaluation import correct
from equilibria.diagnostics.landscape import (
    MEANING,
    MODES,
    REACHABLE,
    SPURIOUS,
    Landscape,
    basin_masses,
    landscape,
)
from equilibria.diagnostics.projection import plot_projection, project_states
from equilibria.inference.pool import Pool
from equilibria.inference.recording import Record, Recorder, Recording
from equilibria.pipeline import Pipeline
from equilibria.reproduce.cells import CELLS, EQR, TRM, Trial, alone, described, measured, trials
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet
from equilibria.reproduce.runs import CachedRun
from equilibria.reproduce.statements import Statement, rises, sheet, told
from equilibria.reproduce.tries import Ask, placed
from equilibria.tasks import Problems

DEEP = 4  # times the depth of training
MEMORY = 1 << 28  # bytes of states of problems that run together


@dataclass(frozen=True)
class Size:
    """How many problems, and from how many states each."""

    problems: int
    breadth: int


SIZES = {"cpu": Size(48, 24), "paper": Size(256, 512)}
COSTS = {
    "cpu": "12 runs (the cells of `shaping`, 3 seeds) of 700 steps on 6×6 Sudoku: 2 minutes each on one "
    "core, and 1 to run 48 problems from 24 states to depth 64",
    "paper": "12 runs of 50,000 steps on Sudoku-Extreme; 256 problems from 512 states to depth 64",
}


def asked(trial: Trial, size: Size) -> Ask:
    """How the trajectories are run."""
    return Ask(size.problems, (DEEP * trial.depth,), size.breadth, drawn=True)


def recorded(
    pipeline: Pipeline, problems: Problems, ask: Ask, places: Sequence[int]
) -> Iterator[tuple[int, Recording, Pool]]:
    """Some problems by their places, with their trajectories and their ends; few in memory at a time."""
    (depth,) = ask.depths
    one = 4 * prod(pipeline.reasoner.state_shape) * (depth + 1) * ask.breadth
    together = max(1, MEMORY // one)
    for first in range(0, len(places), together):
        chosen = list(places[first : first + together])
        recorder = Recorder(Record(states=1, memory=max(MEMORY, one)))
        (pool,) = pipeline.engine.pools(
            problems.inputs[chosen],
            depths=(depth,),
            breadth=ask.breadth,
            identifiers=None if problems.identifiers is None else problems.identifiers[chosen],
            recorders=(recorder,),
        )
        whole = recorder.recording()
        for row, place in enumerate(chosen):
            yield place, whole.of(row), pool.problems(torch.tensor([row]))


def landscapes(pipeline: Pipeline, problems: Problems, ask: Ask) -> list[Landscape]:
    """The landscape of every problem."""
    assert problems.labels is not None
    found: list[Landscape] = []
    for place, recording, pool in recorded(pipeline, problems, ask, range(len(problems))):
        right = correct(pool, problems.labels[[place]])[0]
        found.append(landscape(recorded_ends(recording), right, pool.answers[0], problem=place))
    return found


def scores(trial: Trial, run: CachedRun, size: Size, device: str) -> list[Row]:
    """One run: a row for each problem."""
    ask = asked(trial, size)
    problems = run.splits.held_out[: size.problems]

    def measure() -> dict[str, Any]:
        rows = [plain(found) for found in landscapes(placed(run, ask, device), problems, ask)]
        return {"rows": rows}

    question = asdict(ask) | {"depths": list(ask.depths), "overrides": list(ask.overrides)}
    question |= {"held_out": problems.fingerprint(), "spurious": SPURIOUS, "reachable": REACHABLE}
    about = {"method": trial.cell.label, "seed": trial.seed}
    return [about | row for row in run.once("modes", question, measure)["rows"]]


def plain(found: Landscape) -> Row:
    """A landscape as numbers of a table."""
    correct_masses, wrong_masses = basin_masses(found, right=True), basin_masses(found, right=False)
    return {
        "problem": found.problem,
        "mode": found.mode,
        "right": found.right,
        "p_correct": found.p_correct,
        "p_wrong": found.p_wrong,
        "p_unsettled": found.p_unsettled,
        "attractors": len(found.attractors),
        "cycles": sum(attractor.period > 1 for attractor in found.attractors),
        "correct_attractors": len(correct_masses),
        "largest_correct": max(correct_masses, default=0.0),
        "largest_wrong": max(wrong_masses, default=0.0),
    }


def run(setup: Setup) -> Findings:
    """Train the cells, look at the landscapes of their problems, and draw an example of each mode."""
    size = SIZES[setup.scale]
    todo = trials(CELLS, setup)
    done = measured(todo, partial(scores, size=size, device=setup.device), setup, tell)
    rows = [row for _, found in done for row in found]
    table = [summary(rows, cell.label) for cell in CELLS]
    said = statements(rows)
    drawings = [setup.out / "modes.png"]
    draw_shares(table, drawings[0])
    for letter, (trial, place) in examples(done).items():
        path = setup.out / f"mode-{letter}.png"
        draw_example(trial, place, letter, size, setup, path)
        drawings.append(path)
    columns = {"method": "{method}"}
    columns |= {f"({letter}) %": f"{{{letter}:.1f}}" for letter in MODES}
    columns |= {
        "settled right %": "{p_correct:.1f}",
        "settled wrong %": "{p_wrong:.1f}",
        "unsettled %": "{p_unsettled:.1f}",
        "attractors": "{attractors:.1f}",
        "right %": "{right:.1f}",
    }
    title = (
        f"EqR Fig. 6: shares of modes over {size.problems} problems from {size.breadth} states at depth "
        f"{DEEP * todo[0].depth}; {setup.seeds_in_words}"
    )
    legend = "; ".join(f"({letter}) {MEANING[letter]}" for letter in MODES)
    sheets = [
        Sheet("modes", title, table, columns),
        sheet(said),
        Sheet("problems", "every problem", rows, {}),
    ]
    missing = [letter for letter in MODES if not any(row["mode"] == letter for row in rows)]
    notes = [f"{legend}. The paper shows an example of each and no shares.", told(said), *alone(setup)]
    if missing:
        notes.append(f"No problem was in mode {', '.join(missing)}, so there is no picture of it.")
    configuration = {"size": asdict(size), "recipes (first seed)": described(todo)}
    return Findings(sheets, notes, drawings, configuration)


def tell(rows: Sequence[Row]) -> str:
    """A run in a few words."""
    return ", ".join(f"{sum(row['mode'] == letter for row in rows)} {letter}" for letter in MODES)


def share(rows: Sequence[Row], *letters: str) -> float:
    """Percent of problems in any of these modes."""
    return 100 * fmean(row["mode"] in letters for row in rows)


def summary(rows: Sequence[Row], method: str) -> Row:
    """A row of the table: over all problems and seeds of a method."""
    own = [row for row in rows if row["method"] == method]
    shares = ("right", "p_correct", "p_wrong", "p_unsettled")
    return (
        {"method": method, "problems": len(own), "attractors": fmean(row["attractors"] for row in own)}
        | {letter: share(own, letter) for letter in MODES}
        | {key: 100 * fmean(row[key] for row in own) for key in shares}
    )


def statements(rows: Sequence[Row]) -> list[Statement]:
    """What the paper says of how training moves problems between modes, in our numbers."""
    seeds = list(dict.fromkeys(row["seed"] for row in rows))

    def of(method: str, *letters: str) -> list[float]:
        return [
            share([row for row in rows if row["method"] == method and row["seed"] == seed], *letters)
            for seed in seeds
        ]

    def mean_of(method: str, key: str) -> list[float]:
        return [
            100 * fmean(row[key] for row in rows if row["method"] == method and row["seed"] == seed)
            for seed in seeds
        ]

    trm, eqr = TRM.label, EQR.label
    return [
        rises("RI + NI: more problems are well aligned (d)", "Sec. 6.2", of(trm, "d"), of(eqr, "d")),
        rises(
            "RI + NI: fewer are in modes b and c",
            "Sec. 6.2",
            of(trm, "b", "c"),
            of(eqr, "b", "c"),
            falls=True,
        ),
        rises(
            "RI + NI: fewer restarts settle on spurious attractors",
            "Sec. 6.2",
            mean_of(trm, "p_wrong"),
            mean_of(eqr, "p_wrong"),
            falls=True,
        ),
    ]


def examples(done: Sequence[tuple[Trial, list[Row]]]) -> dict[str, tuple[Trial, int]]:
    """For each mode that was found a run, the first that has it, and a problem that is typical of the mode:
    its share of restarts that settle right is in the middle."""
    found: dict[str, tuple[Trial, int]] = {}
    for letter in MODES:
        for trial, rows in done:
            own = sorted((row["p_correct"], row["problem"]) for row in rows if row["mode"] == letter)
            if own:
                found[letter] = (trial, own[len(own) // 2][1])
                break
    return found


def draw_example(trial: Trial, place: int, letter: str, size: Size, setup: Setup, path: Path) -> None:
    """All restarts of one problem, on the plane of most variance of their states."""
    run = CachedRun.of(trial.recipe, setup.cache)
    ask, problems = asked(trial, size), run.splits.held_out
    assert problems.labels is not None
    ((_, recording, pool),) = recorded(placed(run, ask, setup.device), problems, ask, [place])
    right = correct(pool, problems.labels[[place]])[0]
    title = f"({letter}) {MEANING[letter]}: {trial.cell.label}, problem {place}"
    plot_projection(project_states(recording), right.numpy(), path, title)


def draw_shares(table: Sequence[Row], path: Path) -> None:
    """Stacked bars: the shares of modes, cell by cell."""
    hatches = ("xxx", "///", "...", "")
    with picture(path, height=2.4) as (_, axes):
        left = [0.0] * len(table)
        names = [row["method"] for row in table]
        for place, letter in enumerate(MODES):
            widths = [row[letter] for row in table]
            axes.barh(
                names,
                widths,
                left=left,
                height=0.6,
                color=COLOURS[(1, 3, 2, 0)[place]],
                edgecolor="white",
                hatch=hatches[place],
                label=f"({letter}) {MEANING[letter]}",
            )
            left = [start + width for start, width in zip(left, widths, strict=True)]
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.set_xlabel("problems (%)")
        axes.figure.legend(
            loc="outside upper center", ncols=2, fontsize=6, handlelength=1.2, columnspacing=1.0
        )


REPRODUCTION = Reproduction(
    name="modes",
    what="EqR Fig. 6: landscapes of problems, and what RI and NI make of them",
    scales=COSTS,
    run=run,
    seeds=3,
)
