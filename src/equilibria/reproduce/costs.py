"""EqR Tab. 8, 9: what an optimizer step costs under each training schedule, by formula and measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from equilibria.diagnostics.drawing import COLOURS, COLUMN, MARKERS, picture
from equilibria.reasoners import Reasoner
from equilibria.recipes import Recipe, load_recipe
from equilibria.reproduce.cost_formula import COPIES, UPDATE_OPERATIONS, Local, Shape
from equilibria.reproduce.measured import Measurement, measure
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet
from equilibria.training.carry import Batch, Carry
from equilibria.training.losses import answer_loss
from equilibria.training.segment import Supervision, run_segment


@dataclass(frozen=True)
class Variant:
    """A row of Tab. 8 and 9.

    Attributes:
        number, label: as in the paper.
        recipe, changes: that train it; `{all}` and `{last}` stand for the updates of an iteration and of its
            last cycle.
        accuracy: published, percent, or None where the paper says out of memory.
    """

    number: str
    label: str
    recipe: str
    changes: tuple[str, ...]
    accuracy: float | None


DEEP = "training.depth=16"
FULL = "training.schedule.name=terminal"
VARIANTS = (
    Variant("①", "feed-forward", "path-feedforward", (), 2.6),
    Variant("②", "weight-tied", "path-weight-tied", (), 32.6),
    Variant("③", "2× depth, full gradient", "path-weight-tied", ("training.depth=2", FULL), 51.3),
    Variant("④", "16× depth, full gradient", "path-weight-tied", (DEEP, FULL), None),
    Variant(
        *("⑤", "terminal loss, detached carry", "path-weight-tied"),
        (DEEP, FULL, "training.schedule.gradient.name=unrolled", "training.schedule.gradient.last=1"),
        51.8,
    ),
    Variant(
        *("⑥", "trajectory supervision 1:16", "path-weight-tied"),
        (DEEP, "training.schedule.name=trajectory"),
        47.1,
    ),
    Variant("⑦", "SOT", "path-sot", (), 74.7),
    Variant("⑧", "SOT, truncated", "path-sot", ("reasoner.tracked={last}",), 67.2),
    Variant("⑨", "SOT, hierarchy", "path-hierarchy", ("reasoner.tracked={all}",), 69.8),
    Variant("⑩", "SOT, hierarchy, truncated", "path-hierarchy", (), 75.4),
    Variant("⑪", "⑩ + oracle halting", "path-hierarchy", ("training.halting.rule=oracle",), 13.6),
    Variant("⑫", "⑩ + learned halting", "path-act", (), 84.8),
)
SMALL = (
    *("task.box=[2,3]", "reasoner.width=64", "reasoner.channel_inner=128", "reasoner.token_inner=64"),
    *("reasoner.prefix=0", "training.batch=32"),
)
SMALL_TIED = ("reasoner.layers=1", "reasoner.H_cycles=2", "reasoner.L_cycles=2")
SMALL_UPDATES = {"all": 6, "last": 3}
PAPER_UPDATES = {"all": 21, "last": 7}


def recipe_of(variant: Variant, setup: Setup) -> Recipe:
    """The recipe of a variant at a scale, in float32 so that weights are not copied to be cast."""
    updates = SMALL_UPDATES if setup.scale == "cpu" else PAPER_UPDATES
    small: tuple[str, ...] = ()
    if setup.scale == "cpu":
        forward = variant.recipe == "path-feedforward"
        small = (*SMALL, "reasoner.layers=6") if forward else (*SMALL, *SMALL_TIED)
        if variant.recipe in ("path-weight-tied", "path-sot"):
            small = (*small, f"reasoner.tracked={updates['all']}")
        elif not forward:
            small = (*small, f"reasoner.tracked={updates['last']}")
    own = [change.format(**updates) for change in variant.changes]
    return load_recipe(variant.recipe, [*small, *own, "training.precision=fp32", *setup.overrides])


def local_terms(reasoner: Reasoner[Any], recipe: Recipe, device: torch.device) -> Local:
    """Measure one application of the blocks, with and without gradients of the weights, and one head."""
    blocks: Any = reasoner.blocks
    layers: int = recipe.reasoner.model_dump()["layers"]
    streams, tokens, width = reasoner.state_shape
    rows = recipe.training.batch
    tied = recipe.reasoner.family != "feedforward"
    z, x = (torch.zeros(rows, tokens, width, device=device, requires_grad=True) for _ in range(2))
    weights = list(reasoner.parameters())
    there = [*weights, z, x]

    def chain() -> torch.Tensor:
        return blocks(z, x if tied else None).sum()

    whole = measure(chain, there, there)
    for weight in weights:
        weight.requires_grad_(False)
    frozen = measure(chain, there, there)
    for weight in weights:
        weight.requires_grad_(True)
    state = torch.zeros(rows, streams, tokens, width, device=device, requires_grad=True)
    targets = torch.zeros(rows, reasoner.shape.tokens, dtype=torch.int64, device=device)

    def loss() -> torch.Tensor:
        return answer_loss(reasoner.decode(state).logits, targets, recipe.training.objective).sum()

    head = measure(loss, [*weights, state, targets], [*weights, state])
    return Local(
        forward=whole.forward / layers,
        state=frozen.backward / layers,
        weights=(whole.backward - frozen.backward) / layers,
        head=head.backward,
        numbers=sum(weight.numel() for weight in blocks.parameters()) / layers,
        kept=whole.kept / layers,
        head_kept=head.kept,
    )


def step_of(reasoner: Reasoner[Any], recipe: Recipe, device: torch.device) -> Measurement:
    """Measure one segment of the trainer, from the rolling batch to the gradients."""
    training = recipe.training
    supervision = Supervision(
        training.schedule, training.halting, training.depth, training.objective, solver=training.solver
    )
    rows = training.batch
    carry = Carry.free(reasoner, training.solver, training.halting, rows, device)
    tokens = torch.ones(rows, reasoner.shape.tokens, dtype=torch.int64, device=device)
    number = torch.zeros(rows, dtype=torch.int64, device=device)
    carry = carry.refill(Batch(tokens, tokens, number, number), carry.state, carry.memory)
    weights = list(reasoner.parameters())
    there = [*weights, *carry.tensors().values()]
    return measure(lambda: run_segment(reasoner, carry, supervision).loss / rows, there, weights)


def cost_of(variant: Variant, setup: Setup) -> Row:
    """A row: everything about a variant, FLOPs and bytes."""
    recipe = recipe_of(variant, setup)
    device = torch.device("cpu" if setup.scale == "cpu" else "meta")
    with device:
        reasoner = recipe.build_reasoner(recipe.build_task())
    local, shape = local_terms(reasoner, recipe, device), Shape.of(reasoner, recipe)
    step = step_of(reasoner, recipe, device)
    return {
        "variant": f"{variant.number} {variant.label}",
        "accuracy": variant.accuracy,
        "anchors": shape.anchors,
        "tracked": shape.tracked,
        "applied": shape.applied,
        "distinct": shape.distinct,
        "forward_written": f"{shape.applied}F",
        "forward": shape.forward(local),
        "forward_measured": step.forward,
        "backward_written": shape.backward_written(),
        "backward": shape.backward(local),
        "backward_measured": step.backward,
        "kept_written": shape.kept_written(),
        "kept": shape.kept(local),
        "kept_measured": step.kept,
        "parameters": shape.distinct * local.memory,
        "peak": step.peak,
        "local": local,
    }


def run(setup: Setup) -> Findings:
    """Every variant, by formula and measured."""
    rows: list[Row] = []
    for variant in VARIANTS:
        rows.append(cost_of(variant, setup))
        setup.say(f"{len(rows)} of {len(VARIANTS)}: {rows[-1]['variant']}")
    drawing = setup.out / "costs.png"
    draw(rows, drawing)
    recipes = {variant.number: recipe_of(variant, setup).model_dump(mode="json") for variant in VARIANTS}
    return Findings([_compute(rows), _memory(rows), _symbols(rows)], NOTES, [drawing], {"recipes": recipes})


NOTES = (
    "FLOPs are of matrix products. The formula also has c_θ and c_u, which are no matrix products, and lacks "
    "the answer head of the forward pass, as the paper's.",
    "A measured backward pass goes back to the embedded problem as well, which every update mixes in: one "
    "c_J an anchor more than the formula, which is most of the difference.",
    "Kept is what autograd keeps, each storage once; the peak is of all tensors alive at once, with weights "
    "and gradients, without the optimizer's moments and the average.",
)


def _scaled(row: Row, unit: float, names: Sequence[str]) -> Row:
    return {name: row[name] / unit for name in names}


def _compute(rows: Sequence[Row]) -> Sheet:
    told = ("variant", "accuracy", "forward_written", "backward_written")
    numbers = ("forward", "forward_measured", "backward", "backward_measured")
    found = [
        {name: row[name] for name in told}
        | _scaled(row, 1e9, numbers)
        | {"ratio": row["backward_measured"] / row["backward"]}
        for row in rows
    ]
    columns = {
        "variant": "{variant}",
        "acc. %": "{accuracy}",
        "forward": "{forward_written}",
        "formula": "{forward:,.2f}",
        "measured": "{forward_measured:,.2f}",
        "backward and update": "{backward_written}",
        "formula ": "{backward:,.2f}",
        "measured ": "{backward_measured:,.2f}",
        "ratio": "{ratio:.3f}",
    }
    return Sheet("compute", "EqR Tab. 8, 9: GFLOP an optimizer step; published accuracy", found, columns)


def _memory(rows: Sequence[Row]) -> Sheet:
    numbers = ("kept", "kept_measured", "parameters", "peak")
    found = [
        {name: row[name] for name in ("variant", "kept_written")}
        | _scaled(row, 1e6, numbers)
        | {"ratio": row["kept_measured"] / row["kept"]}
        for row in rows
    ]
    columns = {
        "variant": "{variant}",
        "activations": "{kept_written}",
        "formula": "{kept:,.1f}",
        "measured": "{kept_measured:,.1f}",
        "ratio": "{ratio:.3f}",
        "dP": "{parameters:,.1f}",
        "peak": "{peak:,.1f}",
    }
    return Sheet("memory", "EqR Tab. 9: memory kept an optimizer step, MB", found, columns)


SYMBOLS = {
    "F": ("forward", 1e9, "GFLOP", "one block applied to the batch"),
    "c_B": ("weights", 1e9, "GFLOP", "back through a block, less c_J"),
    "c_J": ("state", 1e9, "GFLOP", "back through a block whose weights need no gradient"),
    "c_ℓ": ("head", 1e9, "GFLOP", "back through loss and answer head"),
    "c_θ": ("numbers", 1e9, "GFLOP", "one addition for each parameter of a block"),
    "c_u": ("update", 1e9, "GFLOP", f"{UPDATE_OPERATIONS} operations of AdamATan2 for each of them"),
    "a_f": ("kept", 1e6, "MB", "what autograd keeps of a block, the state that enters left out"),
    "a_ℓ": ("head_kept", 1e6, "MB", "what it keeps of loss and answer head"),
    "P": (
        "memory",
        1e6,
        "MB",
        f"{COPIES} float32 for each parameter: itself, gradient, two moments, average",
    ),
}


def _symbols(rows: Sequence[Row]) -> Sheet:
    """The local terms of the feed-forward and of the weight-tied network."""
    found = [
        {
            "symbol": symbol,
            "measured": words,
            "feed_forward": getattr(rows[0]["local"], field) / size,
            "weight_tied": getattr(rows[1]["local"], field) / size,
            "unit": unit,
        }
        for symbol, (field, size, unit, words) in SYMBOLS.items()
    ]
    columns = {
        "symbol": "{symbol}",
        "here": "{measured}",
        "feed-forward": "{feed_forward:,.4g}",
        "weight-tied": "{weight_tied:,.4g}",
        "unit": "{unit}",
    }
    return Sheet("symbols", "the local terms, of one block and one batch", found, columns)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Backward FLOPs and kept activations of every variant, by formula and measured."""
    places = [-place for place in range(len(rows))]
    with picture(path, columns=2, width=2 * COLUMN, height=3.0) as (_, (left, right)):
        for axes, name, label in (
            (left, "backward", "backward and update (FLOP a step)"),
            (right, "kept", "activations kept (bytes)"),
        ):
            measured = {"color": COLOURS[0], "marker": MARKERS[0], "s": 14, "label": "measured", "zorder": 2}
            axes.scatter([row[f"{name}_measured"] for row in rows], places, **measured)
            formula = {"color": COLOURS[1], "marker": MARKERS[1], "s": 34, "facecolors": "none"}
            axes.scatter([row[name] for row in rows], places, label="formula", zorder=3, **formula)
            axes.set_xscale("log")
            axes.set_xlabel(label)
            axes.get_xaxis().set_minor_formatter("")
            axes.grid(axis="y", linewidth=0.3)
            axes.set_axisbelow(True)
        left.set_yticks(places, [row["variant"][2:] for row in rows])  # few fonts have ⑪
        right.set_yticks(places, [])
        left.legend(loc="lower right", frameon=True, edgecolor="none")


REPRODUCTION = Reproduction(
    name="costs",
    what="EqR Tab. 8, 9: FLOPs and memory of training schedules, by formula and measured",
    scales={
        "cpu": "width 64 and batch 32 on 6×6 Sudoku, one step a variant: half a minute on one core, 1 GB",
        "paper": "width 512 and batch 768, counted without numbers (meta device): two minutes on one core",
    },
    run=run,
)
