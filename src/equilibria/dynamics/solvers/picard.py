"""Plain and relaxed fixed-point iteration."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from equilibria.dynamics.norms import Norm, residual
from equilibria.dynamics.solvers.interface import Map, Memory, Solver, check


@dataclass(frozen=True, kw_only=True)
class Picard(Solver):
    """`z ← f(z)`: converges where f contracts, at the rate of its contraction (Banach)."""

    name: Literal["picard"] = "picard"
    norm: Norm = "l2"

    def step(self, f: Map, z: Tensor, memory: Memory) -> tuple[Tensor, Memory, Tensor]:
        """As `Solver.step`."""
        after = f(z)
        return after, memory, residual(after, z, self.norm)


@dataclass(frozen=True, kw_only=True)
class Relaxed(Solver):
    """`z ← (1 − λ) f(z) + λ z`: the same fixed points; tames rotation and oscillation (FPRM Thm. 3).

    Attributes:
        damping: λ, the weight of the old state. Convergence near a fixed point asks for
            1 − λ < 2 (1 − Re μ) / |μ − 1|² for every eigenvalue μ of the Jacobian there.
    """

    name: Literal["relaxed"] = "relaxed"
    damping: float = 0.5
    norm: Norm = "l2"

    def __post_init__(self) -> None:
        check(0 <= self.damping < 1, f"damping must be at least 0 and less than 1, not {self.damping:g}")

    def step(self, f: Map, z: Tensor, memory: Memory) -> tuple[Tensor, Memory, Tensor]:
        """As `Solver.step`; the residual is that of the undamped map."""
        after = f(z)
        return (1.0 - self.damping) * after + self.damping * z, memory, residual(after, z, self.norm)
