"""Linear maps with float32 parameters, computed in the dtype of what they are given."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equilibria.distributions import truncated_normal


class Linear(nn.Module):
    """`x Wᵀ + b` with `W [outputs, inputs]` kept in float32 and cast to the dtype of `x`.

    Weights start as a truncated normal of standard deviation 1/√inputs, biases at zero.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(truncated_normal(torch.rand(outputs, inputs), 1.0 / math.sqrt(inputs)))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """`[..., inputs]` → `[..., outputs]`."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return F.linear(x, self.weight.to(x.dtype), bias)

    def from_left(self, x: Tensor) -> Tensor:
        """`W x` for every sample: `[batch, inputs, columns]` → `[batch, outputs, columns]`, no bias."""
        # Not torch.matmul: where the weight needs a gradient, that folds the batch into a transposed copy.
        weight = self.weight.to(x.dtype)
        return torch.bmm(weight.expand(len(x), *weight.shape), x)
