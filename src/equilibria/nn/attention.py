"""Multi-head self-attention."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from equilibria.nn.linear import Linear
from equilibria.nn.rotary import Rotary


class Attention(nn.Module):
    """Softmax attention over all tokens, or over those up to one's own; no bias, scale 1/(√(head width) · T).

    Its residual is normalised over channels: that is the `axis` a block asks for.

    Args:
        width: channels.
        heads: parts of them that attend on their own.
        rotary: position encoding of queries and keys, or None.
        causal: a token sees itself and those before it only.
        temperature: T, by which the scores are divided.
    """

    axis = -1

    def __init__(
        self, width: int, heads: int, rotary: Rotary | None, *, causal: bool = False, temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(width, 3 * width)
        self.out = Linear(width, width)
        self.rotary = rotary
        self.causal = causal
        self.scale = None if temperature == 1.0 else 1.0 / (math.sqrt(width // heads) * temperature)

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, tokens, width]` → the same shape."""
        # Published layout of the fused projection: all query heads, then all keys, then all values.
        heads = self.qkv(x).unflatten(-1, (3, self.heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        if self.rotary is not None:
            query, key = self.rotary(query), self.rotary(key)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal, scale=self.scale)
        return self.out(mixed.transpose(1, 2).flatten(-2))
