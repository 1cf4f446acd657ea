"""FPRM's figure of loop utilization: pre-norm with residual scaling against post-norm, far beyond the trained
depth (Sec. 4.4).

Both are FPRM, trained alike. Each is then run on and on, without halting: how long does more compute still
help, and does the state come to rest?
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from equilibria.diagnostics.depth import depth_utilization
from equilibria.diagnostics.drawing import COLOURS, COLUMN, LINES, MARKERS, picture
from equilibria.reproduce.boards import FPRM, Variant, beside, precise, trials
from equilibria.reproduce.cells import Trial, described, measured
from equilibria.reproduce.following import follow
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet, mean
from equilibria.reproduce.runs import CachedRun
from equilibria.reproduce.statements import Statement, sheet, told

SCALED, POST = "pre + residual scaling", "post"
VARIANTS = (
    Variant(SCALED, FPRM),
    Variant(POST, FPRM, ("reasoner.norm=post", "reasoner.residual_scale=none")),
)
BEYOND = 8  # times the trained depth
PROBLEMS = {"cpu": 250, "paper": 1024}
ALIKE = 10.0  # residuals within this factor count as similar
PUBLISHED = (
    "Published as a figure without numbers: pre-norm with residual scaling saturates at almost twice the "
    "compute of post-norm, and higher; the median residuals are similar."
)


def depths(trained: int) -> list[int]:
    """Powers of two up to `BEYOND` times the trained depth, and that depth."""
    deepest = BEYOND * trained
    return sorted({trained, deepest, *(1 << power for power in range(deepest.bit_length()))})


def measure(trial: Trial, run: CachedRun, device: str, scale: str) -> Row:
    """Train, if that was not done; accuracy and median residual by depth."""
    precise()
    problems, trained = run.splits.held_out[: PROBLEMS[scale]], run.recipe.training.depth
    asked = {"depths": depths(trained), "problems": problems.fingerprint()}

    def find() -> Row:
        pipeline, _ = run.trained(device)
        followed = follow(pipeline, problems, depths(trained)[-1])
        accuracy, residual = followed.accuracy(), followed.residual.median(dim=1).values.tolist()
        layers = pipeline.reasoner.equivalent_layers
        points = [
            {
                "iterations": depth,
                "layers": depth * layers,
                "accuracy": accuracy[depth - 1],
                "residual": residual[depth - 1],
            }
            for depth in depths(trained)
        ]
        return {
            "points": points,
            "trained": trained * layers,
            "parameters": pipeline.reasoner.parameter_count(),
        }

    return run.once("loop-use", asked, find)


def run(setup: Setup) -> Findings:
    """Train both, run both on."""
    todo = trials(VARIANTS, setup)
    work = partial(measure, device=setup.device, scale=setup.scale)
    done = measured(todo, work, setup, lambda found: f"{found['points'][-1]['accuracy']:.1f}% at the deepest")
    by_scheme = {v.label: [found for trial, found in done if trial.cell.label == v.label] for v in VARIANTS}
    curves = [
        {"scheme": scheme, "layers": point["layers"], "iterations": point["iterations"]}
        | {key: mean([found["points"][place] for found in seeds], key) for key in ("accuracy", "residual")}
        for scheme, seeds in by_scheme.items()
        for place, point in enumerate(seeds[0]["points"])
    ]
    trained = done[0][1]["trained"]
    table = [summary(scheme, curves, trained, setup.seeds) for scheme in by_scheme]
    drawing = setup.out / "loop-use.png"
    draw(curves, trained, drawing)
    said = statements(table)
    columns = {
        "norm": "{scheme}",
        "best %": "{best:.1f}",
        "at trained depth %": "{at_trained:.1f}",
        "gain beyond": "{gain:+.1f}",
        "saturates at": "{saturation} layers",
        "median residual": "{residual:.2g}",
    }
    title = (
        f"run to {BEYOND} times the trained depth of {trained} blocks without halting; {setup.seeds_in_words}"
    )
    sheets = [Sheet("loop-use", title, table, columns), sheet(said), Sheet("curves", "", curves, {})]
    notes = [told(said), PUBLISHED, *beside(setup.scale, todo[0].recipe, done[0][1]["parameters"])]
    return Findings(sheets, notes, [drawing], {"recipes (first seed)": described(todo)})


def summary(scheme: str, curves: Sequence[Row], trained: int, seeds: int) -> Row:
    """Where a scheme saturates, and what depth beyond the trained one brings, in points of accuracy."""
    own = [row for row in curves if row["scheme"] == scheme]
    use = depth_utilization([(row["layers"], row["accuracy"] / 100) for row in own], trained)
    at_trained = next(row["accuracy"] for row in own if row["layers"] == trained)
    return {
        "scheme": scheme,
        "best": 100 * use.best,
        "at_trained": at_trained,
        "gain": 100 * use.gain,
        "saturation": use.saturation,
        "trained": trained,
        "residual": own[-1]["residual"],
        "seeds": seeds,
    }


def statements(table: Sequence[Row]) -> list[Statement]:
    """What the paper says of both."""
    scaled, post = table
    ratio = scaled["residual"] / post["residual"] if post["residual"] else float("inf")
    return [
        Statement(
            "pre-norm with residual scaling is the more accurate",
            "higher at all depths shown",
            f"{scaled['best']:.1f}% against {post['best']:.1f}% at best",
            scaled["best"] > post["best"],
        ),
        Statement(
            "it saturates at greater depth",
            "almost twice the compute",
            f"{scaled['saturation']} against {post['saturation']} layers",
            scaled["saturation"] > post["saturation"],
        ),
        Statement(
            "both gain beyond the trained depth",
            "more compute at test time helps both",
            f"{scaled['gain']:+.1f} and {post['gain']:+.1f} points",
            min(scaled["gain"], post["gain"]) > 0,
        ),
        Statement(
            "the median residuals are similar",
            "similar",
            f"{scaled['residual']:.2g} and {post['residual']:.2g} at the deepest",
            1 / ALIKE < ratio < ALIKE,
        ),
    ]


def draw(curves: Sequence[Row], trained: int, path: Path) -> None:
    """Accuracy and median residual over depth."""
    with picture(path, columns=2, width=2 * COLUMN) as (_, (left, right)):
        for place, scheme in enumerate((SCALED, POST)):
            own = [row for row in curves if row["scheme"] == scheme]
            layers = [row["layers"] for row in own]
            style = {"color": COLOURS[place], "marker": MARKERS[place], "linestyle": LINES[place]}
            left.plot(layers, [row["accuracy"] for row in own], label=scheme, **style)
            right.plot(layers, [row["residual"] for row in own], label=scheme, **style)
        for axes in (left, right):
            axes.axvline(trained, color="0.5", linewidth=0.8, linestyle=":")
            axes.set_xscale("log", base=2)
            axes.get_xaxis().set_major_formatter("{x:.0f}")
            axes.set_xlabel("blocks applied (dotted: trained depth)")
        left.set_ylabel("exact accuracy (%)")
        left.legend(loc="best")
        right.set_ylabel("median residual, relative (max norm)")
        right.set_yscale("log")


REPRODUCTION = Reproduction(
    name="loop-use",
    what="FPRM's figure of loop utilization: pre-norm with residual scaling against post-norm (Sec. 4.4)",
    scales={
        "cpu": "2 runs of FPRM a seed on 6×6 Sudoku, one shared with residual-scales: about 2 minutes each "
        "on one core",
        "paper": "2 runs of FPRM a seed, 78,125 steps of 768 on Sudoku-Extreme",
    },
    run=run,
    seeds=1,
)
