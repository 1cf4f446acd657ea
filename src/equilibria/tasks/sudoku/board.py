"""A Sudoku board: tokens, symbols and which cells make a row, a column or a box.

`box` is the height and width of a box. A board of side h·w holds w bands of h rows and h stacks of w columns:
9×9 is (3, 3); 6×6 is (2, 3). Cells are numbered row by row. Coding of HRM, TRM and EqR: digit + 1.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int]

BLANK = 1  # 0 is the pad
DIGITS = "123456789ABCDEFG"


def side(box: Box) -> int:
    """Rows of the board, and as many columns and digits."""
    return box[0] * box[1]


def symbol(token: int) -> str:
    """The character of one token: `.` for a cell without a digit."""
    return DIGITS[token - 2] if token > BLANK else "."


def cell_name(cell: int, box: Box) -> str:
    """`row 3, column 5`, counted from 1."""
    row, column = divmod(cell, side(box))
    return f"row {row + 1}, column {column + 1}"


@cache
def units(box: Box) -> NDArray[np.uint32]:
    """The row, column and box of each cell, as numbers below 3·side: uint32 [tokens, 3]."""
    height, width = box
    size = side(box)
    row, column = np.divmod(np.arange(size * size), size)
    boxes = row // height * height + column // width  # a band of boxes has size / width = height of them
    return np.stack([row, size + column, 2 * size + boxes], axis=1).astype(np.uint32)


@cache
def members(box: Box) -> NDArray[np.int64]:
    """The cells of each row, column and box, ascending: int64 [3·side, side]."""
    return np.stack([np.flatnonzero((units(box) == unit).any(axis=1)) for unit in range(3 * side(box))])


def unit_name(unit: int, box: Box) -> str:
    """`row 2`, `column 7` or `the box at rows 1-3, columns 4-6`."""
    size = side(box)
    kind, index = divmod(unit, size)
    if kind < 2:
        return f"{('row', 'column')[kind]} {index + 1}"
    row, column = divmod(int(members(box)[unit, 0]), size)
    return f"the box at rows {row + 1}-{row + box[0]}, columns {column + 1}-{column + box[1]}"
