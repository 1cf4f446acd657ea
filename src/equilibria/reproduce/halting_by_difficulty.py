"""FPRM Fig. 1 and its figure of adaptivity on Sudoku: where halting stops easy and hard puzzles (Sec. 4.3).

FPRM halts where its state rests, TRM runs its full depth or stops by its halting head (ACT, switched on at
inference). Both are run to one budget of block applications without halting, and it is looked at afterwards
where each rule would have stopped: every puzzle on its own, and, as in Fig. 1, a group of puzzles as a whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from equilibria.diagnostics.adaptivity import rank_correlation
from equilibria.diagnostics.drawing import COLOURS, COLUMN, LINES, MARKERS, picture
from equilibria.diagnostics.metrics import interval
from equilibria.reproduce.boards import FPRM, TRM, Variant, beside, groups, precise, trials
from equilibria.reproduce.cells import Trial, described, measured
from equilibria.reproduce.following import Followed, first, follow
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet, half_range, mean
from equilibria.reproduce.runs import CachedRun
from equilibria.reproduce.statements import Statement, sheet, told

VARIANTS = (Variant("FPRM", FPRM), Variant("TRM", TRM))
FIXED, ACT = "TRM", "TRM + ACT"
MODELS = ("FPRM", FIXED, ACT)
GROUPS = ("easy", "medium", "hard")
REST = 0.1  # τ: a residual below it is rest, as published
BUDGET = {"cpu": 384, "paper": 10_000}  # block applications; FPRM Fig. 1: 10,000
PROBLEMS = {"cpu": 600, "paper": 3000}  # three groups of about 1,000, as published
PUBLISHED = (
    "Published as figures without numbers: halting spends more on harder puzzles in FPRM and in TRM with "
    "ACT; without ACT TRM spends the same on all; FPRM is more accurate than both at less compute."
)


@dataclass(frozen=True)
class Stop:
    """How a rule stops trajectories that were followed beyond it.

    Attributes:
        rests: `[iterations, problems]` bool: whether it would stop there.
        together: `[iterations]` bool of a group of problems: whether it would stop the group.
    """

    rests: Tensor
    together: Tensor

    @classmethod
    def of(cls, model: str, followed: Followed, trained: int) -> "Stop":
        """The rule of a line of the figure; `trained` iterations are TRM's full depth."""
        if model == "FPRM":
            return cls(followed.residual < REST, followed.residual.mean(dim=1) < REST)
        if model == ACT:
            signals = followed.halt_logit > 0.0  # a probability above one half
            return cls(signals, signals.double().mean(dim=1) > 0.5)
        full = torch.arange(1, len(followed.right) + 1) >= trained
        return cls(full[:, None].expand(followed.right.shape), full)


def halted(followed: Followed, rests: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of every problem `[problems]`: iterations until the rule stops it, or all; right there; if it did."""
    ever = rests.any(dim=0)
    last = torch.full_like(ever, len(rests) - 1, dtype=torch.int64)
    place = torch.where(ever, rests.int().argmax(dim=0), last)
    return place + 1, followed.right.gather(0, place[None])[0], ever


def rows_of(
    model: str, followed: Followed, where: Sequence[Tensor], empty: Tensor, layers: int, trained: int
) -> list[Row]:
    """A row a group: what puzzles get on their own, and where the group stops as a whole."""
    rows: list[Row] = []
    for name, members in zip(GROUPS, where, strict=False):
        own = followed.of(members)
        stop = Stop.of(model, own, trained)
        spent, right, ever = halted(own, stop.rests)
        share = right.double().mean().item()
        low, high = interval(share, len(members))
        decision = first(stop.together)
        at = own.right[(decision or len(own.right)) - 1].double().mean().item()
        rows.append(
            {
                "model": model,
                "group": name,
                "empty_low": empty[members].min().item(),
                "empty_high": empty[members].max().item(),
                "problems": len(members),
                "accuracy": 100 * share,
                "low": 100 * low,
                "high": 100 * high,
                "layers": spent.double().mean().item() * layers,
                "halted": 100 * ever.double().mean().item(),
                "group_layers": None if decision is None else decision * layers,
                "group_accuracy": 100 * at,
                "best_accuracy": max(own.accuracy()),
            }
        )
    return rows


def measure(trial: Trial, run: CachedRun, device: str, scale: str) -> Row:
    """Train, if that was not done; rows of the table, and curves of the figure."""
    precise()
    problems, trained = run.splits.held_out[: PROBLEMS[scale]], run.recipe.training.depth
    models = [model for model in MODELS if model.startswith(trial.cell.label)]
    asked = {"budget": BUDGET[scale], "problems": problems.fingerprint(), "groups": len(GROUPS), "rest": REST}

    def find() -> Row:
        pipeline, _ = run.trained(device)
        layers = pipeline.reasoner.equivalent_layers
        followed = follow(pipeline, problems, max(trained, BUDGET[scale] // layers))
        empty, where = groups(pipeline, problems, len(GROUPS))
        rows, follows = list[Row](), dict[str, float]()
        for model in models:
            rows += rows_of(model, followed, where, empty, layers, trained)
            spent, _, _ = halted(followed, Stop.of(model, followed, trained).rests)
            follows[model] = rank_correlation(empty, spent)
        curves = {name: followed.of(members).accuracy() for name, members in zip(GROUPS, where, strict=False)}
        return {
            "rows": rows,
            "follows": follows,
            "curves": curves,
            "layers": layers,
            "parameters": pipeline.reasoner.parameter_count(),
        }

    return run.once("halting-by-difficulty", asked, find)


def run(setup: Setup) -> Findings:
    """Train both, follow both, look where each rule stops."""
    todo = trials(VARIANTS, setup)
    work = partial(measure, device=setup.device, scale=setup.scale)
    done = measured(todo, work, setup, lambda found: f"{found['rows'][0]['accuracy']:.1f}% of the easy ones")
    every = [row for _, found in done for row in found["rows"]]
    present = [name for name in GROUPS if any(row["group"] == name for row in every)]
    table = [
        summary([row for row in every if (row["model"], row["group"]) == (model, name)])
        for model in MODELS
        for name in present
    ]
    follows = {
        model: [found["follows"][model] for _, found in done if model in found["follows"]] for model in MODELS
    }
    curves = [
        {
            "model": trial.cell.label,
            "group": name,
            "layers": (place + 1) * found["layers"],
            "accuracy": accuracy,
        }
        for trial, found in done
        if trial.seed == 0
        for name, values in found["curves"].items()
        for place, accuracy in enumerate(values)
    ]
    pictures = [setup.out / "halting-points.png", setup.out / "adaptivity.png"]
    draw_points(curves, table, present, pictures[0])
    draw_adaptivity(table, pictures[1])
    said = statements(table, follows)
    columns = {
        "model": "{model}",
        "group": "{group}",
        "empty": "{empty}",
        "puzzles": "{problems}",
        "exact %": "{accuracy:.1f} ±{spread:.1f}",
        "layers": "{layers:.0f}",
        "halted %": "{halted:.0f}",
        "group stops at": "{group_layers:.0f}",
        "with %": "{group_accuracy:.1f}",
        "best %": "{best_accuracy:.1f}",
    }
    title = (
        f"each puzzle stopped on its own, and the group as a whole; at most {BUDGET[setup.scale]:,} blocks a "
        f"puzzle; {setup.seeds_in_words}"
    )
    sheets = [
        Sheet("halting-by-difficulty", title, table, columns),
        sheet(said),
        Sheet("curves", "first seed", curves, {}),
    ]
    fprm = done[0][1]["parameters"]
    notes = [told(said), PUBLISHED, *beside(setup.scale, todo[0].recipe, fprm)]
    return Findings(sheets, notes, pictures, {"recipes (first seed)": described(todo)})


def summary(rows: Sequence[Row]) -> Row:
    """One model and group over the seeds; a group that does not always stop has no point."""
    kept = {key: rows[0][key] for key in ("model", "group", "empty_low", "empty_high", "problems")}
    numbers = ("accuracy", "low", "high", "layers", "halted", "group_accuracy", "best_accuracy")
    means = {key: mean(rows, key) for key in numbers}
    stops = all(row["group_layers"] is not None for row in rows)
    decision = mean(rows, "group_layers") if stops else None
    low, high = kept["empty_low"], kept["empty_high"]
    kept["empty"] = f"{low:.0f}" if low == high else f"{low:.0f}–{high:.0f}"
    return (
        kept | means | {"group_layers": decision, "spread": half_range(rows, "accuracy"), "seeds": len(rows)}
    )


def statements(table: Sequence[Row], follows: dict[str, list[float]]) -> list[Statement]:
    """What the paper says of halting and difficulty."""
    spent = {model: [row["layers"] for row in table if row["model"] == model] for model in MODELS}
    known = {model: sum(values) / len(values) for model, values in follows.items()}
    right = {model: _overall(table, model, "accuracy") for model in MODELS}
    cost = {model: _overall(table, model, "layers") for model in MODELS}
    found = [
        Statement(
            f"{model} spends more on harder puzzles",
            "layers rise with empty cells",
            f"{' → '.join(f'{value:.0f}' for value in spent[model])} layers, ρ = {known[model]:.2f}",
            all(less < more for less, more in pairwise(spent[model])),
        )
        for model in ("FPRM", ACT)
    ]
    stops = [row for row in table if row["model"] == "FPRM" and row["group_layers"] is not None]
    short = max((row["best_accuracy"] - row["group_accuracy"] for row in stops), default=float("nan"))
    return [
        *found,
        Statement(
            "FPRM's residual detects the plateau of accuracy",
            "accuracy stops rising about where the group halts",
            f"{short:.1f} points below the best at most" if stops else "no group halts within the budget",
            bool(stops) and short < 2.0,
        ),
        Statement(
            "FPRM is more accurate than TRM, with and without ACT",
            "at every difficulty",
            ", ".join(f"{model} {right[model]:.1f}%" for model in MODELS),
            right["FPRM"] > max(right[FIXED], right[ACT]),
        ),
        Statement(
            "FPRM spends less than TRM with ACT",
            "more efficient",
            f"{cost['FPRM']:.0f} against {cost[ACT]:.0f} layers",
            cost["FPRM"] < cost[ACT],
        ),
    ]


def _overall(table: Sequence[Row], model: str, key: str) -> float:
    own = [row for row in table if row["model"] == model]
    return sum(row[key] * row["problems"] for row in own) / sum(row["problems"] for row in own)


def draw_points(curves: Sequence[Row], table: Sequence[Row], present: Sequence[str], path: Path) -> None:
    """Accuracy over compute, a panel a model, a line a group; a large mark where the group stops (Fig. 1)."""
    panels = {"FPRM": "FPRM", "TRM": ACT}
    with picture(path, columns=2, width=2 * COLUMN) as (_, axes_of):
        for axes, (model, rule) in zip(axes_of, panels.items(), strict=True):
            for place, name in enumerate(present):
                own = [row for row in curves if (row["model"], row["group"]) == (model, name)]
                stop = next(row for row in table if (row["model"], row["group"]) == (rule, name))
                cells = stop["empty"]
                layers = [row["layers"] for row in own]
                axes.plot(
                    layers,
                    [row["accuracy"] for row in own],
                    LINES[place],
                    color=COLOURS[place],
                    label=f"{name}, {cells} empty",
                )
                if stop["group_layers"] is not None:
                    look = {"color": COLOURS[place], "markeredgecolor": "black", "markersize": 7, "zorder": 3}
                    axes.plot(stop["group_layers"], stop["group_accuracy"], MARKERS[place], **look)
            axes.set_xscale("log")
            axes.set_ylim(-3, 103)
            axes.set_xlabel("blocks applied (mark: the group halts)")
            axes.set_ylabel("exact accuracy (%)")
            axes.set_title("FPRM, halted by its residual" if model == "FPRM" else "TRM, halted by ACT")
            axes.legend(loc="best")


def draw_adaptivity(table: Sequence[Row], path: Path) -> None:
    """Accuracy and compute over difficulty, every puzzle halted on its own."""
    with picture(path, columns=2, width=2 * COLUMN) as (_, (left, right)):
        for place, model in enumerate(MODELS):
            own = [row for row in table if row["model"] == model]
            at = [(row["empty_low"] + row["empty_high"]) / 2 for row in own]
            style = {"color": COLOURS[place], "marker": MARKERS[place], "linestyle": LINES[place]}
            accuracy = [row["accuracy"] for row in own]
            bars = [
                [row["accuracy"] - row["low"] for row in own],
                [row["high"] - row["accuracy"] for row in own],
            ]
            left.errorbar(at, accuracy, bars, capsize=2, label=model, **style)
            right.plot(at, [row["layers"] for row in own], label=model, **style)
        for axes in (left, right):
            axes.set_xlabel("empty cells (middle of the group)")
        left.set_ylabel("exact accuracy (%), bar: 95%")
        right.set_ylabel("blocks applied a puzzle")
        right.set_ylim(bottom=0)
        left.legend(loc="best")


REPRODUCTION = Reproduction(
    name="halting-by-difficulty",
    what="FPRM Fig. 1 and its adaptivity on Sudoku: accuracy and compute at halting, by empty cells",
    scales={
        "cpu": "2 runs a seed (FPRM and TRM) on 6×6 Sudoku, shared with others: about 2 minutes each on "
        "one core, and 3 of inference",
        "paper": "2 runs a seed (FPRM 78,125 steps, TRM 50,000) on Sudoku-Extreme",
    },
    run=run,
    seeds=1,
)
