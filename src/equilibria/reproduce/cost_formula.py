"""EqR Eq. 13–18 and Tab. 9: what an optimizer step costs, from what one block costs.

The formula is built from one block application, as the paper's: the backward pass of an anchor runs through N
of them, so with A anchors, d distinct blocks, and T iterations of n blocks each

    forward    T n F
    backward   A (c_ℓ + N c_B + (N − 1) c_J) + (A N − d) c_θ + d c_u      (EqR Eq. 13, 15, 17, 18)
    memory     A (N a_f + a_ℓ) + d P                                      (EqR Eq. 14, 16, 17, 18)

Eq. 13 writes a full trajectory so; in the other equations c_B and a_f are of a whole segment, which is such a
trajectory of its own.
"""

from dataclasses import dataclass
from typing import Any

from equilibria.reasoners import Reasoner
from equilibria.recipes import Recipe

UPDATE_OPERATIONS = 13  # of AdamATan2, a parameter
COPIES = 5  # float32 numbers a parameter: itself, gradient, two moments, average


@dataclass(frozen=True)
class Local:
    """The paper's local terms, of one block application to one batch.

    Attributes:
        forward: F, FLOPs.
        state: c_J, FLOPs back to the state.
        weights: c_B, FLOPs back to the parameters.
        head: c_ℓ, FLOPs back through loss and answer head.
        numbers: parameters of a block: c_θ is one addition each, c_u is `UPDATE_OPERATIONS` each.
        kept: a_f, bytes; the state that comes in is kept by the block that made it.
        head_kept: a_ℓ, bytes.
    """

    forward: float
    state: float
    weights: float
    head: float
    numbers: float
    kept: float
    head_kept: float

    @property
    def update(self) -> float:
        """c_u, operations."""
        return UPDATE_OPERATIONS * self.numbers

    @property
    def memory(self) -> float:
        """P, bytes."""
        return 4 * COPIES * self.numbers


@dataclass(frozen=True)
class Shape:
    """How a variant's optimizer step is laid out.

    Attributes:
        applied: T n, block applications in all.
        anchors: A.
        tracked: N, block applications through which one anchor's gradient flows.
        distinct: d, blocks with weights of their own.
    """

    applied: int
    anchors: int
    tracked: int
    distinct: int

    @classmethod
    def of(cls, reasoner: Reasoner[Any], recipe: Recipe) -> "Shape":
        """Read off a recipe."""
        training, schedule = recipe.training, recipe.training.schedule
        iterations = schedule.interval(training.depth)
        anchors, chained = 1, 1
        if schedule.name == "trajectory":
            anchors = iterations - schedule.first + 1
        elif schedule.name == "terminal":
            chained = schedule.gradient.tracked(iterations)
        return cls(
            applied=iterations * reasoner.equivalent_layers,
            anchors=anchors,
            tracked=chained * reasoner.tracked_layers,
            distinct=recipe.reasoner.model_dump()["layers"],
        )

    def forward(self, local: Local) -> float:
        """FLOPs."""
        return self.applied * local.forward

    def backward(self, local: Local) -> float:
        """FLOPs back, and those of the update."""
        chain = local.head + self.tracked * local.weights + (self.tracked - 1) * local.state
        shared = (self.anchors * self.tracked - self.distinct) * local.numbers
        return self.anchors * chain + shared + self.distinct * local.update

    def kept(self, local: Local) -> float:
        """Bytes of activations, A (N a_f + a_ℓ)."""
        return self.anchors * (self.tracked * local.kept + local.head_kept)

    def kept_written(self) -> str:
        """The activations in the paper's symbols."""
        chain = f"{self.tracked}a_f + a_ℓ"
        return f"{self.anchors}({chain})" if self.anchors > 1 else chain

    def backward_written(self) -> str:
        """The backward cost in the paper's symbols."""
        chain = f"c_ℓ + {self.tracked}c_B + {self.tracked - 1}c_J"
        if self.anchors > 1:
            chain = f"{self.anchors}({chain})"
        shared = self.anchors * self.tracked - self.distinct
        update = f"{self.distinct}c_u" if self.distinct > 1 else "c_u"
        return f"{chain} + {shared}c_θ + {update}" if shared else f"{chain} + {update}"
