"""What reproductions about Sudoku share: one recipe, whose changes are the variants that they compare.

It is the last of EqR's construction path (Tab. 2), which the paper calls TRM. At the scale `paper` it is run
as published on Sudoku-Extreme, at the scale `cpu` on 6×6 puzzles from the generator with one common set of
changes. Two reproductions that name the same changes share their trained reasoners.
"""

from collections.abc import Sequence

from equilibria.recipes import Recipe
from equilibria.reproduce.runs import seeded

BASE = "path-act"
CPU = (
    "task.box=[2,3]",
    *("reasoner.width=64", "reasoner.channel_inner=128", "reasoner.token_inner=64", "reasoner.prefix=0"),
    *("data.source=generated", "data.limit=null", "data.count=1000", "data.held_out_count=2000"),
    *("training.steps=700", "training.batch=128", "training.average=0.99"),
    *("training.optimizer.warmup=100", "training.optimizer.weight_decay=0.1"),
)
CYCLES = ("reasoner.layers=1", "reasoner.H_cycles=2", "reasoner.L_cycles=2", "reasoner.tracked=3")
RATE = "training.optimizer.lr=0.003"  # the best of the construction path's, for every row of it
RARELY = ("training.save_every=250", "training.evaluate_every=1000000000", "training.evaluate_problems=1")

RI = ("reasoner.initial=gaussian",)
"""Randomized state initialization (EqR Sec. 5.1)."""
NI = ("reasoner.damping=0.05", "reasoner.noise=0.01")
"""Damping and noise injection, always together (EqR Sec. 5.2)."""


def variant(
    scale: str, seed: int, changes: Sequence[str] = (), overrides: Sequence[str] = (), base: str = BASE
) -> Recipe:
    """The recipe `base` with `changes`, at one of the two scales.

    Args:
        scale: "cpu" or "paper".
        seed: which of the runs of this variant, from 0.
        changes: `section.key=value`, what makes this variant; those of the scale give way to them.
        overrides: the user's, which all others give way to.
        base: the recipe that is changed.
    """
    smaller = (*CPU, *CYCLES, RATE) if scale == "cpu" else ()
    return seeded(base, [*smaller, *RARELY, *changes, *overrides], seed)
