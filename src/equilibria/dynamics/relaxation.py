"""Damping and path noise (EqR Eq. 2)."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Relaxation:
    """`z + (1 − λ)(f(z) − z) + β ε`.

    Attributes:
        damping: λ in [0, 1), the weight of the old state.
        noise: β ≥ 0, the standard deviation of the path noise; it is not scaled by 1 − λ.
    """

    damping: float = 0.0
    noise: float = 0.0

    def __call__(self, old: Tensor, new: Tensor, draw: Tensor | None) -> Tensor:
        """Move from `old` towards `new`; `draw` is a standard normal of their shape, or None for no noise."""
        state = self.damping * old + (1.0 - self.damping) * new if self.damping else new
        return state if draw is None else state.add(draw, alpha=self.noise)
