"""SwiGLU (Shazeer 2020), over channels or over tokens."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equilibria.nn.linear import Linear


def inner_width(size: int, expansion: float) -> int:
    """The published inner width: two thirds of `expansion · size`, rounded up to a multiple of 256."""
    return -(-round(expansion * size * 2 / 3) // 256) * 256


class SwiGLU(nn.Module):
    """`(SiLU(gate) ⊙ value) · down` along the last axis; gate and value share one matmul."""

    def __init__(self, size: int, inner: int) -> None:
        super().__init__()
        self.gate_up = Linear(size, 2 * inner)
        self.down = Linear(inner, size)

    def forward(self, x: Tensor) -> Tensor:
        """`[..., size]` → `[..., size]`."""
        gate, value = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * value)


class TokenMixer(SwiGLU):
    """The same SwiGLU along the token axis: every channel mixes its tokens (Tolstikhin et al. 2021).

    Weights act from the left, so no transposed copy of the state is ever made. Its residual is
    normalised over tokens too: that is the `axis` a block asks for.
    """

    axis = -2

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, tokens, width]` → the same shape."""
        gate, value = torch.matmul(self.gate_up.weight.to(x.dtype), x).chunk(2, dim=-2)
        return torch.matmul(self.down.weight.to(x.dtype), F.silu(gate) * value)
