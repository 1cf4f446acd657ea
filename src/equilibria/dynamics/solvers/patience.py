"""FPRM's fixed-point optimizer: damping that grows where the residual stalls (FPRM Alg. 1)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from equilibria.dynamics.norms import Norm, across, residual
from equilibria.dynamics.solvers.interface import Map, Memory, Solver, check


@dataclass(frozen=True, kw_only=True)
class PatienceDamped(Solver):
    """`z ← η f(z) + (1 − η) z`; after P steps without a new best residual, η decays by γ.

    The residual is measured against the undamped proposal and before the move; η and it carry no gradient.

    Attributes:
        step_size: η at the start.
        decay: γ in (0, 1].
        patience: P.
        threshold: τ; where the residual is below it, η does not decay.
        state_dtype: keep η and γ in the dtype of the state, as published; in bfloat16 that rounds γ, and one
            above 0.998 to 1. Otherwise float32.
    """

    name: Literal["patience-damped"] = "patience-damped"
    step_size: float = 1.0
    decay: float = 0.9
    patience: int = 5
    threshold: float = 0.1
    state_dtype: bool = False
    norm: Norm = "token-linf"

    def __post_init__(self) -> None:
        check(0 < self.step_size <= 1, f"step_size must be in (0, 1], not {self.step_size:g}")
        check(0 < self.decay <= 1, f"decay must be in (0, 1], not {self.decay:g}")
        check(self.patience >= 1, f"patience must be at least 1, not {self.patience}")
        check(self.threshold >= 0, f"threshold must not be negative, not {self.threshold:g}")

    def init(self, z0: Tensor) -> Memory:
        """No residual yet, full patience, full step."""
        full = torch.full((len(z0),), torch.inf, device=z0.device)
        step = torch.full_like(full, self.step_size)
        return {
            "residual": full,
            "best": full.clone(),
            "patience": torch.full_like(full, float(self.patience)),
            "step_size": step.to(z0.dtype) if self.state_dtype else step,
        }

    def step(self, f: Map, z: Tensor, memory: Memory) -> tuple[Tensor, Memory, Tensor]:
        """As `Solver.step`; the move uses η as it was before this step's decay."""
        proposal = f(z).to(z.dtype)
        r = residual(proposal, z, self.norm)
        size = memory["step_size"]
        weight = across(size, z).to(z.dtype)
        after = weight * proposal + (1.0 - weight) * z
        improved = r < memory["best"]  # a NaN never improves
        patience = torch.where(improved, float(self.patience), memory["patience"] - 1.0)
        decays = (patience <= 0) & (r >= self.threshold)
        remembered = {
            "residual": r,
            "best": torch.where(improved, r, memory["best"]),
            "patience": torch.where(decays, float(self.patience), patience),
            "step_size": torch.where(decays, size * size.new_tensor(self.decay), size),
        }
        return after, memory | remembered, r
