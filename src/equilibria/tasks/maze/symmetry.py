"""The eight turns and mirror images of a square."""

import torch
from torch import Tensor


def symmetric(boards: Tensor, which: Tensor) -> Tensor:
    """The images of `boards` [batch, size²] under the symmetries `which` [batch], numbers from 0 (none) to 7.

    Bit 0 mirrors rows, bit 1 mirrors columns, bit 2 exchanges them first.
    """
    size = round(boards.shape[1] ** 0.5)
    index = torch.arange(size, device=boards.device)
    rows = torch.where((which & 1).bool()[:, None], index.flip(0), index)[:, :, None]
    columns = torch.where((which & 2).bool()[:, None], index.flip(0), index)[:, None, :]
    turned = (which & 4).bool()[:, None, None]
    return boards.gather(1, torch.where(turned, columns * size + rows, rows * size + columns).flatten(1))
