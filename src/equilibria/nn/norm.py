"""Root-mean-square normalisation of a residual sum, without a learned gain (Zhang & Sennrich 2019)."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from equilibria.nn.second_order import second_order_wanted

EPS = 1e-5


class _AddNorm(torch.autograd.Function):
    """Keeps the result and one scale per vector for the backward pass, instead of every intermediate."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, update: Tensor, dim: int) -> Tensor:
        total = x + update
        full = total.float() if total.dtype == torch.bfloat16 else total
        scale = torch.rsqrt(full.square().mean(dim, keepdim=True) + EPS)
        result = (full * scale).to(x.dtype)
        ctx.save_for_backward(result, scale)
        ctx.dim = dim
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (gradient,) = grad_outputs
        result, scale = ctx.saved_tensors
        unit, upstream = result.to(scale.dtype), gradient.to(scale.dtype)
        along = (unit * upstream).mean(ctx.dim, keepdim=True)
        inner = upstream.sub(unit * along).mul_(scale).to(gradient.dtype)
        return inner, inner, None


def rms_norm(x: Tensor, dim: int = -1) -> Tensor:
    """`x / √(mean(x²) + 1e-5)` along `dim`; bfloat16 is normalised in float32."""
    full = x.float() if x.dtype == torch.bfloat16 else x
    return (full * torch.rsqrt(full.square().mean(dim, keepdim=True) + EPS)).to(x.dtype)


def add_norm(x: Tensor, update: Tensor, dim: int = -1) -> Tensor:
    """`y / √(mean(y²) + 1e-5)` along `dim`, y = x + update; bfloat16 is normalised in float32."""
    # A compiler fuses the plain formula itself.
    if torch.compiler.is_compiling() or second_order_wanted():
        return rms_norm(x + update, dim)
    return _AddNorm.apply(x, update, dim)  # type: ignore[no-any-return]
