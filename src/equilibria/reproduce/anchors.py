"""EqR Tab. 7 and Fig. 11: which iterations of a long trajectory to supervise, and how still it is there.

All rows run trajectories of 16 iterations with detached carry, one optimizer step each, as rows ⑤ and ⑥ of
Tab. 8 do; matched and tuned as those (`training_dynamics`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from equilibria.diagnostics.drawing import COLOURS, COLUMN, MARKERS, picture
from equilibria.inference.recording import Record, Recorder
from equilibria.pipeline import Pipeline
from equilibria.reproduce.graded import Attempt, best_of_each, compared, every_run, grade_all
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet
from equilibria.reproduce.training_dynamics import BESIDE, TERMINAL, TRAJECTORY, Way, attempts
from equilibria.tasks import Problems


def _late(first: int, accuracy: float) -> Way:
    changes = (*TRAJECTORY.changes, f"training.schedule.first={first}")
    return Way("", f"late anchors {first}:16", TRAJECTORY.recipe, changes, accuracy)


END = Way("", "terminal loss", TERMINAL.recipe, TERMINAL.changes, 51.80)
FULL = Way("", "full anchors 1:16", TRAJECTORY.recipe, TRAJECTORY.changes, 47.10)
LATE, LATER = _late(8, 51.36), _late(12, 57.50)
WAYS = (END, FULL, LATE, LATER)
TRACED = 500
"""Held-out puzzles over which the residual is averaged."""


def residuals(pipeline: Pipeline, problems: Problems, depth: int) -> list[float]:
    """Mean `‖z_{k+1} − z_k‖₂` of each iteration."""
    recorder = Recorder(Record(states=0))
    pipeline.engine.pools(problems.inputs, depths=(depth,), breadth=1, recorders=(recorder,))
    return recorder.recording().residuals.mean(axis=0, dtype=float).tolist()


def trace(attempt: Attempt, setup: Setup) -> list[float]:
    """The residuals of one run, measured once."""
    run, depth = attempt.run(setup.cache), attempt.recipe.training.depth
    problems = run.splits.held_out[:TRACED]

    def measure() -> dict[str, Any]:
        pipeline, _ = run.trained(setup.device)
        return {"residuals": residuals(pipeline, problems, depth)}

    return run.once("residuals", {"held_out": problems.fingerprint(), "depth": depth}, measure)["residuals"]


def run(setup: Setup) -> Findings:
    """Train all, and look at the residual of the one that is supervised at its end alone."""
    todo = attempts(WAYS, setup)
    done = grade_all(todo, setup)
    found = best_of_each(done)
    table: list[Row] = [found[way.name] | {"published": way.accuracy} for way in WAYS]
    rate = found[END.name]["rate"]
    chosen = [one for one in todo if one.way == END.name and one.recipe.training.optimizer.lr == rate]
    traces = [trace(one, setup) for one in chosen]
    residual = [
        {"iteration": place, "residual": sum(values) / len(values)}
        for place, values in enumerate(zip(*traces, strict=True), start=1)
    ]
    drawing = setup.out / "anchors.png"
    draw(table, residual, drawing)
    columns = {
        "supervision": "{way}",
        "rate": "{rate:g}",
        "train %": "{train:.1f}",
        "held out %": "{evaluation:.1f} ±{spread:.1f}",
        "paper %": "{published:.2f}",
        "min": "{minutes:.1f}",
    }
    training = todo[0].recipe.training
    title = (
        f"EqR Tab. 7: {training.steps:,} steps of {training.batch}, the best of {found[END.name]['rates']} "
        f"learning rate{'s' if found[END.name]['rates'] > 1 else ''}; mean ± half the range of "
        f"{setup.seeds_in_words}"
    )
    recipes = {one.way: one.recipe.model_dump(mode="json") for one in todo}
    return Findings(
        [
            Sheet("anchors", title, table, columns),
            Sheet("residuals", "of the terminal loss", residual, {}),
            every_run(done),
        ],
        [*verdict({row["way"]: row for row in table}, residual), BESIDE[setup.scale]],
        [drawing],
        {"recipes (last seed, last rate)": recipes},
    )


def verdict(rows: dict[str, Row], residual: Sequence[Row]) -> list[str]:
    """The paper's statements, and whether they hold here.

    Args:
        rows: by name.
        residual: of the terminal loss, by iteration.
    """
    end, full, late, later = (rows[way.name] for way in WAYS)
    order = sorted(rows.values(), key=lambda row: row["evaluation"])
    told = " < ".join(f"{row['way']} {row['evaluation']:.1f}%" for row in order)
    notes = [
        compared("Anchors on the whole trajectory are worse than its end (published 47.1, 51.8)", full, end),
        compared("Anchors from iteration 12 on are better than the end (51.8, 57.5)", end, later),
        compared("Later anchors are better than late ones (51.36, 57.5)", late, later),
        f"The order: {told}.",
    ]
    values = {row["iteration"]: row["residual"] for row in residual}
    if {2, 8, 12} <= set(values):
        early, after = values[2] - values[8], values[8] - values[12]
        small = abs(after) < early / 10
        notes.append(
            f"The residual of the terminal loss falls by {early:.2f} from iteration 2 to 8 and by "
            f"{after:.2f} from 8 to 12 (to {values[12]:.2f}): a late plateau, as published: "
            f"{'yes' if small else 'no'}."
        )
    return notes


def draw(table: Sequence[Row], residual: Sequence[Row], path: Path) -> None:
    """Accuracy of each row, and the residual over iterations."""
    with picture(path, columns=2, width=2 * COLUMN) as (_, (left, right)):
        places = range(len(table))
        left.errorbar(
            *(places, [row["evaluation"] for row in table], [row["spread"] for row in table]),
            color=COLOURS[0],
            marker=MARKERS[0],
            linestyle="none",
            capsize=2,
            label="ours",
        )
        published = {"color": COLOURS[1], "marker": MARKERS[1], "mfc": "white", "linestyle": "none"}
        left.plot(places, [row["published"] for row in table], label="published, 9×9", **published)
        left.set_xticks(places, [row["way"].replace("anchors ", "anchors\n") for row in table])
        left.set_xlim(-0.5, len(table) - 0.5)
        left.set_ylim(-3, 103)
        left.set_ylabel("exact accuracy, held out (%)")
        left.legend(loc="upper left")
        right.plot(
            *([row["iteration"] for row in residual], [row["residual"] for row in residual]),
            color=COLOURS[0],
            marker=MARKERS[0],
        )
        right.set_yscale("log")
        right.set_xlabel("iteration")
        right.set_ylabel("residual ‖z$_t$ − z$_{t−1}$‖, terminal loss")


REPRODUCTION = Reproduction(
    name="anchors",
    what="EqR Tab. 7, Fig. 11: anchors on a detached trajectory",
    scales={
        "cpu": "8 runs (4 rows, 2 learning rates) of 700 steps on 6×6 Sudoku, 4 shared with "
        "training-dynamics: about 2 minutes each on one core",
        "paper": "16 runs (4 rows, 4 learning rates) of 50,000 steps of 16 iterations on Sudoku-Extreme: not "
        "timed yet",
    },
    run=run,
    seeds=1,
)
