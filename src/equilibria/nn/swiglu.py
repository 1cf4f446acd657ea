"""SwiGLU (Shazeer 2020), over channels or over tokens."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from equilibria.nn.convolution import SequenceConvolution
from equilibria.nn.linear import Linear
from equilibria.nn.norm import rms_norm
from equilibria.nn.second_order import second_order_wanted

Gate = Literal["silu", "bounded"]


def inner_width(size: int, expansion: float) -> int:
    """The published inner width: two thirds of `expansion · size`, rounded up to a multiple of 256."""
    return -(-round(expansion * size * 2 / 3) // 256) * 256


class _Gated(torch.autograd.Function):
    """Both halves of the gradient go into one buffer, and only the input is kept."""

    @staticmethod
    def forward(ctx: Any, gate_up: Tensor, dim: int) -> Tensor:
        gate, value = gate_up.chunk(2, dim)
        ctx.save_for_backward(gate_up)
        ctx.dim = dim
        return F.silu(gate).mul_(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (gradient,) = grad_outputs
        (gate_up,) = ctx.saved_tensors
        result = torch.empty_like(gate_up)
        gate, value = gate_up.chunk(2, ctx.dim)
        to_gate, to_value = result.chunk(2, ctx.dim)
        torch.mul(F.silu(gate), gradient, out=to_value)
        torch.ops.aten.silu_backward(gradient * value, gate, grad_input=to_gate)
        return result, None


def gated(gate_up: Tensor, dim: int) -> Tensor:
    """`SiLU(gate) ⊙ value`, gate and value being the halves of `gate_up` along `dim`."""
    # A compiler fuses the plain formula itself, and cannot see into ours.
    if torch.compiler.is_compiling() or second_order_wanted():
        gate, value = gate_up.chunk(2, dim)
        return F.silu(gate) * value
    return _Gated.apply(gate_up, dim)  # type: ignore[no-any-return]


def bounded(gate_up: Tensor, dim: int) -> Tensor:
    """`sigmoid(gate) ⊙ norm(gate ⊙ value)`: a gate whose output cannot grow with the weights.

    Muon moves all directions of a matrix alike; a product that is normalised stays in scale under it
    ("Speed is Confidence", arXiv 2601.19085).
    """
    gate, value = gate_up.chunk(2, dim)
    return torch.sigmoid(gate) * rms_norm(gate * value, dim)


GATES = {"silu": gated, "bounded": bounded}


class SwiGLU(nn.Module):
    """`(SiLU(gate) ⊙ value) · down` along the last axis; gate and value share one matmul.

    Args:
        size: width of the input and of the output.
        inner: width of gate and value.
        gate: how they meet: `silu` as published, or `bounded`.
    """

    def __init__(self, size: int, inner: int, gate: Gate = "silu") -> None:
        super().__init__()
        self.gated = GATES[gate]
        self.gate_up = Linear(size, 2 * inner)
        self.down = Linear(inner, size)

    def forward(self, x: Tensor) -> Tensor:
        """`[..., size]` → `[..., size]`."""
        return self.down(self.gated(self.gate_up(x), -1))


class TokenMixer(SwiGLU):
    """The same SwiGLU along the token axis: every channel mixes its tokens (Tolstikhin et al. 2021).

    Weights act from the left, so no transposed copy of the state is ever made. Its residual is
    normalised over tokens too: that is the `axis` a block asks for.
    """

    axis = -2

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, tokens, width]` → the same shape."""
        return self.down.from_left(self.gated(self.gate_up.from_left(x), -2))


class ConvolutionalSwiGLU(SwiGLU):
    """A SwiGLU whose product passes a short convolution over tokens and a second SiLU before `down` (URM).

    With the published kernel of 2 every token sees itself and the one before it.
    """

    def __init__(self, size: int, inner: int, gate: Gate = "silu", *, kernel: int = 2) -> None:
        super().__init__(size, inner, gate)
        self.convolution = SequenceConvolution(inner, kernel, look_back=kernel // 2, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, tokens, size]` → the same shape."""
        return self.down(F.silu(self.convolution(self.gated(self.gate_up(x), -1))))
