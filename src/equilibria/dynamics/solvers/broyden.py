"""Broyden's method with bounded memory (Broyden 1965; as in Bai et al. 2019, without its growing history)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from equilibria.dynamics.norms import Norm, across, residual
from equilibria.dynamics.solvers.interface import Map, Memory, Solver, check

GROWTH = 10.0  # as in `Anderson`: a residual so many times its best makes the history worthless
ROUNDING = 64  # machine epsilons of ‖f(z)‖ up to which a change is none


@dataclass(frozen=True, kw_only=True)
class Broyden(Solver):
    """Quasi-Newton steps on g(z) = f(z) − z: `z ← z − H g`, H a low-rank estimate of the inverse Jacobian.

    H = −I + Σ uᵢ vᵢᵀ ("good" Broyden updates). When the ranks are used up, when an update divides by nearly
    nothing, or when a sample's residual is over ten times its best, that sample starts again from −I: a
    Picard step. Memory does not grow with iterations. Gradients, where enabled, flow through z and g; H is a
    constant to them.

    Attributes:
        window: ranks remembered.
    """

    name: Literal["broyden"] = "broyden"
    window: int = 8
    norm: Norm = "relative-l2"

    def __post_init__(self) -> None:
        check(self.window >= 1, f"window must be at least 1, not {self.window}")

    def init(self, z0: Tensor) -> Memory:
        """H = −I, and no step taken."""
        dtype = torch.float64 if z0.dtype == torch.float64 else torch.float32
        flat = z0.flatten(1).to(dtype)
        ranks = flat.new_zeros(len(z0), self.window, flat.shape[1])
        return {
            "count": torch.zeros(len(z0), dtype=torch.int64, device=z0.device),
            "best": flat.new_full((len(z0),), torch.inf),
            "u": ranks,
            "v": ranks.clone(),
            "step": torch.zeros_like(flat),
            "gap": torch.zeros_like(flat),
        }

    def step(self, f: Map, z: Tensor, memory: Memory) -> tuple[Tensor, Memory, Tensor]:
        """As `Solver.step`."""
        value = f(z).to(z.dtype)
        r = residual(value, z, self.norm)
        count, u, v, moved = memory["count"], memory["u"], memory["v"], memory["step"]
        gap = (value - z).flatten(1).to(u.dtype)
        changed = gap.detach() - memory["gap"]
        # H ← H + (Δz − H Δg) (Δzᵀ H) / (Δzᵀ H Δg)
        towards = _apply(u, v, changed)
        row = _apply(v, u, moved)
        below = (row * changed).sum(dim=1)
        scale = row.norm(dim=1) * changed.norm(dim=1)
        started = moved.abs().amax(dim=1) > 0
        # At rest what changes is rounding: learned from that, H would be anything, and so would gradients.
        size = value.detach().flatten(1).to(u.dtype).norm(dim=1)
        told = changed.norm(dim=1) > ROUNDING * torch.finfo(u.dtype).eps * size
        safe = started & told & (below.abs() > 1e-8 * scale)
        safe = safe & (r <= GROWTH * memory["best"]) & (count < self.window)
        rank = (moved - towards) / torch.where(safe, below, 1.0)[:, None]
        slot = (torch.arange(self.window, device=z.device)[None] == count[:, None]) & safe[:, None]
        keep = (safe | ~started)[:, None, None]
        u = torch.where(slot[..., None], rank[:, None], u) * keep
        v = torch.where(slot[..., None], row[:, None], v) * keep
        step = -_apply(u, v, gap)
        usable = step.isfinite().all(dim=1)
        step = torch.where(usable[:, None], step, gap)
        u, v = (torch.where(usable[:, None, None], part, 0.0) for part in (u, v))
        after = torch.where(across(usable, z), z + step.view_as(z).to(z.dtype), value)
        remembered = {
            "count": torch.where(safe & usable, count + 1, 0),
            "best": torch.where(
                safe | ~started, torch.minimum(memory["best"], r.nan_to_num(nan=torch.inf)), r
            ),
            "u": u,
            "v": v,
            "step": step.detach(),
            "gap": gap.detach(),
        }
        return after, memory | remembered, r


def _apply(u: Tensor, v: Tensor, x: Tensor) -> Tensor:
    """`(−I + Σ uᵢ vᵢᵀ) x` for every sample: ranks `[batch, window, n]`, x `[batch, n]`."""
    along = (v * x[:, None]).sum(dim=2)
    return (along[..., None] * u).sum(dim=1) - x
