"""The symmetries of Sudoku: what turns a puzzle into an equivalent one, and which puzzles are equivalent."""

from dataclasses import dataclass
from itertools import permutations, product
from typing import Self

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from equilibria.errors import DataError
from equilibria.tasks.sudoku.board import BLANK, Box, side

CANONICAL_SIDE = 6  # 6×6 has 3,456 arrangements of rows and columns, 9×9 3,359,232


def draws(box: Box) -> int:
    """Uniforms that one symmetry takes: digits, transpose, bands, rows in them, stacks, columns in them."""
    return side(box) + 1 + (box[1] + side(box)) + (box[0] + side(box))


@dataclass(frozen=True)
class Symmetry:
    """A batch of symmetries, as in the HRM data set (`build_sudoku_dataset.py`).

    Transpose first; then cell (i, j) takes the old cell (rows[i], columns[j]); last, digit d becomes
    digits[d], both counted from 0. `digits`, `rows`, `columns`: int64 [batch, side]; `transpose`: bool.
    """

    digits: Tensor
    rows: Tensor
    columns: Tensor
    transpose: Tensor

    @classmethod
    def draw(cls, uniforms: Tensor, box: Box) -> Self:
        """The symmetries that `uniforms` [batch, draws(box)] in [0, 1) stand for; uniform over all there are.

        Boards with boxes that are not square are never transposed.
        """
        height, width = box
        size = side(box)
        digits, flip, bands, rows, stacks, columns = uniforms.split(
            [size, 1, width, size, height, size], dim=1
        )
        return cls(
            digits.argsort(1),
            _lines(bands, rows, height),
            _lines(stacks, columns, width),
            (flip[:, 0] < 0.5) & (height == width),
        )

    def apply(self, boards: Tensor) -> Tensor:
        """The images of `boards` [batch, side²] of tokens; blank and pad stay as they are."""
        size = self.digits.shape[1]
        rows, columns = self.rows[:, :, None], self.columns[:, None, :]
        source = torch.where(self.transpose[:, None, None], columns * size + rows, rows * size + columns)
        fixed = torch.arange(BLANK + 1, device=boards.device).expand(len(boards), -1)
        tokens = torch.cat([fixed, self.digits + 2], dim=1)
        return tokens.gather(1, boards.gather(1, source.flatten(1)).long()).to(boards.dtype)


def _lines(groups: Tensor, inner: Tensor, length: int) -> Tensor:
    """Old index of each row: groups [batch, n] of `length` rows in a random order, and rows within each."""
    within = inner.view(len(inner), -1, length).argsort(2)
    return (groups.argsort(1)[:, :, None] * length + within).flatten(1)


def canonical(boards: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """One representative of each board [count, side²]: equal for equivalent boards, and only for them.

    The least image in reading order, blanks first, over all orders of rows and columns (and transposition if
    boxes are square), its digits numbered as they appear. Raises DataError above side 6.
    """
    size = side(box)
    if size > CANONICAL_SIDE:
        raise DataError(
            f"canonical forms reach up to side {CANONICAL_SIDE}; a {size}×{size} board has too many images"
        )
    rows, columns = _orders(box[1], box[0]), _orders(box[0], box[1])
    grids = np.ascontiguousarray(boards, np.uint8).reshape(-1, size, size)
    return _canonical_all(grids, rows, columns, box[0] == box[1]).reshape(-1, size * size)


def _orders(groups: int, length: int) -> NDArray[np.int64]:
    """Every order of groups·length rows that keeps groups together."""
    inner = list(permutations(range(length)))
    return np.array(
        [
            [group * length + row for group, order in zip(outer, orders, strict=True) for row in order]
            for outer in permutations(range(groups))
            for orders in product(inner, repeat=groups)
        ]
    )


@njit(cache=True)
def _canonical_all(grids, rows, columns, square):
    least = np.full_like(grids, 255)
    for index in range(len(grids)):
        _least_image(grids[index], rows, columns, least[index])
        if square:
            _least_image(grids[index].T.copy(), rows, columns, least[index])
    return least


@njit(cache=True)
def _least_image(grid, rows, columns, least):
    """Lower `least` [side, side] to the least image of `grid`, where there is one below it."""
    size = len(grid)
    renamed = np.empty(size + 2, np.uint8)
    for row in range(len(rows)):
        for column in range(len(columns)):
            renamed[:] = 0
            fresh = BLANK + 1
            order = 0  # of this image against the least one so far
            for cell in range(size * size):
                i, j = cell // size, cell % size
                token = grid[rows[row, i], columns[column, j]]
                if token > BLANK:
                    if renamed[token] == 0:
                        renamed[token] = fresh
                        fresh += 1
                    token = renamed[token]
                if order == 0:
                    if token > least[i, j]:
                        break
                    if token < least[i, j]:
                        order = -1
                least[i, j] = token
