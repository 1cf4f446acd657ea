"""EqR Tab. 10 and App. A.3: where trajectories start: learned initial states, and how far random ones spread.

A learned initial state is within reach of gradients only if every update is tracked, so it is set beside
reasoners that are trained so too. The second table varies the standard deviation σ of random states in
training, stream by stream; the third one only when a trained reasoner is run.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

from equilibria.diagnostics.breadth import expected_accuracy
from equilibria.diagnostics.drawing import COLOURS, LINES, MARKERS, picture
from equilibria.diagnostics.metrics import interval
from equilibria.diagnostics.stability import path_independence_at
from equilibria.recipes import Recipe
from equilibria.reproduce.cells import (
    EQR,
    TRM,
    WITH_RI,
    Cell,
    Trial,
    alone,
    by_seed,
    described,
    measured,
    trials,
)
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet
from equilibria.reproduce.runs import CachedRun
from equilibria.reproduce.small import RI, variant
from equilibria.reproduce.statements import Statement, rises, sheet, told
from equilibria.reproduce.tries import Ask, percent, tries

START = {  # Tab. 10, the best up to 50,000 steps
    "TRM": 84.06,
    "+ RI": 86.03,
    "learned": 83.99,
}
SWEEP = {  # (σ_H, σ_L) → App. A.3
    (1, 1): 86.03,
    (1, 0): 86.29,
    (0, 1): 86.25,
    (1, 4): 86.83,
    (1, 8): 87.30,
    (1, 16): 86.85,
    (4, 1): 86.38,
    (8, 1): 86.08,
    (16, 1): 86.29,
}
SIGMAS = (0, 0.25, 0.5, 1, 2, 4, 8)  # of both streams, when a reasoner trained at 1 is run
TRACKED = ", all tracked"


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        single: problems that are tried once.
        problems: of them, those tried with every σ.
        breadth: from so many states.
    """

    single: int
    problems: int
    breadth: int


SIZES = {"cpu": Size(1000, 128, 8), "paper": Size(2048, 2048, 128)}
COSTS = {
    "cpu": "14 runs (2 to 3 minutes each on one core; `shaping` has 3 of them) of 700 steps on 6×6 Sudoku, "
    "and 2 minutes to try 7 σ of one at 128 problems from 8 states",
    "paper": "14 runs of 50,000 steps on Sudoku-Extreme; 2,048 problems from 128 states for every σ",
}


def sweep_cell(high: float, low: float) -> Cell:
    """Random states with these standard deviations of the slow and of the fast stream."""
    if (high, low) == (1, 1):
        return WITH_RI
    return Cell(f"σ {high:g}, {low:g}", (*RI, f"reasoner.sigma_H={high}", f"reasoner.sigma_L={low}"))


def starts(recipe: Recipe) -> dict[str, Cell]:
    """How a trajectory may start, with every update of an iteration of this recipe tracked."""
    shape = recipe.reasoner.model_dump()
    every = (f"reasoner.tracked={shape['H_cycles'] * (shape['L_cycles'] + 1)}",)
    return {
        "TRM": Cell(TRM.label + TRACKED, every),
        "+ RI": Cell(WITH_RI.label + TRACKED, (*RI, *every)),
        "learned": Cell("learned" + TRACKED, ("reasoner.initial=learned", *every)),
    }


def scores(trial: Trial, run: CachedRun, size: Size, device: str) -> Row:
    """One run at the depth of training, once."""
    tried = tries(run, Ask(size.single, (trial.depth,)), device)[trial.depth]
    return {
        "method": trial.cell.label,
        "seed": trial.seed,
        "problems": size.single,
        "exact": percent(tried),
        "residual": tried.pool.residual.mean().item(),
        "folder": run.folder.name,
    }


def at_sigmas(trial: Trial, run: CachedRun, size: Size, device: str) -> list[Row]:
    """A trained reasoner from states of other spreads than it learned from."""
    rows: list[Row] = []
    for sigma in SIGMAS:
        changed = (f"reasoner.sigma_H={sigma}", f"reasoner.sigma_L={sigma}")
        ask = Ask(size.problems, (trial.depth,), size.breadth, drawn=True, overrides=changed)
        tried = tries(run, ask, device)[trial.depth]
        top, oracle = (
            100 * expected_accuracy(tried.pool, tried.right, rule, size.breadth).mean().item()
            for rule in ("convergence", "oracle")
        )
        rows.append(
            {
                "method": trial.cell.label,
                "sigma": float(sigma),
                "average": percent(tried),
                "convergence": top,
                "oracle": oracle,
                "path_independence": 100 * path_independence_at(tried.right, size.breadth),
                "residual": tried.pool.residual.mean().item(),
            }
        )
    return rows


def run(setup: Setup) -> Findings:
    """Train every start and every spread, run one of them with all σ, and check what the paper says."""
    size = SIZES[setup.scale]
    tracked = starts(variant(setup.scale, 0, (), setup.overrides))
    cells = [TRM, *tracked.values(), *(sweep_cell(*sigmas) for sigmas in SWEEP)]
    todo = trials(cells, setup)
    found = [row for _, row in measured(todo, partial(scores, size=size, device=setup.device), setup, tell)]
    eqr = trials((EQR,), setup, [0])
    ((_, sigmas),) = measured(
        eqr, partial(at_sigmas, size=size, device=setup.device), setup, lambda rows: f"{len(rows)} σ"
    )
    said = statements(found, sigmas, tracked)
    drawing = setup.out / "initial-states.png"
    draw(found, sigmas, drawing)
    training = todo[0].recipe.training
    title = (
        f"EqR Tab. 10, App. A.3: {training.steps:,} steps of {training.batch}, depth {todo[0].depth}, "
        f"{size.single:,} problems; ± the 95% interval over problems; {setup.seeds_in_words}"
    )
    columns = {"start": "{start}", "exact %": "{exact:.1f} ±{half:.1f}", "paper": "{published:.2f}"}
    shown = {
        "σ when run": "{sigma:g}",
        "one state": "{average:.1f}",
        f"Top-1 of {size.breadth}": "{convergence:.1f}",
        "any right": "{oracle:.1f}",
        "ΔPI %": "{path_independence:.2f}",
        "residual": "{residual:.3f}",
    }
    inference = f"EqR, trained at σ = 1, run from other states: {size.problems:,} problems"
    sheets = [
        Sheet("initial-states", title, table(found, tracked), columns),
        Sheet("sigma-at-inference", inference, sigmas, shown),
        sheet(said),
        Sheet("runs", "every run", found, {}),
    ]
    configuration = {"size": asdict(size), "recipes (first seed)": described([*todo, *eqr])}
    return Findings(sheets, [told(said), *alone(setup)], [drawing], configuration)


def tell(row: Row) -> str:
    """A run in a few words."""
    return f"{row['exact']:.1f}%"


def table(found: Sequence[Row], tracked: dict[str, Cell]) -> list[Row]:
    """The starts, then the spreads."""
    labels = [(TRM.label, "TRM", START["TRM"])]
    labels += [(cell.label, cell.label, START[name]) for name, cell in tracked.items()]
    labels += [
        (sweep_cell(*sigmas).label, f"σ_H = {sigmas[0]}, σ_L = {sigmas[1]}", published)
        for sigmas, published in SWEEP.items()
    ]
    rows: list[Row] = []
    for method, start, published in labels:
        exact = fmean(by_seed(found, method, "exact"))
        problems = next(row["problems"] for row in found if row["method"] == method)
        low, high = interval(exact / 100, problems)
        rows.append(
            {
                "start": start,
                "seeds": len(by_seed(found, method, "exact")),
                "exact": exact,
                "half": 50 * (high - low),
                "published": published,
            }
        )
    return rows


def statements(found: Sequence[Row], sigmas: Sequence[Row], tracked: dict[str, Cell]) -> list[Statement]:
    """What the paper says of initial states, in our numbers."""
    fixed, random, learned = (by_seed(found, tracked[name].label, "exact") for name in START)
    trm, ri = by_seed(found, TRM.label, "exact"), by_seed(found, WITH_RI.label, "exact")
    own = next(row for row in sigmas if row["sigma"] == 1)
    best = max(sigmas, key=lambda row: row["average"])
    spreads = {sigma: fmean(by_seed(found, sweep_cell(*sigma).label, "exact")) for sigma in SWEEP}
    peak = max(spreads, key=lambda sigma: spreads[sigma])
    return [
        rises(
            "a learned start is below random ones (all tracked)", "86.03 → 83.99", random, learned, falls=True
        ),
        rises("a learned start gains nothing over a fixed one", "84.06 → 83.99", fixed, learned, falls=True),
        rises("random states beat a fixed one", "84.06 → 86.03", trm, ri),
        *(
            rises(
                f"random {name} alone beats a fixed start",
                f"84.06 → {SWEEP[sigma]:.2f}",
                trm,
                by_seed(found, sweep_cell(*sigma).label, "exact"),
            )
            for name, sigma in (("z_H", (1, 0)), ("z_L", (0, 1)))
        ),
        Statement(
            "the best spread is σ_H = 1 with a larger σ_L",
            "87.30 at (1, 8)",
            f"{spreads[peak]:.1f} at {peak}",
            peak[0] == 1 and peak[1] > 1,
        ),
        Statement(
            "σ of training is about the best σ to run with (one state, within 1 point)",
            "not said",
            f"{own['average']:.1f} at 1, {best['average']:.1f} at {best['sigma']:g}",
            best["average"] - own["average"] <= 1,
        ),
    ]


def draw(found: Sequence[Row], sigmas: Sequence[Row], path: Path) -> None:
    """Accuracy over σ: in training, stream by stream, and when run."""
    with picture(path, 2, width=7.0, height=2.4) as (_, (train, test)):
        lines = (
            (r"$\sigma_L$ ($\sigma_H = 1$)", [sigma for sigma in SWEEP if sigma[0] == 1], 1),
            (r"$\sigma_H$ ($\sigma_L = 1$)", [sigma for sigma in SWEEP if sigma[1] == 1], 0),
        )
        for place, (name, cells, varied) in enumerate(lines):
            ordered = sorted(cells, key=lambda sigma: sigma[varied])
            train.plot(
                [sigma[varied] for sigma in ordered],
                [fmean(by_seed(found, sweep_cell(*sigma).label, "exact")) for sigma in ordered],
                LINES[place],
                color=COLOURS[place],
                marker=MARKERS[place],
                label=name,
            )
        train.axhline(
            fmean(by_seed(found, TRM.label, "exact")), color="0.4", linestyle=":", label="fixed start"
        )
        train.set_xscale("symlog", base=2, linthresh=1)
        train.set_xticks([0, 1, 4, 8, 16], ["0", "1", "4", "8", "16"])
        train.set_xlim(-0.3, 22)
        train.set_xlabel("σ of the initial state in training")
        for place, (key, name) in enumerate(
            (("average", "one state"), ("convergence", "Top-1"), ("oracle", "any right"))
        ):
            test.plot(
                [row["sigma"] for row in sigmas],
                [row[key] for row in sigmas],
                LINES[place],
                color=COLOURS[place],
                marker=MARKERS[place],
                label=name,
            )
        test.set_xscale("symlog", base=2, linthresh=0.25)
        test.set_xticks(SIGMAS, [f"{sigma:g}" for sigma in SIGMAS])
        test.set_xlim(-0.08, 11)
        test.set_xlabel("σ when EqR is run (trained at 1)")
        for axes in (train, test):
            axes.set_ylabel("exact accuracy (%)")
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, columnspacing=1)


REPRODUCTION = Reproduction(
    name="initial-states",
    what="EqR Tab. 10, App. A.3: learned initial states, and the spread of random ones",
    scales=COSTS,
    run=run,
    seeds=1,
)
