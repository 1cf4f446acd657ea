"""Rotary position encodings (Su et al. 2021), half-split, along a sequence or a board."""

import torch
from torch import Tensor, nn


def _angles(positions: Tensor, width: int, theta: float) -> Tensor:
    """Rotation angles `[positions, width]`: frequencies θ^(−2i/width), listed twice for the two halves."""
    frequencies = 1.0 / theta ** (torch.arange(0, width, 2, dtype=torch.float32) / width)
    half = torch.outer(positions.float(), frequencies)
    return torch.cat([half, half], dim=-1)


def _quarter_turn(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)


class Rotary(nn.Module):
    """Rotates query and key vectors by their position; tables in float32, rebuilt rather than stored."""

    cos: Tensor
    sin: Tensor

    def __init__(self, angles: Tensor) -> None:
        super().__init__()
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, heads, tokens, head width]` → the same shape and dtype; fewer tokens: the first ones."""
        full, tokens = x.float(), x.shape[-2]
        return (full * self.cos[:tokens] + self.turn(full) * self.sin[:tokens]).to(x.dtype)

    def turn(self, x: Tensor) -> Tensor:
        """The vector a quarter turn ahead, per rotated plane."""
        return _quarter_turn(x)


class SequenceRotary(Rotary):
    """Positions run over the whole sequence, prefix slots included."""

    def __init__(self, tokens: int, width: int, theta: float = 10_000.0) -> None:
        super().__init__(_angles(torch.arange(tokens), width, theta))


class BoardRotary(Rotary):
    """The first half of each head vector turns with the row, the second with the column (EqR `rope2d`)."""

    def __init__(self, board: tuple[int, int], width: int, theta: float = 10_000.0) -> None:
        height, columns = board
        rows = torch.arange(height).repeat_interleave(columns)
        cols = torch.arange(columns).repeat(height)
        half = width // 2
        super().__init__(torch.cat([_angles(rows, half, theta), _angles(cols, half, theta)], dim=-1))

    def turn(self, x: Tensor) -> Tensor:
        row_part, column_part = x.chunk(2, dim=-1)
        return torch.cat([_quarter_turn(row_part), _quarter_turn(column_part)], dim=-1)
