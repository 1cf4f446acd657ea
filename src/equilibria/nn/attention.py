"""Bidirectional multi-head self-attention."""

import torch.nn.functional as F
from torch import Tensor, nn

from equilibria.nn.linear import Linear
from equilibria.nn.rotary import Rotary


class Attention(nn.Module):
    """Softmax attention over all tokens, no bias, no mask, scale 1/√(head width).

    Its residual is normalised over channels: that is the `axis` a block asks for.
    """

    axis = -1

    def __init__(self, width: int, heads: int, rotary: Rotary | None) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(width, 3 * width)
        self.out = Linear(width, width)
        self.rotary = rotary

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, tokens, width]` → the same shape."""
        # Published layout of the fused projection: all query heads, then all keys, then all values.
        heads = self.qkv(x).unflatten(-1, (3, self.heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        if self.rotary is not None:
            query, key = self.rotary(query), self.rotary(key)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.out(mixed.transpose(1, 2).flatten(-2))
