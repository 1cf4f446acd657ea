"""FPRM Sec. 4.3: word problems of a group at lengths never trained on, with compute that follows length.

Two reasoners are trained alike on problems of one length: FPRM, which halts where its state rests, and TRM
with a causal convolution, which runs its full depth or stops by its halting head (ACT). Each then meets
shorter and longer problems. Both may spend the same number of block applications at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from equilibria.diagnostics.drawing import COLOURS, LINES, MARKERS, picture
from equilibria.diagnostics.metrics import interval
from equilibria.pipeline import Pipeline
from equilibria.recipes import Recipe
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet
from equilibria.reproduce.runs import CachedRun, Remaining, seeded, side_by_side
from equilibria.tasks.permutations import Permutations, final_state_right, prefix_right


@dataclass(frozen=True)
class Model:
    """A line of the figure.

    Attributes:
        label: in the figure.
        recipe: that trains it, by scale.
        halting: how it stops where it is tested, as `Pipeline.halting` names it.
    """

    label: str
    recipe: dict[str, str]
    halting: str


TRM = {"cpu": "trm-words-cpu", "paper": "trm-a5"}
MODELS = (
    Model("FPRM", {"cpu": "fprm-words-cpu", "paper": "fprm-a5"}, "recipe"),
    Model("TRM + conv", TRM, "fixed"),
    Model("TRM + conv + ACT", TRM, "learned"),
)
LAYERS = 320  # block applications that a problem may take, as in the paper
PROBLEMS = 1000  # a length
PUBLISHED = (
    "Published, A5 trained at 32 and tested at 128: FPRM 98.1 ± 2.2%, TRM + conv 91.4 ± 2.3%, "
    "TRM + conv + ACT 65.3 ± 2.2%."
)


@dataclass(frozen=True)
class Attempt:
    """One training run."""

    name: str
    recipe: Recipe


def attempts(setup: Setup) -> list[Attempt]:
    """One run a recipe and seed."""
    found: list[Attempt] = []
    for seed in range(setup.seeds):
        for name in dict.fromkeys(model.recipe[setup.scale] for model in MODELS):
            found.append(Attempt(name, seeded(name, setup.overrides, seed)))
    return found


def lengths(trained: int) -> tuple[int, ...]:
    """From 2 to four times the trained length, doubling."""
    return tuple(sorted({2, *(max(2, trained * 2**power // 8) for power in range(6))}))


def score(attempt: Attempt, cache: Path, device: str, scale: str) -> list[Row]:
    """Train one run, if that was not done, and test it at every length, every way it may stop."""
    run = CachedRun.of(attempt.recipe, cache)
    models = [model for model in MODELS if model.recipe[scale] == attempt.name]
    task = attempt.recipe.build_task()
    assert isinstance(task, Permutations)
    asked = {"lengths": list(lengths(task.length)), "layers": LAYERS, "problems": PROBLEMS}

    def measure() -> dict[str, Any]:
        pipeline, seconds = run.trained(device)
        rows = [
            tested(pipeline, task, length, model) | {"seconds": seconds}
            for model in models
            for length in lengths(task.length)
        ]
        return {"rows": rows}

    found = run.once("state-tracking", asked, measure)["rows"]
    about = {"group": task.config.group, "trained_length": task.length, "recipe": attempt.name}
    return [about | {"seed": attempt.recipe.training.seed} | row for row in found]


def tested(pipeline: Pipeline, task: Permutations, length: int, model: Model) -> Row:
    """How a reasoner does on new problems of one length, and what it spends on them."""
    count = min(PROBLEMS, task.group.size**length // 2)
    problems = task.at_length(length).generate(count, seed=length)
    assert problems.labels is not None
    layers = pipeline.reasoner.equivalent_layers
    halting = pipeline.halting(model.halting)
    (pool,) = pipeline.engine.pools(problems.inputs, depths=(LAYERS // layers,), breadth=1, halting=halting)
    answers = pool.answers[:, 0]
    final = final_state_right(answers, problems.labels).double().mean().item()
    whole = prefix_right(answers, problems.labels, length).double().mean().item()
    return {
        "model": model.label,
        "length": length,
        "problems": count,
        "final_state": 100 * final,
        "final_state_ci95": [100 * bound for bound in interval(final, count)],
        "whole_sequence": 100 * whole,
        "iterations": pool.evaluations.double().mean().item(),
        "layers": layers * pool.evaluations.double().mean().item(),
        "halted": 100 * pool.halted.double().mean().item(),
    }


def run(setup: Setup) -> Findings:
    """Train, test, and set the models beside each other."""
    torch.set_float32_matmul_precision("highest")
    todo = attempts(setup)
    remaining, done = Remaining(len(todo)), list[Row]()
    work = partial(score, cache=setup.cache, device=setup.device, scale=setup.scale)
    for attempt, rows in side_by_side(work, todo, setup.jobs):
        done += rows
        at = {row["length"]: row["final_state"] for row in rows if row["model"] == rows[0]["model"]}
        told = ", ".join(f"{length}: {accuracy:.1f}%" for length, accuracy in at.items())
        left = remaining.finish(rows[0]["seconds"], setup.jobs)
        setup.say(
            f"{left}: {attempt.name}, seed {attempt.recipe.training.seed}: final state at length {told}"
        )
    table = [summary(rows) for rows in _grouped(done)]
    drawing = setup.out / "state-tracking.png"
    draw(table, drawing)
    recipes = {attempt.name: attempt.recipe.model_dump(mode="json") for attempt in todo[: len(set(TRM))]}
    columns = {
        "model": "{model}",
        "length": "{length}",
        "final state %": "{final_state:.1f} ± {spread:.1f}",
        "whole sequence %": "{whole_sequence:.1f}",
        "iterations": "{iterations:.1f}",
        "layers": "{layers:.0f}",
        "halted %": "{halted:.0f}",
        "minutes": "{minutes:.1f}",
    }
    first = table[0]
    title = (
        f"{first['group']}, trained at length {first['trained_length']}; at most {LAYERS} block applications "
        f"a problem; mean ± half the range of {setup.seeds_in_words}"
    )
    sheets = [Sheet("state-tracking", title, table, columns)]
    return Findings(sheets, [verdict(table), PUBLISHED], [drawing], {"recipes (first seed)": recipes})


def _grouped(rows: Sequence[Row]) -> list[list[Row]]:
    """The seeds of every model and length together, in the order of the models."""
    order = {model.label: place for place, model in enumerate(MODELS)}
    keys = sorted({(order[row["model"]], row["length"]) for row in rows})
    return [[row for row in rows if (order[row["model"]], row["length"]) == key] for key in keys]


def summary(rows: Sequence[Row]) -> Row:
    """Means over seeds."""
    finals = [row["final_state"] for row in rows]
    means = {
        key: sum(row[key] for row in rows) / len(rows)
        for key in ("final_state", "whole_sequence", "iterations", "layers", "halted")
    }
    kept = {key: rows[0][key] for key in ("model", "group", "trained_length", "length", "problems")}
    spread = (max(finals) - min(finals)) / 2
    minutes = sum(row["seconds"] for row in rows) / len(rows) / 60
    return kept | means | {"spread": spread, "seeds": len(rows), "minutes": minutes}


def verdict(table: Sequence[Row]) -> str:
    """What FPRM does at its training length and beyond, and whether its compute follows length."""
    fprm = {row["length"]: row for row in table if row["model"] == MODELS[0].label}
    trained = table[0]["trained_length"]
    beyond = ", ".join(
        f"{fprm[n]['final_state']:.1f}% at {n}" for n in (2 * trained, 4 * trained) if n in fprm
    )
    spent = [fprm[length]["iterations"] for length in sorted(fprm) if length <= trained]
    grows = all(less < more for less, more in pairwise(spent))
    return (
        f"FPRM: {fprm[trained]['final_state']:.1f}% at the trained length {trained}, {beyond}; up to there "
        f"its iterations {'grow' if grows else 'do not grow throughout'} with length "
        f"({', '.join(f'{value:.1f}' for value in spent)})."
    )


def draw(table: Sequence[Row], path: Path) -> None:
    """Accuracy and compute over length (FPRM Fig. 4)."""
    trained = table[0]["trained_length"]
    with picture(path, columns=2, width=6.8) as (_, (left, right)):
        for place, model in enumerate(MODELS):
            rows = [row for row in table if row["model"] == model.label]
            style = {"color": COLOURS[place], "marker": MARKERS[place], "linestyle": LINES[place]}
            at = [row["length"] for row in rows]
            left.errorbar(
                at,
                [r["final_state"] for r in rows],
                [r["spread"] for r in rows],
                capsize=2,
                label=model.label,
                **style,
            )
            right.plot(at, [row["layers"] for row in rows], label=model.label, **style)
        for axes in (left, right):
            axes.axvline(trained, color="0.5", linewidth=0.8, linestyle=":")
            axes.set_xscale("log", base=2)
            axes.set_xticks(sorted({row["length"] for row in table}), minor=False)
            axes.get_xaxis().set_major_formatter("{x:.0f}")
            axes.set_xlabel("elements of a problem (dotted: trained length)")
        left.set_ylabel(f"final state right, {table[0]['group']} (%)")
        left.set_ylim(-3, 103)
        right.set_ylabel("block applications a problem")
        right.set_yscale("log")
        left.legend(loc="upper right")


REPRODUCTION = Reproduction(
    name="state-tracking",
    what="FPRM Fig. 4: length generalization and adaptive compute on word problems",
    scales={
        "cpu": "4 runs (FPRM of 4,000 steps and TRM + conv of 3,500, 2 seeds) on Z60 at length 8: 8 to 10 "
        "minutes each on one core",
        "paper": "4 runs (FPRM and TRM + conv, 2 seeds) on A5 at length 32, 97,656 steps of 1,024 each",
    },
    run=run,
)
