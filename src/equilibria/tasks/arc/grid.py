"""A grid: colours 0 to 9 in at most 30 rows and columns; as lists of JSON, as text, and as an array."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from equilibria.tables import shortened

Grid = NDArray[np.uint8]
"""Colours, uint8 `[height, width]`."""

COLOURS = 10
LARGEST = 30
ROW_END = "/"


class GridError(ValueError):
    """What is wrong with a grid, in words; whoever knows where it stands says so."""


def as_grid(value: Any, largest: int = LARGEST) -> Grid:
    """The grid of lists of whole numbers, one a row. Raises GridError."""
    if not isinstance(value, list) or not value or not all(isinstance(row, list) for row in value):
        raise GridError("a grid is a list of rows, each a list of colours")
    rows: list[list[Any]] = value
    height, width = len(rows), len(rows[0])
    if width == 0:
        raise GridError("row 1 is empty")
    if ragged := [number for number, row in enumerate(rows, 1) if len(row) != width]:
        raise GridError(f"row {ragged[0]} has {len(rows[ragged[0] - 1])} cells and row 1 has {width}")
    if max(height, width) > largest:
        raise GridError(f"{height}×{width} cells do not fit a canvas of {largest}×{largest}")
    for number, row in enumerate(rows, 1):
        for place, colour in enumerate(row, 1):
            # JSON's true is an int to Python
            if type(colour) is not int or not 0 <= colour < COLOURS:
                shown = shortened(repr(colour))
                raise GridError(f"row {number}, column {place}: {shown} is no colour; colours are 0 to 9")
    return np.array(rows, dtype=np.uint8)


def parse_grid(text: str, largest: int = LARGEST) -> Grid:
    """The grid that a line says: a digit a cell, and `/` between rows. Raises GridError."""
    rows = [list(row.strip()) for row in text.strip().split(ROW_END)]
    return as_grid([[int(cell) if cell in "0123456789" else cell for cell in row] for row in rows], largest)


def format_grid(grid: Grid) -> str:
    """The inverse of `parse_grid`."""
    return ROW_END.join("".join(map(str, row)) for row in grid.tolist())
