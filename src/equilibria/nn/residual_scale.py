"""Residual scaling of FPRM: what keeps a pre-norm loop bounded (FPRM Thm. 1)."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from equilibria.nn.linear import Linear

ScaleMode = Literal["none", "fixed", "channel", "input"]
EPS = 1e-5  # keeps β₁ finite as α₁ → 1, as published


class Scales(NamedTuple):
    """α and β of sub-layers (1) and of the input mixing (2): numbers, or tensors that broadcast."""

    alpha_1: Tensor | float
    beta_1: Tensor | float
    alpha_2: Tensor
    beta_2: Tensor


def coupled(alpha_1: Tensor, alpha_2: Tensor, sublayers: int) -> Scales:
    """β₂ = 1 − α₂ α₁ᵐ and β₁ = β₂ (1 − α₁) / (1 − α₁ᵐ), m sub-layers: iterates stay bounded (FPRM Thm. 1)."""
    kept = alpha_1**sublayers
    beta_2 = 1.0 - alpha_2 * kept
    return Scales(alpha_1, beta_2 * (1.0 - alpha_1) / (1.0 - kept + EPS), alpha_2, beta_2)


class ResidualScale(nn.Module):
    """α₁ and α₂ of one level, shared by all its sub-layers; β₁ and β₂ follow from them.

    Args:
        mode: `fixed` numbers, one learnable logit a `channel`, or a function of the `input` state.
        width: channels.
        sublayers: m, two a block.
        alpha_1: of the residual stream at the start, in (0, 1).
        alpha_2: of the state where the problem is mixed in, in (0, 1).
        outer_only: scale the input mixing alone: α₁ = β₁ = 1, β₂ = 1 − α₂.
    """

    def __init__(
        self,
        mode: ScaleMode,
        width: int,
        sublayers: int,
        alpha_1: float,
        alpha_2: float,
        *,
        outer_only: bool = False,
    ) -> None:
        super().__init__()
        self.mode, self.sublayers, self.outer_only = mode, sublayers, outer_only
        starts = {"alpha_2": alpha_2} if outer_only else {"alpha_1": alpha_1, "alpha_2": alpha_2}
        for name, start in starts.items():
            value = torch.tensor(start)
            if mode == "fixed":
                self.register_buffer(name, value)
            elif mode == "channel":
                self.register_parameter(name, nn.Parameter(torch.logit(value).expand(width).clone()))
            else:
                self.add_module(name, Linear(width, width, bias=True))

    def forward(self, z: Tensor) -> Scales:
        """The scales for a state `[batch, tokens, width]`, in float32 (float64 stays)."""
        full = z if z.dtype == torch.float64 else z.float()
        alpha_2 = self._alpha("alpha_2", full)
        if self.outer_only:
            return Scales(1.0, 1.0, alpha_2, 1.0 - alpha_2)
        return coupled(self._alpha("alpha_1", full), alpha_2, self.sublayers)

    def _alpha(self, name: str, z: Tensor) -> Tensor:
        own = getattr(self, name)
        if self.mode == "fixed":
            return own
        return torch.sigmoid(own if self.mode == "channel" else own(z))

    def logits(self) -> list[nn.Parameter]:
        """The learnable logits, which no optimizer should decay towards α = ½."""
        return [value for value in self.parameters() if self.mode == "channel"]
