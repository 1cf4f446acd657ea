"""FPRM Fig. 2, left: how long a word problem a looped Transformer solves with as many loops as elements.

Without a bottleneck it solves just the length that its depth permits. Three placements of norms are compared:
post-norm, pre-norm, and pre-norm with residual scaling. Each is trained at several lengths, with as many
loops, and tested with as many.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from equilibria.diagnostics.drawing import COLOURS, LINES, MARKERS, picture
from equilibria.errors import TrainingError
from equilibria.pipeline import Pipeline
from equilibria.reproduce.boards import precise
from equilibria.reproduce.cells import Cell, Trial, measured
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet, half_range, mean
from equilibria.reproduce.runs import CachedRun, seeded
from equilibria.reproduce.signal_propagation import SCALED, SCHEMES
from equilibria.reproduce.small import RARELY
from equilibria.reproduce.statements import Statement, sheet, told
from equilibria.tasks.permutations import Permutations

LENGTHS = {"cpu": (8, 16, 32), "paper": (8, 16, 32, 64)}
SMALLER = {
    "cpu": (
        *("task.group=S3", "reasoner.width=64", "reasoner.heads=4", "reasoner.channel_inner=128"),
        # A look at the element before, which the paper's loop lacks: without it minutes do not suffice.
        *("reasoner.convolution=sequence", "reasoner.convolution_kernel=2"),
        *("data.count=50000", "training.steps=400", "training.batch=64", "training.average=0.98"),
        "training.precision=fp32",
        *("training.optimizer.name=muon", "training.optimizer.muon_lr=0.02", "training.optimizer.lr=0.002"),
        *("training.optimizer.warmup=50", "training.optimizer.min_ratio=0.05", "training.optimizer.clip=1.0"),
    ),
    "paper": (),
}
SOLVED = 90.0  # percent, of final states
BEYOND = 2  # tested up to so many times the trained length
PROBLEMS = 1000
PUBLISHED = (
    "Published as a figure without numbers, on A5 with lengths 8 to 512 (64 in the table of settings): only "
    "pre-norm with residual scaling follows the line of length = depth, pre-norm alone diverges when deep."
)


def trials(setup: Setup) -> list[Trial]:
    """Every scheme at every length, with every seed."""
    found: list[Trial] = []
    for seed in range(setup.seeds):
        for length in LENGTHS[setup.scale]:
            for scheme, norms in SCHEMES.items():
                tied = (f"task.length={length}", f"training.depth={length}", f"inference.depth={length}")
                scales = ("reasoner.alpha_1=0.75", "reasoner.alpha_2=0.5")
                changes = (*SMALLER[setup.scale], *RARELY, *norms, *scales, *tied)
                recipe = seeded("looped-a5", [*changes, *setup.overrides], seed)
                found.append(Trial(Cell(f"{scheme}, {length}", norms), seed, recipe))
    return found


def solved(accuracy: Sequence[float]) -> int:
    """The longest problem solved, with all shorter ones; `accuracy` in percent, of lengths from 1."""
    failed = (place for place, value in enumerate(accuracy) if value <= SOLVED)
    return next(failed, len(accuracy))


def final_states(pipeline: Pipeline, task: Permutations, length: int, loops: int) -> list[float]:
    """Accuracy of the last state of problems of 1 to `length` elements, in percent.

    Attention looks back only, so that the states on the way of a long problem are the last ones of shorter
    ones.
    """
    problems = task.at_length(length).generate(min(PROBLEMS, task.group.size**length // 2), seed=length)
    assert problems.labels is not None
    (pool,) = pipeline.engine.pools(
        problems.inputs, depths=(loops,), breadth=1, halting=pipeline.halting("fixed")
    )
    return (100 * (pool.answers[:, 0] == problems.labels).double().mean(dim=0)).tolist()


def measure(trial: Trial, run: CachedRun, device: str) -> Row:
    """Train, if that was not done; a run that diverged solves nothing."""
    precise()
    task = trial.recipe.build_task()
    assert isinstance(task, Permutations)
    length, loops = task.length, trial.recipe.training.depth
    asked = {"problems": PROBLEMS, "loops": loops, "length": BEYOND * length}

    def find() -> Row:
        try:
            pipeline, seconds = run.trained(device)
        except TrainingError as error:
            if "the loss is" not in str(error):
                raise
            return {"accuracy": [0.0] * (BEYOND * length), "seconds": None, "diverged": True}
        accuracy = final_states(pipeline, task, BEYOND * length, loops)
        return {"accuracy": accuracy, "seconds": seconds, "diverged": False}

    found = run.once("solvable-length", asked, find)
    return found | {"solved": solved(found["accuracy"]), "length": length}


def run(setup: Setup) -> Findings:
    """Train all, and see how far each gets."""
    todo = trials(setup)
    work = partial(measure, device=setup.device)
    done = measured(
        todo, work, setup, lambda found: f"solves {found['solved']} of {found['length']} elements"
    )
    lengths = LENGTHS[setup.scale]
    table = [
        summary(scheme, length, [f for t, f in done if t.cell.label == f"{scheme}, {length}"])
        for scheme in SCHEMES
        for length in lengths
    ]
    drawing = setup.out / "solvable-length.png"
    draw(table, lengths, drawing)
    said = statements(table)
    columns = {
        "norm": "{scheme}",
        "trained length = loops": "{length}",
        "longest solved": "{solved:.1f} ±{spread:.1f}",
        "final state at that length %": "{at_length:.1f}",
        "diverged": "{diverged}",
    }
    group = todo[0].recipe.task["group"]
    title = (
        f"{group}: longest problem with more than {SOLVED:.0f}% of final states right; {setup.seeds_in_words}"
    )
    every = [
        {"run": trial.cell.label, "seed": trial.seed, "elements": place + 1, "final_state": value}
        for trial, found in done
        for place, value in enumerate(found["accuracy"])
    ]
    sheets = [
        Sheet("solvable-length", title, table, columns),
        sheet(said),
        Sheet("final-states", "", every, {}),
    ]
    notes = [told(said), PUBLISHED, small_print(setup.scale, todo[0])]
    recipes = {trial.cell.label: trial.recipe.model_dump(mode="json") for trial in todo if not trial.seed}
    return Findings(sheets, notes, [drawing], {"recipes (first seed)": recipes})


def summary(scheme: str, length: int, rows: Sequence[Row]) -> Row:
    """One scheme at one length over the seeds."""
    at = [{"value": row["accuracy"][length - 1]} for row in rows]
    return {
        "scheme": scheme,
        "length": length,
        "solved": mean(rows, "solved"),
        "spread": half_range(rows, "solved"),
        "at_length": mean(at, "value"),
        "diverged": sum(row["diverged"] for row in rows),
        "seeds": len(rows),
    }


def small_print(scale: str, trial: Trial) -> str:
    """What differs from the paper."""
    training = trial.recipe.training
    if scale == "paper":
        return "The lengths of the paper's table of settings; its figure goes on to 512."
    return (
        "Unlike the paper's, our loops look at the element before by a convolution, without which minutes of "
        f"training do not suffice. They are of a smaller group and {training.steps:,} steps of "
        f"{training.batch}, where the paper has some 60,000 of 1,024, and of at most "
        f"{LENGTHS[scale][-1]} loops: a scheme that is slow to learn looks here like one that cannot, and "
        "one that fails when deep may not fail yet."
    )


def statements(table: Sequence[Row]) -> list[Statement]:
    """What the paper says of the three."""
    reached = {
        scheme: {row["length"]: row["solved"] for row in table if row["scheme"] == scheme}
        for scheme in SCHEMES
    }
    deepest = max(row["length"] for row in table)
    told_of = {
        scheme: " ".join(f"{n}: {value:.0f}" for n, value in at.items()) for scheme, at in reached.items()
    }
    return [
        Statement(
            "with scaling, the length solved is the depth",
            "only this scheme follows y = x",
            told_of[SCALED],
            all(value >= length for length, value in reached[SCALED].items()),
        ),
        Statement(
            "post-norm falls behind when it is deep",
            "below y = x",
            told_of["post"],
            reached["post"][deepest] < deepest,
        ),
        Statement(
            "pre-norm without scaling fails when it is deep",
            "diverges",
            told_of["pre"],
            reached["pre"][deepest] < deepest,
        ),
        Statement(
            "at the greatest depth scaling solves the longest problems",
            "by far",
            ", ".join(f"{scheme} {at[deepest]:.0f}" for scheme, at in reached.items()),
            reached[SCALED][deepest] > max(reached["post"][deepest], reached["pre"][deepest]),
        ),
    ]


def draw(table: Sequence[Row], lengths: Sequence[int], path: Path) -> None:
    """Longest problem solved over depth, and the line where they are the same."""
    with picture(path, height=2.7) as (figure, axes):
        axes.plot(lengths, lengths, color="0.6", linewidth=0.8, label="length = depth")
        for place, scheme in enumerate(SCHEMES):
            own = [row for row in table if row["scheme"] == scheme]
            axes.errorbar(
                [row["length"] * 2 ** (0.04 * (place - 1)) for row in own],  # beside each other
                [row["solved"] for row in own],
                [row["spread"] for row in own],
                color=COLOURS[place],
                marker=MARKERS[place],
                linestyle=LINES[place],
                capsize=2,
                label=scheme,
            )
        axes.set_xscale("log", base=2)
        axes.set_yscale("symlog", base=2, linthresh=1)
        for axis in (axes.get_xaxis(), axes.get_yaxis()):
            axis.set_major_formatter("{x:.0f}")
        axes.set_ylim(bottom=-0.2)
        axes.set_xticks(lengths)
        axes.set_xlabel("loops, and elements of a problem in training")
        axes.set_ylabel(f"longest problem solved\n(> {SOLVED:.0f}% of final states)")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2)


REPRODUCTION = Reproduction(
    name="solvable-length",
    what="FPRM Fig. 2, left: longest word problem solved against depth, for three placements of norms",
    scales={
        "cpu": "9 runs a seed (3 schemes, 3 lengths) of 400 steps on S3 at lengths 8, 16 and 32: 1 to 3 "
        "minutes each on one core, by the count of iterations",
        "paper": "12 runs a seed (3 schemes, 4 lengths) on A5, 58,593 steps of 1,024",
    },
    run=run,
    seeds=1,
)
