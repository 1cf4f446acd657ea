"""Anderson acceleration (Anderson 1965; Walker & Ni 2011, type II)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from equilibria.dynamics.norms import Norm, across, residual
from equilibria.dynamics.solvers.interface import Map, Memory, Solver, check

GROWTH = 10.0  # a residual so many times the best one of its history makes that history worthless


@dataclass(frozen=True, kw_only=True)
class Anderson(Solver):
    """The next iterate mixes the last ones so that their residuals would cancel: `min ‖Σ αᵢ gᵢ‖, Σ αᵢ = 1`.

    Converges faster than Picard near a contraction. Where f is noisy, prefer `Relaxed`. Gradients, where
    enabled, flow through the iterates and their images; the weights α are constants to them.

    Attributes:
        window: m, iterates remembered.
        mixing: β, how far from the mixed iterates towards their images.
        ridge: added to the diagonal of the small system, times the mean squared residual in it.
        scaled: without, the ridge is absolute, as published: once residuals are of its root, the mix degrades
            to an average of old iterates, which at tight tolerances takes longer than plain iteration.
        restart: a sample forgets its history when its system is singular, when the mix is not finite, or when
            its residual is over ten times the best one of that history. Without, as published: a singular
            system is solved by least squares.
    """

    name: Literal["anderson"] = "anderson"
    window: int = 5
    mixing: float = 1.0
    ridge: float = 1e-4
    scaled: bool = True
    restart: bool = True
    norm: Norm = "relative-l2"

    def __post_init__(self) -> None:
        check(self.window >= 1, f"window must be at least 1, not {self.window}")
        check(0 < self.mixing <= 1, f"mixing must be in (0, 1], not {self.mixing:g}")
        check(self.ridge >= 0, f"ridge must not be negative, not {self.ridge:g}")

    def init(self, z0: Tensor) -> Memory:
        """An empty ring of iterates and images."""
        batch, history = len(z0), z0.new_zeros(len(z0), self.window, z0[0].numel())
        return {
            "count": torch.zeros(batch, dtype=torch.int64, device=z0.device),
            "best": torch.full((batch,), torch.inf, device=z0.device, dtype=_exact(z0)),
            "inputs": history,
            "values": history.clone(),
            "value": z0.clone(),
        }

    def step(self, f: Map, z: Tensor, memory: Memory) -> tuple[Tensor, Memory, Tensor]:
        """As `Solver.step`; rows of a batch may be at different places of their history."""
        value = f(z).to(z.dtype)
        r = residual(value, z, self.norm)
        count, best = memory["count"], memory["best"]
        if self.restart:
            grown = r > GROWTH * best
            count = torch.where(grown, 0, count)
            best = torch.where(grown, torch.inf, best)
        slot = torch.arange(self.window, device=z.device)[None] == (count % self.window)[:, None]
        inputs = torch.where(slot[..., None], z.flatten(1)[:, None], memory["inputs"])
        values = torch.where(slot[..., None], value.flatten(1)[:, None], memory["values"])
        weights, solved = self._weights(inputs.detach(), values.detach(), count)
        mixed = self.mixing * _mix(weights, values) + (1.0 - self.mixing) * _mix(weights, inputs)
        mixed = mixed.to(z.dtype).view_as(z)
        finite = mixed.flatten(1).isfinite().all(dim=1)
        usable = finite & solved if self.restart else finite
        after = torch.where(across(usable & (count > 0), z), mixed, value)
        remembered = {
            # What cannot be used is forgotten: the next step starts a history of its own.
            "count": torch.where(usable, count + 1, 0) if self.restart else count + 1,
            "best": torch.minimum(best, r.nan_to_num(nan=torch.inf)),
            "inputs": inputs,
            "values": values,
            "value": value,
        }
        return after, memory | remembered, r

    def result(self, z: Tensor, memory: Memory) -> Tensor:
        """The last value of f: one evaluation further than the state it was taken at."""
        return memory["value"]

    def _weights(self, inputs: Tensor, values: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """α `[batch, window]`, zero on slots not filled yet, and whether each system could be solved."""
        dtype = _exact(inputs)
        slots = torch.arange(self.window, device=inputs.device)
        filled = slots[None] <= count[:, None]
        newest = (slots[None] == (count % self.window)[:, None]).to(dtype)
        gap = (values - inputs).to(dtype) * filled[..., None]
        gram = gap @ gap.mT
        # Unfilled slots get a unit diagonal and no tie to the border: their α is zero.
        squares = gram.diagonal(dim1=1, dim2=2)
        scale = squares.sum(dim=1, keepdim=True) / filled.sum(dim=1, keepdim=True) if self.scaled else 1.0
        diagonal = torch.where(filled, self.ridge * scale, 1.0).to(dtype)
        border = filled.to(dtype)
        size = self.window + 1
        system = gram.new_zeros(len(gram), size, size)
        system[:, 1:, 1:] = gram + torch.diag_embed(diagonal)
        system[:, 0, 1:] = border
        system[:, 1:, 0] = border
        wanted = system.new_zeros(len(gram), size, 1)
        wanted[:, 0] = 1.0
        known = system.isfinite().flatten(1).all(dim=1)
        system = torch.where(known[:, None, None], system, torch.eye(size, dtype=dtype, device=system.device))
        alpha, info = torch.linalg.solve_ex(system, wanted)
        solved = (info == 0) & known
        if not self.restart:
            least = (torch.linalg.pinv(system) @ wanted).nan_to_num()
            alpha = torch.where((info == 0)[:, None, None], alpha, least)
        weights = alpha[:, 1:, 0]
        finite = weights.isfinite().all(dim=1) & known
        return torch.where(finite[:, None], weights, newest), solved & finite


def _mix(weights: Tensor, history: Tensor) -> Tensor:
    """`[batch, window]`, `[batch, window, elements]` → `[batch, elements]`."""
    # Row by row the same sum whatever shares the batch.
    return (weights[..., None] * history.to(weights.dtype)).sum(dim=1)


def _exact(z: Tensor) -> torch.dtype:
    return torch.float64 if z.dtype == torch.float64 else torch.float32
