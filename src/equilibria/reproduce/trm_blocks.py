"""FPRM's table of TRM with its blocks changed (App. "Additional Experimental Details"): ten cells.

Does what makes FPRM help TRM? Its post-norm blocks get residual scaling, of the mix with the problem alone
(α₂) or of the sub-layers, too (α₁, α₂); then pre-norm in place of post-norm; each without and with a
convolution at the start of every update. In the paper every change hurts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from equilibria.diagnostics.drawing import COLOURS, COLUMN, picture
from equilibria.reproduce.boards import (
    PROBLEMS,
    TRM,
    Variant,
    beside,
    exact,
    precise,
    trials,
)
from equilibria.reproduce.cells import Trial, described, measured
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet, half_range, mean
from equilibria.reproduce.runs import CachedRun
from equilibria.reproduce.statements import Statement, sheet, told


@dataclass(frozen=True)
class Block:
    """A row of the table.

    Attributes:
        label: as the paper calls it.
        without, with_: published accuracy without and with convolution, percent.
        changes: of the recipe.
    """

    label: str
    without: float
    with_: float
    changes: tuple[str, ...] = ()


INNER = "reasoner.residual_scale=channel"
OUTER = (INNER, "reasoner.scale_outer_only=true")
PRE = "reasoner.norm=pre"
BLOCKS = (
    Block("TRM (post-norm)", 72.60, 63.98),
    Block("+ scaling (α₂)", 68.16, 57.27, OUTER),
    Block("+ scaling (α₁, α₂)", 60.36, 59.51, (INNER,)),
    Block("pre-norm + scaling (α₂)", 13.73, 14.98, (PRE, *OUTER)),
    Block("pre-norm + scaling (α₁, α₂)", 19.77, 39.46, (PRE, INNER)),
)
CONVOLUTION = ("reasoner.convolution=board", "reasoner.convolution_kernel=3")
WITH = ", convolution"


def variants() -> list[Variant]:
    """All ten, the original first, those without convolution before those with."""
    plain = [Variant(block.label, TRM, block.changes) for block in BLOCKS]
    return [*plain, *(Variant(block.label + WITH, TRM, (*block.changes, *CONVOLUTION)) for block in BLOCKS)]


def measure(trial: Trial, run: CachedRun, device: str, scale: str) -> Row:
    """Train, if that was not done; accuracy at the trained depth."""
    precise()
    problems, depth = run.splits.held_out[: PROBLEMS[scale]], run.recipe.training.depth
    asked = {"depth": depth, "problems": problems.fingerprint()}

    def find() -> Row:
        pipeline, seconds = run.trained(device)
        return exact(pipeline, problems, depth, halting="fixed") | {"seconds": seconds}

    return run.once("trm-blocks", asked, find)


def run(setup: Setup) -> Findings:
    """Train the ten."""
    todo = trials(variants(), setup)
    work = partial(measure, device=setup.device, scale=setup.scale)
    done = measured(todo, work, setup, lambda found: f"{found['accuracy']:.1f}%")
    by_label = {
        variant.label: [found for trial, found in done if trial.cell.label == variant.label]
        for variant in variants()
    }
    table = [summary(block, by_label) for block in BLOCKS]
    table = [row | changes_of(row, table[0]) for row in table]
    drawing = setup.out / "trm-blocks.png"
    draw(table, setup.scale, drawing)
    said = statements(table)
    columns = {
        "block": "{block}",
        "without conv. %": "{plain:.1f} ±{plain_spread:.1f}",
        "Δ": "{plain_change:+.1f}",
        "paper": "{plain_published:.1f}",
        "with conv. %": "{conv:.1f} ±{conv_spread:.1f}",
        "Δ ": "{conv_change:+.1f}",
        "paper ": "{conv_published:.1f}",
    }
    title = f"TRM with its blocks changed; exact accuracy, mean ± half the range of {setup.seeds_in_words}"
    notes = [told(said), *beside(setup.scale, todo[0].recipe, done[0][1]["parameters"])]
    return Findings(
        [Sheet("trm-blocks", title, table, columns), sheet(said)],
        notes,
        [drawing],
        {"recipes (first seed)": described(todo)},
    )


def summary(block: Block, by_label: dict[str, list[Row]]) -> Row:
    """A row of the table: without and with convolution."""
    row: Row = {"block": block.label}
    for name, label, published in (
        ("plain", block.label, block.without),
        ("conv", block.label + WITH, block.with_),
    ):
        found = by_label[label]
        row |= {
            name: mean(found, "accuracy"),
            f"{name}_spread": half_range(found, "accuracy"),
            f"{name}_published": published,
        }
    return row | {"seeds": len(by_label[block.label])}


def changes_of(row: Row, original: Row) -> Row:
    """What a change of the block did, in points; of the original row, nothing."""
    differs = row["block"] != original["block"]
    return {f"{name}_change": row[name] - original[name] if differs else None for name in ("plain", "conv")}


def statements(table: Sequence[Row]) -> list[Statement]:
    """What the paper says of the table."""
    original, changed = table[0], table[1:]
    kept = [row["block"] for row in changed for name in ("plain", "conv") if row[name] >= original[name]]
    post = min(row[name] for row in table[:3] for name in ("plain", "conv"))
    pre = max(row[name] for row in table[3:] for name in ("plain", "conv"))
    known_post = min(block.without for block in BLOCKS[:3]), min(block.with_ for block in BLOCKS[:3])
    known_pre = max(block.without for block in BLOCKS[3:]), max(block.with_ for block in BLOCKS[3:])
    return [
        Statement(
            "every change of the block makes TRM worse",
            "8 of 8",
            f"{2 * len(changed) - len(kept)} of {2 * len(changed)}",
            not kept,
        ),
        Statement(
            "pre-norm is worse than every post-norm variant",
            f"{max(known_pre):.1f}% at best against {min(known_post):.1f}% at worst",
            f"{pre:.1f}% at best against {post:.1f}% at worst",
            pre < post,
        ),
        Statement(
            "convolution makes the original TRM worse",
            f"{BLOCKS[0].without:.1f}% → {BLOCKS[0].with_:.1f}%",
            f"{original['plain']:.1f}% → {original['conv']:.1f}%",
            original["conv"] < original["plain"],
        ),
        Statement(
            "with pre-norm, scaling the sub-layers, too, is better than α₂ alone",
            f"{BLOCKS[3].without:.1f}% → {BLOCKS[4].without:.1f}%, "
            f"with convolution {BLOCKS[3].with_:.1f}% → {BLOCKS[4].with_:.1f}%",
            f"{table[3]['plain']:.1f}% → {table[4]['plain']:.1f}%, "
            f"with convolution {table[3]['conv']:.1f}% → {table[4]['conv']:.1f}%",
            table[4]["plain"] > table[3]["plain"] and table[4]["conv"] > table[3]["conv"],
        ),
    ]


def draw(table: Sequence[Row], scale: str, path: Path) -> None:
    """Bars, ours and published, without and with convolution."""
    titles = {"plain": "without convolution", "conv": "with convolution"}
    ours = f"ours, {'6×6 Sudoku' if scale == 'cpu' else 'Sudoku-Extreme'}"
    places = range(len(table))
    with picture(path, columns=2, width=2 * COLUMN, height=2.7) as (figure, panels):
        for axes, (name, title) in zip(panels, titles.items(), strict=True):
            axes.barh(
                [place - 0.2 for place in places],
                [row[name] for row in table],
                0.38,
                xerr=[row[f"{name}_spread"] for row in table],
                color=COLOURS[0],
                label=ours,
            )
            axes.barh(
                [place + 0.2 for place in places],
                [row[f"{name}_published"] for row in table],
                0.38,
                color="white",
                edgecolor=COLOURS[1],
                hatch="////",
                label="published",
            )
            axes.set_yticks(places, [row["block"] for row in table])
            axes.invert_yaxis()
            axes.set_xlim(0, 100)
            axes.set_xlabel("exact accuracy (%)")
            axes.set_title(title)
        panels[1].set_yticklabels([])
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2)


REPRODUCTION = Reproduction(
    name="trm-blocks",
    what="FPRM's table of TRM with its blocks changed (App. 'Additional Experimental Details')",
    scales={
        "cpu": "10 runs of TRM a seed, 700 steps on 6×6 Sudoku, one shared with others: about 2 minutes each "
        "on one core",
        "paper": "10 runs of TRM a seed, 50,000 steps of 768 on Sudoku-Extreme",
    },
    run=run,
    seeds=1,
)
