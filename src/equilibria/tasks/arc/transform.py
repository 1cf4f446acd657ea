"""Canvases turned, recoloured and moved, many at once and on whatever device they are."""

import torch
from torch import Tensor

from equilibria.tasks.arc.canvas import END, FIRST, PAD, extents


def swaps(turns: Tensor) -> Tensor:
    """Which turns exchange height and width: bool like `turns`."""
    return (turns == 1) | (turns == 3) | (turns >= 6)


def sizes(tokens: Tensor, turns: Tensor, canvas: int) -> tuple[Tensor, Tensor]:
    """Height and width `[batch]` that the grids of `tokens [batch, canvas²]` have once they are turned."""
    height, width = extents(tokens, canvas)
    swapped = swaps(turns)
    return torch.where(swapped, width, height), torch.where(swapped, height, width)


def transformed(tokens: Tensor, canvas: int, turns: Tensor, colours: Tensor, offsets: Tensor) -> Tensor:
    """Canvases of the same grids under augmentations, each at a place of its own.

    Equals `encode(augmentation.apply(grid), canvas, offset)`, row by row.

    Args:
        tokens: uint8 `[batch, canvas²]`, grids in the top left corner.
        canvas: side of the canvas.
        turns: `[batch]`, see `symmetry.turned`.
        colours: `[batch, 10]`, what each colour becomes.
        offsets: int64 `[batch, 2]`, row and column of the corner; the turned grid must fit.
    """
    height, width = (size[:, None, None] for size in extents(tokens, canvas))
    turn = turns[:, None, None]
    swapped = swaps(turn)
    new_height, new_width = torch.where(swapped, width, height), torch.where(swapped, height, width)
    index = torch.arange(canvas, device=tokens.device)
    row = index[:, None] - offsets[:, 0, None, None]
    column = index[None, :] - offsets[:, 1, None, None]
    in_rows, in_columns = (row >= 0) & (row < new_height), (column >= 0) & (column < new_width)
    inside = in_rows & in_columns
    ends = ((row == new_height) & in_columns) | ((column == new_width) & in_rows)
    # The cell of the old grid that comes to stand at (row, column) of the new one.
    old_row, old_column = torch.where(swapped, column, row), torch.where(swapped, row, column)
    old_row = torch.where(
        (turn == 2) | (turn == 3) | (turn == 5) | (turn == 7), height - 1 - old_row, old_row
    )
    flipped = (turn == 1) | (turn == 2) | (turn == 4) | (turn == 7)
    old_column = torch.where(flipped, width - 1 - old_column, old_column)
    source = torch.where(inside, old_row * canvas + old_column, 0).flatten(1)
    cells = (tokens.gather(1, source).long() - FIRST).clamp(min=0)  # outside of the grid it does not matter
    recoloured = colours.gather(1, cells).to(tokens.dtype) + FIRST
    blank = torch.where(ends, END, PAD).to(tokens.dtype).flatten(1)
    return torch.where(inside.flatten(1), recoloured, blank)
