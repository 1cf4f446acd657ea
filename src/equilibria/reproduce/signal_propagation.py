"""FPRM Fig. 2, right, and App. "A toy failure mode": what norms and residual scaling do to a deep loop.

Before training: how large the activations of a looped Transformer are after so many blocks, normalised
afterwards (post), before (pre), or before and with residual scaling. And in the smallest loop there is, two
weights, how the loss lies over them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.colors import LogNorm
from torch import Tensor

from equilibria.diagnostics.drawing import COLOURS, COLUMN, LINES, MARKERS, picture
from equilibria.recipes import Recipe, load_recipe
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet

SCALED = "pre + residual scaling"
SCHEMES = {
    "post": ("reasoner.norm=post", "reasoner.residual_scale=none"),
    "pre": ("reasoner.norm=pre", "reasoner.residual_scale=none"),
    SCALED: ("reasoner.norm=pre", "reasoner.residual_scale=channel"),
}
SCALES = {
    "cpu": ("reasoner.width=64", "reasoner.heads=4", "task.length=16", "training.batch=16"),
    "paper": ("training.batch=4",),
}
DEEPEST = 512  # blocks
SHOWN = (2, 8, 32, 128, 512)  # of which the table tells
TOY_ROWS, TOY_WIDTH, TOY_DEPTH, BETA = 100, 2, 20, 0.5
GRID, SPAN = 200, 5.0
NEAR = 0.1  # ΔL near the minimum
DARKEST = 1e-2  # ΔL at the dark end of the colours


def scheme_recipe(scheme: str, setup: Setup, seed: int) -> Recipe:
    """A looped Transformer as in FPRM Fig. 2: α₁ = ¾, α₂ = ½, two blocks, from the embedded problem."""
    changes = [*SCHEMES[scheme], *SCALES[setup.scale], "reasoner.alpha_1=0.75", "reasoner.alpha_2=0.5"]
    start = ["reasoner.initial=condition", f"training.seed={seed}"]
    return load_recipe("looped-a5", [*changes, *start, *setup.overrides])


@torch.no_grad()
def norms(recipe: Recipe) -> Iterator[tuple[int, float]]:
    """(blocks applied, root-mean-square of the state) after every iteration of a fresh reasoner."""
    task = recipe.build_task()
    reasoner = recipe.build_reasoner(task)
    problems = task.generate(recipe.training.batch, seed=recipe.training.seed)
    condition = reasoner.encode(problems.inputs)
    state = reasoner.initial_state(condition, None)
    for iteration in range(1, DEEPEST // reasoner.equivalent_layers + 1):
        state = reasoner.iterate(state, condition).state
        yield iteration * reasoner.equivalent_layers, state.square().mean().sqrt().item()


def growth(rows: Sequence[Row]) -> float:
    """The exponent p of `norm ∝ blocksᵖ` over the deeper half of the blocks (on log axes)."""
    deep = [row for row in rows if row["blocks"] ** 2 >= DEEPEST]
    blocks, sizes = ([np.log(row[name]) for row in deep] for name in ("blocks", "norm"))
    return float(np.polyfit(blocks, sizes, 1)[0])


def landscape(post: bool, seed: int, span: Tensor) -> Tensor:
    """The loss L over w ∈ span × span, `[w₂, w₁]`: the loop of one sub-layer `f(z) = z w 1ᵀ`, 20 times.

    Post-norm is `z ← norm(z + f(z))`, pre-norm with scaling `z ← (1 − β) z + β f(norm(z))`; norm puts a row
    on the unit sphere.
    """
    draws = torch.Generator().manual_seed(seed)
    x, y = torch.randn(2, TOY_ROWS, TOY_WIDTH, generator=draws, dtype=torch.float64)
    w = torch.stack(torch.meshgrid(span, span, indexing="xy"), dim=-1)  # [w₂, w₁, 2]
    z = x.expand(*w.shape[:2], -1, -1)

    def f(z: Tensor) -> Tensor:
        return (z @ w[..., None]).expand(z.shape)

    for _ in range(TOY_DEPTH):
        z = _norm(z + f(z)) if post else (1.0 - BETA) * z + BETA * f(_norm(z))
    return (z - y).square().mean(dim=(-2, -1))


def _norm(z: Tensor) -> Tensor:
    return z / torch.linalg.vector_norm(z, dim=-1, keepdim=True).clamp(min=1e-12)


def run(setup: Setup) -> Findings:
    """Both figures."""
    rows: list[Row] = []
    for scheme in SCHEMES:
        for seed in range(setup.seeds):
            recipe = scheme_recipe(scheme, setup, seed)
            rows += [{"scheme": scheme, "seed": seed, "blocks": n, "norm": norm} for n, norm in norms(recipe)]
        setup.say(f"{scheme}: {rows[-1]['norm']:.3g} after {rows[-1]['blocks']} blocks")
    span = torch.linspace(-SPAN, SPAN, GRID, dtype=torch.float64)
    landscapes = {scheme: landscape(scheme == "post", 0, span) for scheme in ("post", SCALED)}
    pictures = [setup.out / "activation-norm.png", setup.out / "landscape.png"]
    draw_norms(rows, pictures[0])
    draw_landscapes(landscapes, pictures[1])
    table = [summary(scheme, rows) | toy_summary(landscapes.get(scheme)) for scheme in SCHEMES]
    columns = {
        "scheme": "{scheme}",
        **{f"RMS at {blocks}": f"{{norm_{blocks}:.3g}}" for blocks in SHOWN},
        "exponent": "{growth:.2f}",
        "toy: least L": "{least:.2f}",
        "ΔL < 0.1 on": "{near:.0%}",
    }
    title = f"FPRM Fig. 2, right: size of the state after so many blocks, mean of {setup.seeds_in_words}"
    sheets = [
        Sheet("signal-propagation", title, table, columns),
        Sheet("activation-norm", "", rows, {}),
        Sheet("landscape", "", list(toy_rows(landscapes, span)), {}),
    ]
    recipes = {scheme: scheme_recipe(scheme, setup, 0).model_dump(mode="json") for scheme in SCHEMES}
    toy = {"rows": TOY_ROWS, "width": TOY_WIDTH, "depth": TOY_DEPTH, "beta": BETA, "grid": GRID, "span": SPAN}
    return Findings(
        sheets, [verdict(table), toy_verdict(table)], pictures, {"toy": toy, "recipes (first seed)": recipes}
    )


def summary(scheme: str, rows: Sequence[Row]) -> Row:
    """Mean norms of a scheme, and how fast they grow."""
    own = [row for row in rows if row["scheme"] == scheme]
    at = {
        f"norm_{blocks}": float(np.mean([row["norm"] for row in own if row["blocks"] == blocks]))
        for blocks in SHOWN
    }
    return {"scheme": scheme} | at | {"growth": growth(own)}


def toy_summary(loss: Tensor | None) -> Row:
    """How much of the toy's plane is near its minimum."""
    if loss is None:
        return {"least": None, "near": None}
    return {"least": loss.min().item(), "near": (loss - loss.min() < NEAR).double().mean().item()}


def toy_rows(landscapes: dict[str, Tensor], span: Tensor) -> Iterator[Row]:
    """Every point of the plane."""
    for second, w2 in enumerate(span.tolist()):
        for first, w1 in enumerate(span.tolist()):
            losses = {name: loss[second, first].item() for name, loss in landscapes.items()}
            yield {"w1": w1, "w2": w2} | losses


def verdict(table: Sequence[Row]) -> str:
    """What grows, and how."""
    post, pre, scaled = table
    deepest = f"norm_{SHOWN[-1]}"
    times = pre[deepest] / pre[f"norm_{SHOWN[0]}"]
    return (
        f"After {SHOWN[-1]} blocks pre-norm activations are {times:.0f} times those after {SHOWN[0]}, "
        f"growing as blocks^{pre['growth']:.2f}. That has no bound, as in the paper, but is not exponential, "
        f"as the paper says: a sub-layer sees a normalised state and adds about as much as the last. "
        f"Post-norm stays at {post[deepest]:.2f}, pre-norm with residual scaling at {scaled[deepest]:.2f}."
    )


def toy_verdict(table: Sequence[Row]) -> str:
    """What the toy's landscapes have in common with the paper's."""
    post, _, scaled = table
    broader = "lower, and broader" if scaled["near"] > post["near"] else "lower, but not broader, as it says"
    return (
        f"In the toy, {post['near']:.0%} of the post-norm grid is within {NEAR:g} of its least loss "
        f"{post['least']:.2f}, in thin sectors as in the paper; of the scaled pre-norm grid "
        f"{scaled['near']:.0%} is so near to its own, {scaled['least']:.2f}: {broader}."
    )


def draw_norms(rows: Sequence[Row], path: Path) -> None:
    """Activation norm over blocks, a line a scheme, a band from the least to the greatest seed."""
    with picture(path) as (_, axes):
        for place, scheme in enumerate(SCHEMES):
            seeds: dict[int, list[float]] = {}
            for row in rows:
                if row["scheme"] == scheme:
                    seeds.setdefault(row["blocks"], []).append(row["norm"])
            blocks = list(seeds)
            marked = [index for index, count in enumerate(blocks) if count & (count - 1) == 0]
            axes.plot(
                blocks,
                [float(np.mean(values)) for values in seeds.values()],
                LINES[place],
                color=COLOURS[place],
                marker=MARKERS[place],
                markevery=marked,
                label=scheme,
            )
            low, high = ([pick(values) for values in seeds.values()] for pick in (min, max))
            axes.fill_between(blocks, low, high, color=COLOURS[place], alpha=0.25, linewidth=0)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.get_xaxis().set_major_formatter("{x:.0f}")
        axes.set_xlabel("effective layers (blocks applied)")
        axes.set_ylabel("activation norm at initialisation\n(RMS of the residual stream)")
        axes.legend(loc="upper left")


def draw_landscapes(landscapes: dict[str, Tensor], path: Path) -> None:
    """ΔL = L − min L over both weights, colours logarithmic; each landscape has a scale of its own."""
    with picture(path, columns=2, width=2 * COLUMN, height=2.9) as (figure, panels):
        for axes, (scheme, loss) in zip(panels, landscapes.items(), strict=True):
            above, extent = loss - loss.min(), (-SPAN, SPAN, -SPAN, SPAN)
            scale = LogNorm(DARKEST, above.max().item())
            image = axes.imshow(
                above.clamp(min=DARKEST).numpy(), origin="lower", extent=extent, cmap="cividis", norm=scale
            )
            axes.set_title(f"{scheme}-norm" if scheme == "post" else "pre-norm + residual scaling")
            axes.set_xlabel("weight $w_1$")
            axes.set_ylabel("weight $w_2$")
            bar = figure.colorbar(image, ax=axes, extend="min", shrink=0.8)
            bar.set_label(r"$\Delta\mathcal{L}$, loss above the least")


REPRODUCTION = Reproduction(
    name="signal-propagation",
    what="FPRM Fig. 2 (right) and App. 'toy failure mode': norms at initialisation, toy landscape",
    scales={
        "cpu": "width 64, 16 elements: 20 seconds on one core",
        "paper": "width 512, 32 elements: some minutes on one core",
    },
    run=run,
    seeds=5,
)
