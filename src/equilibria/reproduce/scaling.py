"""EqR Tab. 4, Fig. 1, 3 and 7: what depth and breadth at test time buy, and what they cost.

Reasoners trained at one depth are run to many times that depth, from one state and from many. Where
accuracy rises as the residual falls, running on is solving; where it costs fewer evaluations than the
baseline takes to the same accuracy, shaping pays.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import comb
from statistics import fmean

import torch

from equilibria.diagnostics.breadth import expected_accuracy
from equilibria.diagnostics.efficiency import matched_accuracy
from equilibria.diagnostics.ranks import rank_correlation
from equilibria.reproduce.cells import EQR, TRM, Trial, described, measured, trials
from equilibria.reproduce.mazes import mean
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet
from equilibria.reproduce.runs import CachedRun
from equilibria.reproduce.scaling_pictures import (
    ACT,
    BASELINE,
    FIXED,
    curve,
    draw_efficiency,
    draw_grid,
    draw_residual,
)
from equilibria.reproduce.statements import Statement, rises, sheet, told
from equilibria.reproduce.tries import Ask, percent, tries

DEEP = 4  # times the depth of training, where breadth is added
FEWER = {FIXED: 3.76, ACT: 11.34}  # evaluations at matched accuracy, Fig. 7


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        single: problems that are tried once, to `far` times the depth of training.
        far: how many times, a power of two.
        problems: of them, those tried from many states, to `DEEP` times the depth of training.
        breadth: how many states.
    """

    single: int
    far: int
    problems: int
    breadth: int


SIZES = {"cpu": Size(256, 16, 128, 16), "paper": Size(2048, 64, 2048, 128)}
COSTS = {
    "cpu": "6 runs (TRM and EqR, 3 seeds; `shaping` has the same) of 700 steps on 6×6 Sudoku: 2 minutes each "
    "on one core, and 2 to try each at 256 problems to depth 256 and at 128 from 16 states to depth 64",
    "paper": "6 runs of 50,000 steps on Sudoku-Extreme; 2,048 problems to depth 1,024, and from 128 states "
    "to depth 64: hours on one GPU",
}


def doublings(most: int, *others: int) -> tuple[int, ...]:
    """1, 2, 4, … up to `most`, with `most` itself and `others`."""
    return tuple(sorted({2**power for power in range(most.bit_length())} | {most, *others}))


def scores(trial: Trial, run: CachedRun, size: Size, device: str) -> dict[str, list[Row]]:
    """One run: single trajectories at every depth, with and without halting; EqR also from many states."""
    about = {"method": trial.cell.label, "seed": trial.seed}
    depths = doublings(size.far * trial.depth, DEEP * trial.depth, trial.depth)
    shaped, cells = trial.cell == EQR, list[Row]()
    rows = along(run, Ask(size.single, depths), FIXED if shaped else BASELINE, device)
    if shaped:
        rows += along(run, Ask(size.single, depths, halting="learned"), ACT, device)
        cells = grid(run, trial.depth, size, device)
    return {"depths": [about | row for row in rows], "grid": [about | row for row in cells]}


def along(run: CachedRun, ask: Ask, name: str, device: str) -> list[Row]:
    """A row for each depth of single trajectories."""
    return [
        {
            "curve": name,
            "depth": depth,
            "problems": ask.problems,
            "nfe": tried.pool.evaluations.double().mean().item(),
            "accuracy": percent(tried),
            "residual": tried.pool.residual.mean().item(),
        }
        for depth, tried in tries(run, ask, device).items()
    ]


def grid(run: CachedRun, trained: int, size: Size, device: str) -> list[Row]:
    """Every depth with every breadth: one restart by chance, and the most converged (EqR Fig. 3)."""
    ask = Ask(size.problems, doublings(DEEP * trained, trained), size.breadth, drawn=True)
    rows: list[Row] = []
    for depth, tried in tries(run, ask, device).items():
        for breadth in doublings(size.breadth):
            top = expected_accuracy(tried.pool, tried.right, "convergence", breadth).mean().item()
            rows.append(
                {
                    "depth": depth,
                    "breadth": breadth,
                    "average": percent(tried),
                    "accuracy": 100 * top,
                    "majority": 100
                    * expected_accuracy(tried.pool, tried.right, "majority", breadth).mean().item(),
                    "error": 100 - 100 * top,
                    "residual": least_of(tried.pool.residual, breadth),
                }
            )
    return rows


def least_of(residual: torch.Tensor, count: int) -> float:
    """The mean over problems of the least residual that `count` of the restarts are expected to have.

    `residual [problems, restarts]`. The i-th least of N (from 0) is the least of C(N − 1 − i, count − 1) of
    C(N, count) subsets.
    """
    ascending = residual.double().sort(dim=1).values
    many = residual.shape[1]
    ways = [comb(many - 1 - place, count - 1) / comb(many, count) for place in range(many)]
    return (ascending * torch.tensor(ways, dtype=torch.float64)).sum(dim=1).mean().item()


def run(setup: Setup) -> Findings:
    """Train, run deep and broad, and check what the paper says of either."""
    size = SIZES[setup.scale]
    todo = trials((TRM, EQR), setup)
    done = measured(todo, partial(scores, size=size, device=setup.device), setup, tell)
    depths = [row for _, found in done for row in found["depths"]]
    cells = [row for _, found in done for row in found["grid"]]
    trained = todo[0].depth
    curves, heat = over_seeds(depths, ("curve", "depth")), over_seeds(cells, ("depth", "breadth"))
    said = statements(depths, cells, curves, trained, size)
    names = ("scaling-residual", "scaling-grid", "scaling-efficiency")
    drawings = [setup.out / f"{name}.png" for name in names]
    draw_residual(curves, heat, trained, drawings[0])
    draw_grid(heat, drawings[1])
    draw_efficiency(curves, trained, drawings[2])
    sheets = [
        strategies(depths, cells, trained, size),
        sheet(said),
        efficiency(curves),
        Sheet("depths", "accuracy and residual over depth, means over seeds", curves, {}),
        Sheet("grid", "depth and breadth of EqR, means over seeds", heat, {}),
        Sheet("runs-depths", "every run over depth", depths, {}),
        Sheet("runs-grid", "every run over depth and breadth", cells, {}),
    ]
    return Findings(
        sheets, [told(said)], drawings, {"size": asdict(size), "recipes (first seed)": described(todo)}
    )


def tell(found: dict[str, list[Row]]) -> str:
    """A run in a few words."""
    first = found["depths"][0]["curve"]
    rows = [row for row in found["depths"] if row["curve"] == first]
    return ", ".join(f"{row['accuracy']:.1f}% at {row['depth']}" for row in rows[4::2])


def over_seeds(rows: Sequence[Row], keys: Sequence[str]) -> list[Row]:
    """Means of what differs from seed to seed, a row for each combination of `keys` as they first come."""
    together: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        together.setdefault(tuple(row[key] for key in keys), []).append(row)
    varied = [key for key in rows[0] if key not in (*keys, "method", "seed")]
    return [
        dict(zip(keys, values, strict=True))
        | {key: fmean(row[key] for row in group) for key in varied}
        | {"seeds": len(group)}
        for values, group in together.items()
    ]


def of(rows: Sequence[Row], key: str, **wanted: object) -> list[float]:
    """A number of all rows that are as wanted, by seed."""
    return [row[key] for row in rows if wanted.items() <= row.items()]


def strategies(depths: Sequence[Row], cells: Sequence[Row], trained: int, size: Size) -> Sheet:
    """EqR Tab. 4."""
    deep, broad = DEEP * trained, size.breadth

    def row(name: str, depth: int, breadth: int, values: Sequence[float], published: float | None) -> Row:
        return {
            "strategy": name,
            "depth": depth,
            "breadth": breadth,
            "accuracy": fmean(values),
            "spread": (max(values) - min(values)) / 2,
            "published": published,
        }

    found = [
        row("EqR", trained, 1, of(depths, "accuracy", curve=FIXED, depth=trained), 86.4),
        row("+ depth", deep, 1, of(depths, "accuracy", curve=FIXED, depth=deep), 93.0),
        row(
            "+ more depth",
            size.far * trained,
            1,
            of(depths, "accuracy", curve=FIXED, depth=size.far * trained),
            None,
        ),
    ]
    for name, key in (("of many, one by chance", "average"), ("majority", "majority"), ("Top-1", "accuracy")):
        published = 99.8 if key == "accuracy" else None
        found.append(
            row(f"+ breadth: {name}", deep, broad, of(cells, key, depth=deep, breadth=broad), published)
        )
    columns = {
        "test-time strategy": "{strategy}",
        "D": "{depth}",
        "B": "{breadth}",
        "exact %": "{accuracy:.1f} ±{spread:.1f}",
        "paper": "{published:.1f}",
    }
    title = (
        f"EqR Tab. 4: trained at depth {trained}; B = 1: {size.single:,} problems, B = {broad}: "
        f"{size.problems:,} of them; ± half the range of the seeds; the paper's last row has B = 128"
    )
    return Sheet("scaling", title, found, columns)


def efficiency(curves: Sequence[Row]) -> Sheet:
    """EqR Fig. 7 as a table: at the best accuracy that all three reach."""
    target = min(max(accuracy for _, accuracy in curve(curves, name)) for name in (BASELINE, FIXED, ACT))
    baseline = curve(curves, BASELINE)
    rows: list[Row] = []
    for name in (BASELINE, FIXED, ACT):
        matched = matched_accuracy(baseline, curve(curves, name), target)
        rows.append(
            {
                "method": name,
                "target": target,
                "nfe": matched.other_nfe,
                "fewer": matched.ratio,
                "published": FEWER.get(name),
            }
        )
    columns = {
        "method": "{method}",
        "at %": "{target:.1f}",
        "NFE": "{nfe:.1f}",
        "times fewer": "{fewer:.2f}",
        "paper": "{published:.2f}",
    }
    return Sheet("efficiency", "EqR Fig. 7: evaluations to the best accuracy that all reach", rows, columns)


def statements(
    depths: Sequence[Row], cells: Sequence[Row], curves: Sequence[Row], trained: int, size: Size
) -> list[Statement]:
    """What the paper says of test-time compute, in our numbers."""
    deep, far, broad = DEEP * trained, size.far * trained, size.breadth

    def single(name: str, depth: int) -> list[float]:
        return of(depths, "accuracy", curve=name, depth=depth)

    def gain(depth: int) -> list[float]:
        pairs = zip(
            of(cells, "average", depth=depth, breadth=broad),
            of(cells, "accuracy", depth=depth, breadth=broad),
            strict=True,
        )
        return [top - average for average, top in pairs]

    shallow = min(2, trained)
    tied = [
        rank_correlation(
            torch.tensor(of(cells, "residual", seed=seed)), torch.tensor(of(cells, "error", seed=seed))
        )
        for seed in dict.fromkeys(row["seed"] for row in cells)
    ]
    coupled = mean(tied)
    costs = {row["method"]: row for row in efficiency(curves).rows}
    return [
        rises("depth helps EqR (4 times)", "86.4 → 93.0", single(FIXED, trained), single(FIXED, deep)),
        rises(f"and on ({size.far} times)", "Fig. 1", single(FIXED, deep), single(FIXED, far)),
        rises("depth helps TRM (4 times)", "Fig. 7", single(BASELINE, trained), single(BASELINE, deep)),
        rises(
            f"at {deep}, breadth helps (Top-1 of {broad})",
            "93.0 → 99.8",
            of(cells, "average", depth=deep, breadth=broad),
            of(cells, "accuracy", depth=deep, breadth=broad),
        ),
        rises(
            f"breadth gains more at {deep} than at {shallow} iterations", "Fig. 3", gain(shallow), gain(deep)
        ),
        Statement(
            "a lower residual goes with a lower error over the grid (ρ > 0)",
            "Fig. 3",
            "no spread" if coupled is None else f"{coupled:.2f}",
            coupled is not None and coupled > 0,
        ),
        Statement(
            "EqR needs fewer evaluations than TRM for the same accuracy",
            "3.76× fewer",
            f"{costs[FIXED]['fewer']:.2f}× at {costs[FIXED]['target']:.1f}%",
            costs[FIXED]["fewer"] > 1,
        ),
        Statement(
            "halting makes them fewer again",
            "11.34× fewer",
            f"{costs[ACT]['fewer']:.2f}×",
            costs[ACT]["fewer"] > costs[FIXED]["fewer"],
        ),
    ]


REPRODUCTION = Reproduction(
    name="scaling",
    what="EqR Tab. 4, Fig. 1, 3, 7: depth and breadth at test time, and their cost",
    scales=COSTS,
    run=run,
    seeds=3,
)
