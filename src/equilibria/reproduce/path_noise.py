"""EqR Tab. 12, 13 and Sec. 5.2: noise on the path: how much, learned, and turned up when a reasoner runs.

The reasoners learn with random initial states, damping λ = 0.05 and path noise of standard deviation β,
fixed or learned channel by channel. The second table gives accuracy over the number of restarts; the third
runs one reasoner with other β and λ than it learned with ("increase β under breadth scaling", the paper
suggests).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

from equilibria.diagnostics.breadth import curves, expected_accuracy
from equilibria.diagnostics.drawing import COLOURS, LINES, MARKERS, picture
from equilibria.diagnostics.metrics import interval
from equilibria.diagnostics.stability import path_independence_at
from equilibria.reproduce.cells import EQR, WITH_RI, Cell, Trial, alone, by_seed, described, measured, trials
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet
from equilibria.reproduce.runs import CachedRun
from equilibria.reproduce.small import NI, RI
from equilibria.reproduce.statements import Statement, rises, sheet, told
from equilibria.reproduce.tries import Ask, percent, tries

LOUDER, LOUDEST = (
    Cell(f"β = {beta}", (*RI, "reasoner.damping=0.05", f"reasoner.noise={beta}")) for beta in (0.05, 0.1)
)
LEARNED = Cell("β learned", (*RI, *NI, "reasoner.noise_learned=true"))
CELLS = (WITH_RI, EQR, LOUDER, LOUDEST, LEARNED)
NAMES = {WITH_RI.label: "no noise, no damping", EQR.label: "β = 0.01"}
PUBLISHED = {  # Tab. 12: evaluation, training
    EQR.label: (86.4, 84.7),
    LOUDER.label: (85.9, 87.2),
    LOUDEST.label: (86.3, 85.1),
    LEARNED.label: (87.1, 85.3),
}
RESTARTS = {  # Tab. 13: learned, β = 0.01
    16: (85.99, 84.28),
    32: (89.99, 87.35),
    64: (92.14, 90.77),
    128: (93.75, 92.97),
    256: (94.63, 94.63),
    512: (95.61, 95.07),
    1024: (95.85, 96.09),
    2048: (95.95, 96.78),
}
BETAS = (0.0, 0.01, 0.05, 0.1, 0.2)
LAMBDAS = (0.0, 0.05, 0.2, 0.5)
TOP, ORACLE = "convergence", "oracle"


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        single: problems that are tried once, and as many of training.
        problems: of them, those tried from many states.
        breadth: how many.
        few: states from which every β and λ is tried.
    """

    single: int
    problems: int
    breadth: int
    few: int


SIZES = {"cpu": Size(1000, 128, 32, 8), "paper": Size(2048, 2048, 2048, 128)}
COSTS = {
    "cpu": "5 runs (2 minutes each on one core; `shaping` has 2 of them) of 700 steps on 6×6 Sudoku, and 1 "
    "to 2 minutes to try each",
    "paper": "5 runs of 50,000 steps on Sudoku-Extreme; 2,048 problems from 2,048 states: days on one GPU",
}


def scores(trial: Trial, run: CachedRun, size: Size, device: str) -> Row:
    """One run: once at the depth of training, and from many states; the latter as a list, `breadth`."""
    depth = trial.depth
    own = tries(run, Ask(size.single, (depth,)), device)[depth]
    seen = tries(run, Ask(size.single, (depth,), seen=True), device)[depth]
    many = tries(run, Ask(size.problems, (depth,), size.breadth, drawn=True), device)[depth]
    counts = [2**power for power in range(size.breadth.bit_length())]
    by_rule = curves(many.pool, many.right, counts)
    return {
        "method": trial.cell.label,
        "seed": trial.seed,
        "problems": size.single,
        "exact": percent(own),
        "train": percent(seen),
        "path_independence": 100 * path_independence_at(many.right, size.breadth),
        "breadth": [
            {"restarts": count} | {rule: 100 * values[place] for rule, values in by_rule.items()}
            for place, count in enumerate(counts)
        ],
        "folder": run.folder.name,
    }


def turned(trial: Trial, run: CachedRun, size: Size, device: str) -> list[Row]:
    """A trained reasoner with other noise and other damping than it learned with, one of them at a time."""
    own = trial.recipe.reasoner.model_dump()
    settings = [(beta, own["damping"]) for beta in BETAS]
    settings += [(own["noise"], damping) for damping in LAMBDAS if damping != own["damping"]]
    rows: list[Row] = []
    for beta, damping in settings:
        changed = (f"reasoner.noise={beta}", f"reasoner.damping={damping}")
        ask = Ask(size.problems, (trial.depth,), size.few, drawn=True, overrides=changed)
        tried = tries(run, ask, device)[trial.depth]
        rows.append(
            {
                "noise": beta,
                "damping": damping,
                "own": (beta, damping) == (own["noise"], own["damping"]),
                "average": percent(tried),
                "path_independence": 100 * path_independence_at(tried.right, size.few),
                "residual": tried.pool.residual.mean().item(),
            }
            | {
                rule: 100 * expected_accuracy(tried.pool, tried.right, rule, size.few).mean().item()
                for rule in ("majority", TOP, ORACLE)
            }
        )
    return rows


def run(setup: Setup) -> Findings:
    """Train with every noise, run one reasoner with every β and λ, and check what the paper says."""
    size = SIZES[setup.scale]
    todo = trials(CELLS, setup)
    found = [row for _, row in measured(todo, partial(scores, size=size, device=setup.device), setup, tell)]
    eqr = trials((EQR,), setup, [0])
    ((_, changed),) = measured(
        eqr, partial(turned, size=size, device=setup.device), setup, lambda rows: f"{len(rows)} settings"
    )
    said = statements(found, changed, size)
    drawing = setup.out / "path-noise.png"
    draw(found, changed, drawing)
    training = todo[0].recipe.training
    title = (
        f"EqR Tab. 12: {training.steps:,} steps of {training.batch}, depth {todo[0].depth}; {size.single:,} "
        f"problems held out and of training; ± the 95% interval over problems; {setup.seeds_in_words}"
    )
    columns = {
        "path noise": "{noise}",
        "eval %": "{exact:.1f} ±{half:.1f}",
        "train %": "{train:.1f}",
        "ΔPI %": "{path_independence:.2f}",
        "paper eval": "{published:.1f}",
        "paper train": "{published_train:.1f}",
    }
    shown = {
        "β": "{noise:g}",
        "λ": "{damping:g}",
        "one restart": "{average:.1f}",
        f"majority of {size.few}": "{majority:.1f}",
        "Top-1": "{convergence:.1f}",
        "any right": "{oracle:.1f}",
        "ΔPI %": "{path_independence:.2f}",
        "residual": "{residual:.3f}",
    }
    by_breadth = {
        "restarts": "{restarts}",
        "β learned": "{learned:.1f}",
        "β = 0.01": "{fixed:.1f}",
        "paper, learned": "{published_learned:.2f}",
        "paper, 0.01": "{published_fixed:.2f}",
    }
    over = "EqR Tab. 13: Top-1 convergence over restarts (the paper does not say how it chooses)"
    inference = f"EqR, trained with β = 0.01, λ = 0.05, run with others: {size.problems:,} problems"
    sheets = [
        Sheet("path-noise", title, table(found), columns),
        Sheet("restarts", over, over_restarts(found), by_breadth),
        Sheet("noise-at-inference", inference, changed, shown),
        sheet(said),
        Sheet("breadth", "every rule over restarts", nested(found), {}),
    ]
    configuration = {"size": asdict(size), "recipes (first seed)": described(todo)}
    return Findings(sheets, [told(said), *alone(setup)], [drawing], configuration)


def tell(row: Row) -> str:
    """A run in a few words."""
    return f"{row['exact']:.1f}% held out, {row['train']:.1f}% in training"


def at(found: Sequence[Row], method: str, rule: str, count: int) -> list[float]:
    """Accuracy of a rule with so many restarts, percent, of all runs of a method, by seed."""
    return [
        point[rule]
        for row in found
        if row["method"] == method
        for point in row["breadth"]
        if point["restarts"] == count
    ]


def nested(found: Sequence[Row]) -> list[Row]:
    """Accuracy over restarts, run by run."""
    return [
        {"method": row["method"], "seed": row["seed"]} | point for row in found for point in row["breadth"]
    ]


def table(found: Sequence[Row]) -> list[Row]:
    """EqR Tab. 12."""
    rows: list[Row] = []
    for cell in CELLS:
        exact = fmean(by_seed(found, cell.label, "exact"))
        low, high = interval(exact / 100, found[0]["problems"])
        published = PUBLISHED.get(cell.label, (None, None))
        rows.append(
            {
                "noise": NAMES.get(cell.label, cell.label),
                "exact": exact,
                "half": 50 * (high - low),
                "train": fmean(by_seed(found, cell.label, "train")),
                "path_independence": fmean(by_seed(found, cell.label, "path_independence")),
                "published": published[0],
                "published_train": published[1],
            }
        )
    return rows


def over_restarts(found: Sequence[Row]) -> list[Row]:
    """EqR Tab. 13."""
    rows: list[Row] = []
    for count in [point["restarts"] for point in found[0]["breadth"]]:
        learned, fixed = (fmean(at(found, cell.label, TOP, count)) for cell in (LEARNED, EQR))
        published = RESTARTS.get(count, (None, None))
        rows.append(
            {
                "restarts": count,
                "learned": learned,
                "fixed": fixed,
                "published_learned": published[0],
                "published_fixed": published[1],
            }
        )
    return rows


def statements(found: Sequence[Row], changed: Sequence[Row], size: Size) -> list[Statement]:
    """What the paper says of path noise, in our numbers."""
    most = found[0]["breadth"][-1]["restarts"]
    quiet = {cell.label: fmean(by_seed(found, cell.label, "exact")) for cell in (EQR, LOUDER, LOUDEST)}
    own = next(row for row in changed if row["own"])
    louder = [row for row in changed if row["damping"] == own["damping"] and row["noise"] > own["noise"]]

    def gain(method: str) -> list[float]:
        pairs = zip(at(found, method, TOP, 1), at(found, method, TOP, most), strict=True)
        return [many - one for one, many in pairs]

    best = max(louder, key=lambda row: row[TOP])
    reached = max(louder, key=lambda row: row[ORACLE])
    return [
        Statement(
            "of the fixed ones, β = 0.01 is best",
            "86.4, 85.9, 86.3",
            ", ".join(f"{value:.1f}" for value in quiet.values()),
            quiet[EQR.label] == max(quiet.values()),
        ),
        rises(
            "learned noise beats β = 0.01, one restart",
            "86.4 → 87.1",
            by_seed(found, EQR.label, "exact"),
            by_seed(found, LEARNED.label, "exact"),
        ),
        rises(
            f"restarts (1 to {most}) gain less with learned noise",
            "Tab. 13",
            gain(EQR.label),
            gain(LEARNED.label),
            falls=True,
        ),
        Statement(
            f"β turned up when run reaches more right answers (any of {size.few})",
            "Sec. 5.2",
            f"{own[ORACLE]:.1f} → {reached[ORACLE]:.1f} at β = {reached['noise']:g}",
            reached[ORACLE] > own[ORACLE],
        ),
        Statement(
            f"β turned up when run helps Top-1 of {size.few}",
            "Sec. 5.2",
            f"{own[TOP]:.1f} → {best[TOP]:.1f} at β = {best['noise']:g}",
            best[TOP] > own[TOP],
        ),
    ]


def draw(found: Sequence[Row], changed: Sequence[Row], path: Path) -> None:
    """Accuracy over restarts, fixed and learned noise; and over β when one reasoner is run."""
    with picture(path, 2, width=7.0, height=2.4) as (_, (many, test)):
        counts = [point["restarts"] for point in found[0]["breadth"]]
        for place, cell in enumerate((EQR, LEARNED)):
            many.plot(
                counts,
                [fmean(at(found, cell.label, TOP, count)) for count in counts],
                LINES[place],
                color=COLOURS[place],
                marker=MARKERS[place],
                label=NAMES.get(cell.label, cell.label),
            )
        many.set_xscale("log", base=2)
        many.get_xaxis().set_major_formatter("{x:.0f}")
        many.set_xlabel("restarts B")
        many.set_ylabel("Top-1 accuracy (%)")
        own = next(row for row in changed if row["own"])
        louder = [row for row in changed if row["damping"] == own["damping"]]
        names = {"average": "one restart", TOP: "Top-1", ORACLE: "any right"}
        for place, (key, name) in enumerate(names.items()):
            test.plot(
                [row["noise"] for row in louder],
                [row[key] for row in louder],
                LINES[place],
                color=COLOURS[place],
                marker=MARKERS[place],
                label=name,
            )
        test.axvline(own["noise"], color="0.5", linewidth=0.8, linestyle=":")
        test.set_xscale("symlog", linthresh=0.01)
        test.set_xticks(BETAS, [f"{beta:g}" for beta in BETAS])
        test.set_xlim(-0.003, 0.28)
        test.set_xlabel("β when EqR is run (dotted: trained)")
        test.set_ylabel("exact accuracy (%)")
        for axes in (many, test):
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, columnspacing=1)


REPRODUCTION = Reproduction(
    name="path-noise",
    what="EqR Tab. 12, 13, Sec. 5.2: path noise, fixed, learned, and turned up when run",
    scales=COSTS,
    run=run,
    seeds=1,
)
