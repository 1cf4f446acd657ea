"""The reasoning block: mix tokens, then channels, each beside a residual stream."""

from typing import Literal

import torch
from torch import Tensor, nn

from equilibria.nn.attention import Attention
from equilibria.nn.norm import add_norm, rms_norm
from equilibria.nn.residual_scale import Scales
from equilibria.nn.swiglu import SwiGLU, TokenMixer

Norm = Literal["post", "pre", "peri"]


class ReasoningBlock(nn.Module):
    """Two sub-layers g on a stream h, normalised in one of three places.

    - `post` (HRM, TRM, EqR): `h ← norm(α h + β g(h))`;
    - `pre` (FPRM): `h ← α h + β g(norm(h))`;
    - `peri`: `h ← α h + β norm(g(norm(h)))`.

    α = β = 1 without residual scaling. Token mixing is self-attention, or an MLP over tokens whose norm
    also runs over tokens.
    """

    def __init__(
        self, token_mixing: Attention | TokenMixer, channel_mixing: SwiGLU, norm: Norm = "post"
    ) -> None:
        super().__init__()
        self.token_mixing = token_mixing
        self.channel_mixing = channel_mixing
        self.norm = norm

    def forward(self, x: Tensor, scales: Scales | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """`[batch, tokens, width]` → the same shape and dtype; sub-layers compute in `dtype`, or in x's."""
        if self.norm == "post" and scales is None:
            x = add_norm(x, self.token_mixing(x), dim=self.token_mixing.axis)
            return add_norm(x, self.channel_mixing(x))
        inside = dtype or x.dtype
        x = self._sublayer(self.token_mixing, x, scales, inside, self.token_mixing.axis)
        return self._sublayer(self.channel_mixing, x, scales, inside, -1)

    def _sublayer(
        self, mix: nn.Module, x: Tensor, scales: Scales | None, dtype: torch.dtype, axis: int
    ) -> Tensor:
        given = x if self.norm == "post" else rms_norm(x, axis)
        update = mix(given.to(dtype))
        if self.norm == "peri":
            update = rms_norm(update, axis)
        x = x + update if scales is None else scales.alpha_1 * x + scales.beta_1 * update
        return rms_norm(x, axis) if self.norm == "post" else x
