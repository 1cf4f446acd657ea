"""EqR Tab. 3, 11, Fig. 8 and App. A.6: what random initial states (RI) and path noise (NI) do.

Four cells, with and without either, learn from the same puzzles for equally many steps. Each is tried at
the depth and breadth of training from where it starts itself; then from many random states, as the
published evaluator does for every method, which shows what another start changes, how far the residual
tells right from wrong, and what choosing among restarts is worth. Two cells have two more seeds, to see how
far seeds alone spread.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import fmean

from equilibria.diagnostics.breadth import curves, expected_accuracy
from equilibria.diagnostics.coupling import coupling
from equilibria.diagnostics.stability import path_independence_at
from equilibria.reproduce.cells import CELLS, EQR, TRM, WITH_RI, Trial, by_seed, described, measured, trials
from equilibria.reproduce.mazes import mean
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet
from equilibria.reproduce.runs import CachedRun
from equilibria.reproduce.shaping_pictures import LOGITS, RULES, at, draw_breadth, draw_coupling
from equilibria.reproduce.statements import Statement, rises, sheet, spread, told
from equilibria.reproduce.tries import Ask, percent, tries

PUBLISHED = {  # exact accuracy at (16, 1) of Tab. 3; Δ_PI(128) of Tab. 11; both percent, Sudoku
    TRM.label: (84.8, 3.58),
    WITH_RI.label: (86.0, 0.10),
    EQR.label: (86.4, 0.13),
}
STABILITY = {TRM.label: (84.33, 0.59, 83.59, 85.07), EQR.label: (86.18, 0.44, 85.63, 86.72)}  # App. A.6
MORE_SEEDS = 2  # of TRM and EqR alone


@dataclass(frozen=True)
class Size:
    """How much is run of each reasoner.

    Attributes:
        single: problems that are tried once.
        problems: of them, those tried from many random states.
        breadth: that many.
    """

    single: int
    problems: int
    breadth: int

    @property
    def counts(self) -> list[int]:
        """Numbers of restarts that are looked at."""
        return [2**power for power in range(self.breadth.bit_length())]


SIZES = {"cpu": Size(1000, 128, 32), "paper": Size(2048, 2048, 128)}
COSTS = {
    "cpu": "16 runs (4 cells, 3 seeds, and 2 more of TRM and EqR) of 700 steps on 6×6 Sudoku: 2 minutes each "
    "on one core, and about 1 to try each at 1,000 problems once and at 128 from 32 states",
    "paper": "16 runs of 50,000 steps on Sudoku-Extreme; 2,048 problems from 128 states: hours on one GPU",
}


def scores(trial: Trial, run: CachedRun, size: Size, device: str, restarts: bool) -> Row:
    """One run: its accuracy as it starts itself, and, if asked, what it does from many random states.

    Lists in the row are for sheets of their own: `breadth` and `bins`.
    """
    depth = trial.depth
    own = tries(run, Ask(size.single, (depth,)), device)[depth]
    row: Row = {
        "method": trial.cell.label,
        "seed": trial.seed,
        "folder": run.folder.name,
        "depth": depth,
        "exact": percent(own),
    }
    if not restarts:
        return row
    many = tries(run, Ask(size.problems, (depth,), size.breadth, drawn=True), device)[depth]
    coupled = coupling(many.pool.residual, many.right)
    by_logits = replace(many.pool, residual=many.pool.logit_change)
    by_rule = curves(many.pool, many.right, size.counts) | {
        LOGITS: [
            expected_accuracy(by_logits, many.right, "convergence", count).mean().item()
            for count in size.counts
        ]
    }
    same = about_noise_alone(trial, run, size, device)
    return row | {
        "own": 100 * own.right[: size.problems].double().mean().item(),
        "drawn": percent(many),
        "path_independence": 100 * path_independence_at(many.right, size.breadth),
        "path_independence_own": same,
        "auroc": coupled.auroc,
        "auroc_logits": coupling(by_logits.residual, many.right).auroc,
        "rank_correlation": coupled.rank_correlation,
        "most_settled": coupled.bins[0].mean_residual,
        "residual": many.pool.residual.mean().item(),
        "breadth": [
            {"rule": rule, "restarts": count, "accuracy": 100 * value}
            for rule, values in by_rule.items()
            for count, value in zip(size.counts, values, strict=True)
        ],
        "bins": [asdict(found) for found in coupled.bins],
    }


def about_noise_alone(trial: Trial, run: CachedRun, size: Size, device: str) -> float | None:
    """Δ_PI, percent, of restarts from the reasoner's own fixed state, which differ in their path noise alone.

    None where they would be the same as from random states, or all alike.
    """
    reasoner = trial.recipe.reasoner.model_dump()
    if reasoner["initial"] == "gaussian" or not reasoner["noise"]:
        return None
    found = tries(run, Ask(size.problems, (trial.depth,), size.breadth), device)[trial.depth]
    return 100 * path_independence_at(found.right, size.breadth)


def run(setup: Setup) -> Findings:
    """Train and try the cells, and check what the paper says of them."""
    size = SIZES[setup.scale]
    measure = partial(scores, size=size, device=setup.device)
    full = measured(trials(CELLS, setup), partial(measure, restarts=True), setup, tell)
    more = trials((TRM, EQR), setup, range(setup.seeds, setup.seeds + MORE_SEEDS))
    rest = measured(more, partial(measure, restarts=False), setup, tell)
    found = [row for _, row in full]
    everything = [*found, *(row for _, row in rest)]
    rows = [summary(cell.label, found, size) for cell in CELLS]
    steady = stability(everything)
    said = statements(found, everything, size)
    drawings = [setup.out / "shaping-breadth.png", setup.out / "shaping-coupling.png"]
    draw_breadth(found, drawings[0])
    draw_coupling(found, drawings[1])
    sheets = [
        table(rows, full[0][0], setup.seeds, size),
        sheet(said),
        stability_sheet(steady),
        Sheet("breadth", "accuracy over restarts", nested(found, "breadth"), {}),
        Sheet("coupling", "right answers by residual", nested(found, "bins"), {}),
        Sheet("runs", "every run", [flat(row) for row in everything], {}),
    ]
    return Findings(
        sheets,
        [told(said), own_starts(rows, size), floor(rows)],
        drawings,
        {"size": asdict(size), "recipes (first seed)": described([trial for trial, _ in full])},
    )


def tell(row: Row) -> str:
    """A run in a few words."""
    text = f"{row['exact']:.1f}% at ({row['depth']}, 1)"
    return text + (f", {row['drawn']:.1f}% from random states" if "drawn" in row else "")


def flat(row: Row) -> Row:
    """Without its lists."""
    return {key: value for key, value in row.items() if not isinstance(value, list)}


def nested(found: Sequence[Row], key: str) -> list[Row]:
    """The rows that runs have in a list, each with its run's name."""
    return [{"method": row["method"], "seed": row["seed"]} | inner for row in found for inner in row[key]]


def summary(method: str, found: Sequence[Row], size: Size) -> Row:
    """A row of the table: means over seeds."""
    exact = spread(by_seed(found, method, "exact"))
    published = PUBLISHED.get(method, (None, None))
    keys = ("own", "drawn", "path_independence", "path_independence_own", "auroc", "auroc_logits")
    keys += ("rank_correlation", "residual", "most_settled")
    means = {key: mean(by_seed(found, method, key)) for key in keys}
    rules = {rule: fmean(at(found, method, rule, size.counts[-1])) for rule in RULES if rule != "average"}
    return {
        "method": method,
        "seeds": exact.runs,
        "exact": exact.mean,
        "sd": None if exact.runs == 1 else exact.sd,
        **means,
        **rules,
        "published_exact": published[0],
        "published_path_independence": published[1],
    }


def table(rows: Sequence[Row], first: Trial, seeds: int, size: Size) -> Sheet:
    """The four cells."""
    training = first.recipe.training
    columns = {
        "method": "{method}",
        "exact %": "{exact:.1f}",
        "sd": "{sd:.1f}",
        "paper": "{published_exact:.1f}",
        "own start": "{own:.1f}",
        "random": "{drawn:.1f}",
        "ΔPI %": "{path_independence:.2f}",
        "paper ΔPI": "{published_path_independence:.2f}",
        "AUROC": "{auroc:.3f}",
        "logits": "{auroc_logits:.3f}",
        "majority": "{majority:.1f}",
        "Top-1": "{convergence:.1f}",
        "by logits": "{logits:.1f}",
    }
    title = (
        f"EqR Tab. 3, 11: {training.steps:,} steps of {training.batch}, depth {first.depth}; mean and sd of "
        f"{seeds} seed{'s' if seeds > 1 else ''}; exact: {size.single:,} problems tried once; from there on "
        f"{size.problems:,} problems, once from the own start and {size.breadth} times from random states"
    )
    return Sheet("shaping", title, rows, columns)


def stability(found: Sequence[Row]) -> list[Row]:
    """How far seeds spread (EqR App. A.6)."""
    rows: list[Row] = []
    for method, (average, sd, low, high) in STABILITY.items():
        seeds = spread(by_seed(found, method, "exact"))
        ours = {"seeds": seeds.runs, "mean": seeds.mean, "sd": seeds.sd, "low": seeds.low, "high": seeds.high}
        paper = {"published": average, "published_sd": sd, "published_low": low, "published_high": high}
        rows.append({"method": method} | ours | paper)
    return rows


def stability_sheet(rows: Sequence[Row]) -> Sheet:
    """The same as a table."""
    columns = {
        "method": "{method}",
        "seeds": "{seeds}",
        "exact %": "{mean:.2f} ±{sd:.2f}",
        "95%": "[{low:.2f}, {high:.2f}]",
        "paper, 5 seeds": "{published:.2f} ±{published_sd:.2f}",
        "paper 95%": "[{published_low:.2f}, {published_high:.2f}]",
    }
    return Sheet("stability", "EqR App. A.6: mean ± sd over seeds, t interval of the mean", rows, columns)


def statements(found: Sequence[Row], everything: Sequence[Row], size: Size) -> list[Statement]:
    """What the paper says of the cells, in our numbers: `found` has restarts, `everything` more seeds."""
    most = size.counts[-1]
    trm, ri, eqr = TRM.label, WITH_RI.label, EQR.label

    def best(method: str) -> list[float]:
        return [max(pair) for pair in zip(*(at(found, method, rule, most) for rule in RULES), strict=True)]

    wide = {method: spread(by_seed(everything, method, "exact")) for method in (trm, eqr)}
    return [
        rises("RI raises accuracy", "84.8 → 86.0", by_seed(found, trm, "exact"), by_seed(found, ri, "exact")),
        rises(
            "NI on top of RI raises it further",
            "86.0 → 86.4",
            by_seed(found, ri, "exact"),
            by_seed(found, eqr, "exact"),
        ),
        rises(
            f"EqR is above TRM over {wide[eqr].runs} seeds",
            "84.33 → 86.18",
            by_seed(everything, trm, "exact"),
            by_seed(everything, eqr, "exact"),
        ),
        Statement(
            "seeds of EqR spread less than those of TRM (sd)",
            "0.59 → 0.44",
            f"{wide[trm].sd:.2f} → {wide[eqr].sd:.2f}",
            wide[eqr].sd < wide[trm].sd,
        ),
        rises(
            f"RI lowers ΔPI({most})",
            "3.58 → 0.10",
            by_seed(found, trm, "path_independence"),
            by_seed(found, ri, "path_independence"),
            ".2f",
            falls=True,
        ),
        rises(
            f"RI + NI lowers ΔPI({most})",
            "3.58 → 0.13",
            by_seed(found, trm, "path_independence"),
            by_seed(found, eqr, "path_independence"),
            ".2f",
            falls=True,
        ),
        rises(
            "RI + NI couples residual and error (AUROC)",
            "Fig. 1, 3",
            by_seed(found, trm, "auroc"),
            by_seed(found, eqr, "auroc"),
            ".3f",
        ),
        rises(
            "RI + NI couples change of logits and error (AUROC)",
            "Fig. 1, 3",
            by_seed(found, trm, "auroc_logits"),
            by_seed(found, eqr, "auroc_logits"),
            ".3f",
        ),
        rises(
            f"TRM: Top-1 of {most} is below the majority",
            "Fig. 8",
            at(found, trm, "majority", most),
            at(found, trm, "convergence", most),
            falls=True,
        ),
        rises(
            f"+ RI: Top-1 of {most} is above the majority",
            "Fig. 8",
            at(found, ri, "majority", most),
            at(found, ri, "convergence", most),
        ),
        rises(
            f"EqR: Top-1 of {most} is above the majority",
            "Fig. 8",
            at(found, eqr, "majority", most),
            at(found, eqr, "convergence", most),
        ),
        rises(f"EqR's best rule is above TRM's, of {most}", "Fig. 8", best(trm), best(eqr)),
    ]


def own_starts(rows: Sequence[Row], size: Size) -> str:
    """What it changes to start a reasoner elsewhere than where it learned to."""
    parts = [
        f"{row['method']} {row['own']:.1f}% from its own state, {row['drawn']:.1f}% from random ones"
        + (
            ""
            if row["path_independence_own"] is None
            else f" (ΔPI {row['path_independence_own']:.2f}% by path noise alone, "
            f"{row['path_independence']:.2f}% from random states)"
        )
        for row in rows
    ]
    return f"The same {size.problems:,} problems: {'; '.join(parts)}."


def floor(rows: Sequence[Row]) -> str:
    """How far path noise hides how settled a state is."""
    parts = ", ".join(f"{row['method']} {row['most_settled']:.2g}" for row in rows)
    return (
        f"Mean residual of the most settled tenth of the restarts: {parts}. Path noise goes on at inference, "
        "as published, and no residual falls below it: there the order of residuals is partly chance."
    )


REPRODUCTION = Reproduction(
    name="shaping",
    what="EqR Tab. 3, 11, Fig. 8, App. A.6: RI and NI: accuracy, path independence, choice among restarts",
    scales=COSTS,
    run=run,
    seeds=3,
)
