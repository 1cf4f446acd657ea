"""EqR Tab. 5: what halting and a queue save, budget by budget; and what adaptive restarts save beyond that.

The same problems are run at fixed depth and with the learned halting head. The paper's head stops where it
gives an answer more than even odds (a logit above 0). Beside it stand the reasoner's own, stricter rule, and
restarts that begin only where none before was ended by that rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from equilibria.diagnostics.drawing import COLOURS, MARKERS, picture
from equilibria.diagnostics.evaluation import correct
from equilibria.diagnostics.metrics import exactly_right, interval
from equilibria.dynamics.halting import FixedDepth, Halting, LearnedHead
from equilibria.inference.budget import Budget
from equilibria.inference.engine import Engine
from equilibria.inference.pool import Pool
from equilibria.inference.restarts import UntilSettled
from equilibria.inference.selection import most_converged
from equilibria.loading import load
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet
from equilibria.runs import evaluation_problems
from equilibria.tasks import Problems

PUBLISHED = {  # (D, B): accuracy and NFE at fixed depth, then with ACT, on Sudoku-Lite
    (16, 1): (84.3, 16.0, 84.0, 5.4),
    (64, 1): (90.9, 64.0, 90.1, 10.9),
    (256, 1): (94.6, 256.0, 93.7, 23.8),
    (1024, 1): (96.1, 1024.0, 95.3, 58.7),
    (64, 128): (97.9, 8192.0, 97.4, 1400.6),
}
FIXED, ACT, OWN, ADAPTIVE = ORDER = ("fixed", "ACT", "ACT, strict", "adaptive")


@dataclass(frozen=True)
class Part:
    """Budgets that one pass answers: they share the problems and their trajectories.

    Attributes:
        depths: D.
        breadths: B; the greatest is run, of the smaller ones the first restarts are taken.
        problems: the first so many.
    """

    depths: tuple[int, ...]
    breadths: tuple[int, ...]
    problems: int


SCALES = {
    "cpu": ("sudoku-9x9", (Part((16, 64), (1, 16), 64), Part((256, 1024), (1,), 32))),
    "paper": ("sudoku-9x9", (Part((16, 64, 256, 1024), (1,), 1024), Part((64,), (128,), 1024))),
}
COSTS = {
    "cpu": "about 5 minutes on 2 cores: 64 problems at (16, 1), (64, 1) and (64, 16), 32 at (256, 1) and "
    "(1024, 1)",
    "paper": "1,024 problems at the paper's budgets, 9.5 million iterations: hours on a CPU",
}


def rows_of(engine: Engine, problems: Problems, part: Part, own: Halting, seed: int) -> list[Row]:
    """All budgets of a part under every rule; `own` is the reasoner's."""
    assert problems.labels is not None
    rows: list[Row] = []
    rules: dict[str, Halting] = {FIXED: FixedDepth(), ACT: LearnedHead(), OWN: own}
    for name, rule in rules.items():
        pools = engine.pools(
            problems.inputs, depths=part.depths, breadth=part.breadths[-1], halting=rule, seed=seed
        )
        for depth, pool in zip(part.depths, pools, strict=True):
            for breadth in part.breadths:
                few = pool.restarts(breadth)
                right = chosen(few, problems.labels)
                rows.append(row(depth, breadth, name, right, few.evaluations.sum(dim=1)))
    for depth in part.depths:
        for breadth in part.breadths:
            if breadth > 1:
                budget = Budget(depth, breadth, own, UntilSettled())
                outcomes = sorted(engine.solve(problems.inputs, budget, seed=seed), key=lambda o: o.index)
                wanted = [problems.labels[o.index] for o in outcomes]
                right = [bool(exactly_right(o.tokens, w)) for o, w in zip(outcomes, wanted, strict=True)]
                rows.append(row(depth, breadth, ADAPTIVE, right, [o.nfe for o in outcomes]))
    return rows


def chosen(pool: Pool, labels: Tensor) -> list[bool]:
    """Whether the most converged restart of each problem is right (EqR Eq. 20)."""
    return correct(pool, labels).gather(1, most_converged(pool)[:, None]).squeeze(1).tolist()


def row(depth: int, breadth: int, rule: str, right: Sequence[bool], nfe: Any) -> Row:
    """A budget under a rule, and what the paper has for it."""
    count = len(right)
    accuracy = sum(right) / count
    low, high = interval(accuracy, count)
    known = PUBLISHED.get((depth, breadth), (None,) * 4)
    published = {FIXED: known[:2], ACT: known[2:]}.get(rule, (None, None))
    return {
        "depth": depth,
        "breadth": breadth,
        "rule": rule,
        "problems": count,
        "accuracy": 100 * accuracy,
        "ci95_low": 100 * low,
        "ci95_high": 100 * high,
        "half": 50 * (high - low),
        "nfe": sum(map(float, nfe)) / count,
        "saved": None,
        "published_accuracy": published[0],
        "published_nfe": published[1],
    }


def run(setup: Setup) -> Findings:
    """Run every part and set the rules beside each other."""
    name, parts = SCALES[setup.scale]
    pipeline = load(name, "cpu" if setup.device == "auto" else setup.device, setup.overrides)
    rows: list[Row] = []
    for part in parts:
        problems = evaluation_problems(pipeline, None, part.problems)
        setup.say(f"depths {part.depths}, breadths {part.breadths}: {len(problems)} problems")
        rows += rows_of(pipeline.engine, problems, part, pipeline.halting("recipe"), setup.seeds - 1)
    fixed = {(r["depth"], r["breadth"]): r["nfe"] for r in rows if r["rule"] == FIXED}
    table = [r | {"saved": fixed[r["depth"], r["breadth"]] / r["nfe"]} for r in rows]
    table.sort(key=lambda r: (r["breadth"], r["depth"], ORDER.index(r["rule"])))
    columns = {
        "(D, B)": "({depth}, {breadth})",
        "stops": "{rule}",
        "problems": "{problems}",
        "exact %": "{accuracy:.1f} ±{half:.1f}",
        "NFE": "{nfe:.1f}",
        "fewer": "{saved:.1f}×",
        "paper %": "{published_accuracy:.1f}",
        "paper NFE": "{published_nfe:.1f}",
    }
    drawing = setup.out / "act.png"
    draw(table, drawing)
    title = f"{pipeline.name}; of several restarts the most converged answers; paper: Sudoku-Lite"
    return Findings(
        [Sheet("act", title, table, columns)],
        notes(table),
        [drawing],
        {"reasoner": name, "recipe": pipeline.recipe.model_dump(mode="json")},
    )


def notes(table: Sequence[Row]) -> list[str]:
    """What the table shows, in its own numbers."""
    largest = max(table, key=lambda r: (r["depth"] * r["breadth"], r["breadth"]))
    cell = (largest["depth"], largest["breadth"])
    same = {r["rule"]: r for r in table if (r["depth"], r["breadth"]) == cell}
    told = "; ".join(
        f"{rule}: {r['accuracy']:.1f}% at {r['nfe']:.1f} NFE ({r['saved']:.1f}× fewer)"
        for rule, r in same.items()
    )
    return [
        f"At {cell}: {told}.",
        "Published at (64, 128): 97.9% at 8192.0 NFE, with ACT 97.4% at 1400.6 (5.8× fewer); the paper's "
        "model and data are others, so only the savings can be compared.",
    ]


def draw(table: Sequence[Row], path: Path) -> None:
    """Accuracy over evaluations (EqR Fig. 7)."""
    with picture(path) as (_, axes):
        for place, rule in enumerate(ORDER):
            found = sorted((r["nfe"], r["accuracy"]) for r in table if r["rule"] == rule)
            axes.plot(
                [nfe for nfe, _ in found],
                [accuracy for _, accuracy in found],
                MARKERS[place],
                color=COLOURS[place],
                label=rule,
            )
        axes.set_xscale("log")
        axes.set_xlabel("NFE a problem")
        axes.set_ylabel("exact accuracy, %")
        axes.legend()


REPRODUCTION = Reproduction("act", "EqR Tab. 5: adaptive computation at inference", COSTS, run, seeds=1)
