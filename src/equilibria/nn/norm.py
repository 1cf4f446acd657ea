"""Root-mean-square normalisation without a learned gain (Zhang & Sennrich 2019)."""

import torch
from torch import Tensor


def rms_norm(x: Tensor, dim: int = -1, eps: float = 1e-5) -> Tensor:
    """`x / √(mean(x²) + eps)` along `dim`, computed in float32, returned in the dtype of `x`."""
    full = x.float()
    scale = torch.rsqrt(full.square().mean(dim, keepdim=True) + eps)
    return (full * scale).to(x.dtype)
