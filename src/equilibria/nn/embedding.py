"""From tokens (and, optionally, the identity of the puzzle) to the condition a reasoner is given."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equilibria.distributions import truncated_normal


class TokenEmbedding(nn.Module):
    """Embeds a problem: `√width · E[tokens]`, behind optional prefix slots that carry the puzzle's identity.

    Args:
        vocabulary: number of token values.
        tokens: number of board tokens.
        width: embedding width.
        prefix: slots before the board for the identity vector (TRM).
        identifiers: rows of the identity table (used when `prefix` > 0).
        identity_width: width of an identity vector; it fills the first slots, zeros the rest.
        learned_positions: add a learned table over prefix and board, scaled by 1/√2.
    """

    def __init__(
        self,
        vocabulary: int,
        tokens: int,
        width: int,
        *,
        prefix: int = 0,
        identifiers: int = 1,
        identity_width: int = 0,
        learned_positions: bool = False,
    ) -> None:
        super().__init__()
        self.width = width
        self.prefix = prefix
        self.weight = nn.Parameter(truncated_normal(torch.rand(vocabulary, width), 1.0 / math.sqrt(width)))
        # Sparse: only the rows of this batch get a gradient, which sparse sign-SGD then applies.
        self.identity = (
            nn.Embedding(
                identifiers, identity_width, sparse=True, _weight=torch.zeros(identifiers, identity_width)
            )
            if prefix
            else None
        )
        self.positions = (
            nn.Parameter(truncated_normal(torch.rand(prefix + tokens, width), 1.0 / math.sqrt(width)))
            if learned_positions
            else None
        )

    def forward(self, tokens: Tensor, identifiers: Tensor | None, dtype: torch.dtype) -> Tensor:
        """`tokens [batch, tokens]`, `identifiers [batch]` → `[batch, prefix + tokens, width]` in `dtype`."""
        x = self.weight.to(dtype)[tokens.int()]
        if self.identity is not None:
            if identifiers is None:
                identifiers = torch.zeros(len(tokens), dtype=torch.int64, device=tokens.device)
            vector = self.identity(identifiers).to(dtype)
            slots = F.pad(vector, (0, self.prefix * self.width - vector.shape[1]))
            x = torch.cat([slots.unflatten(1, (self.prefix, self.width)), x], dim=1)
        if self.positions is not None:
            x = (x + self.positions.to(dtype)) * math.sqrt(0.5)
        return x * math.sqrt(self.width)
