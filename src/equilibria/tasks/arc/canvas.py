"""Grids on a square canvas of tokens, as HRM and TRM code them (reference section 9).

A pad is 0, an end marker 1, a colour its number + 2. A grid lies with its top left corner at an offset;
the row just below it and the column just right of it are painted with end markers as far as the grid goes,
where the canvas has room for them. So the size of an answer can be read off.
"""

import numpy as np
import torch
from torch import Tensor

from equilibria.tasks.arc.grid import COLOURS, Grid

PAD, END, FIRST = 0, 1, 2  # FIRST: the token of colour 0
VOCABULARY = FIRST + COLOURS


def encode(grid: Grid, canvas: int, offset: tuple[int, int] = (0, 0)) -> Tensor:
    """Tokens uint8 `[canvas²]` of a grid whose corner lies at `offset`, (row, column); it must fit."""
    top, left = offset
    bottom, right = top + grid.shape[0], left + grid.shape[1]
    tokens = torch.full((canvas, canvas), PAD, dtype=torch.uint8)
    tokens[top:bottom, left:right] = torch.from_numpy(grid + np.uint8(FIRST))
    tokens[bottom : bottom + 1, left:right] = END
    tokens[top:bottom, right : right + 1] = END
    return tokens.flatten()


def extents(tokens: Tensor, canvas: int) -> tuple[Tensor, Tensor]:
    """Height and width, int64 `[batch]`, of the grid in the top left corner of `tokens [batch, canvas²]`.

    It is the rectangle of greatest area all of whose tokens are colours; of equal ones the lowest. Zero and
    zero where the corner itself is none.
    """
    colours = ((tokens >= FIRST) & (tokens < VOCABULARY)).view(-1, canvas, canvas)
    run = colours.long().cumprod(dim=2).sum(dim=2)  # colours of a row before its first other token
    width = run.cummin(dim=1).values
    area = width * torch.arange(1, canvas + 1, device=tokens.device)
    best = area.argmax(dim=1)
    widths = width.gather(1, best[:, None]).squeeze(1)
    return torch.where(widths > 0, best + 1, 0), widths


def decode(tokens: Tensor, canvas: int) -> list[Grid | None]:
    """The grid in the top left corner of each of `tokens [batch, canvas²]`; None where there is none."""
    heights, widths = (sizes.tolist() for sizes in extents(tokens, canvas))
    boards = tokens.view(-1, canvas, canvas).to(torch.uint8).cpu().numpy()
    return [
        board[:height, :width] - FIRST if width else None
        for board, height, width in zip(boards, heights, widths, strict=True)
    ]
