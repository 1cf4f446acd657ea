"""Sudoku as people write it: one-line strings, and grids with or without borders."""

import csv

import numpy as np
from numpy.typing import NDArray

from equilibria.errors import DataError
from equilibria.tasks.sudoku.board import BLANK, DIGITS, Box, cell_name, side
from equilibria.tasks.sudoku.rules import contradiction, contradictory
from equilibria.tasks.table import RowError, placed

EMPTY = ".0_*·"
BORDERS = frozenset(" \t|-+=" + "".join(map(chr, range(0x2500, 0x2580))))  # and Unicode's box-drawing block
SIDES = {16: (2, 2), 36: (2, 3), 81: (3, 3), 256: (4, 4)}  # cells of a board: the shape of its boxes


def alphabet(box: Box) -> dict[str, int]:
    """The token of each character that may stand in a cell; letters in either case."""
    digits = DIGITS[: side(box)]
    return dict.fromkeys(EMPTY, BLANK) | {
        character: token for token, digit in enumerate(digits, 2) for character in (digit, digit.lower())
    }


def illegal(character: str, box: Box) -> str:
    """Why a character cannot stand in a cell."""
    digits = DIGITS[: side(box)]
    span = f"1-{digits[-1]}" if len(digits) < 10 else f"1-9 and A-{digits[-1]}"
    return f"{character!r} is neither a digit ({span}) nor an empty cell (. 0 _ or *)"


def parse_boards(text: str, box: Box, where: str) -> tuple[NDArray[np.uint8], list[int]]:
    """All boards of `text`, uint8 [count, tokens], and the line that each begins on.

    A board is one line of side² cells, or side lines of side cells; borders are skipped, blank lines part
    grids, `#` begins a comment. Raises DataError naming line, character and cells.
    """
    size = side(box)
    known = alphabet(box)
    boards: list[list[int]] = []
    lines: list[int] = []
    grid: list[int] = []  # the cells of a grid that is not whole yet

    def whole(last: int) -> None:
        if grid:
            raise DataError(
                f"{where}, lines {lines[-1]}-{last}: this grid has {len(grid) // size} rows; "
                f"a {size}×{size} puzzle has {size}"
            )

    numbered = list(enumerate(text.splitlines(), 1))
    for number, line in numbered:
        content = line.split("#")[0]
        if not line.strip():
            whole(number - 1)
        cells = _cells(content, known, box, f"{where}, line {number}")
        if len(cells) == size * size:
            whole(number - 1)
            boards.append(cells)
            lines.append(number)
        elif len(cells) == size:
            if not grid:
                lines.append(number)
            grid += cells
            if len(grid) == size * size:
                boards.append(grid)
                grid = []
        elif cells:
            raise DataError(f"{where}, line {number}: {_wrong_length(len(cells), content, box)}")
    whole(len(numbered))
    if not boards:
        raise DataError(f"{where} holds no puzzle: write {size * size} cells on one line, or {size} a line")
    result = np.array(boards, np.uint8)
    with placed(where, lines):
        check_clues(result, box)
    return result, lines


def check_clues(boards: NDArray[np.uint8], box: Box) -> None:
    """Raise RowError for the first of `boards` [count, tokens] whose clues break a rule."""
    for row in np.flatnonzero(contradictory(boards, box))[:1].tolist():
        raise RowError(row, f"the clues contradict each other: {contradiction(boards[row], box)}")


def spell(cells: list[int], box: Box) -> str:
    """The one-line text of a board whose cells are whole numbers: 0 is blank, 1 to side are digits.

    Raises RowError for any other number.
    """
    symbols = "." + DIGITS[: side(box)]
    if cells and not 0 <= min(cells) <= max(cells) < len(symbols):
        cell = next(cell for cell, value in enumerate(cells) if not 0 <= value < len(symbols))
        wrong = f"{cells[cell]} is neither a digit (1-{side(box)}) nor 0 for an empty cell"
        raise RowError(0, f"{cell_name(cell, box)}: {wrong}")
    return "".join([symbols[value] for value in cells])


def content(line: str) -> str:
    """The cells of a line of text, without borders and comment."""
    return "".join(character for character in line.split("#")[0] if character not in BORDERS)


def infer_box(text: str) -> Box:
    """The box shape of the first puzzle in `text` (that of a table, too), from its number of cells.

    36 cells are read as boxes of 2 rows and 3 columns. Raises DataError unless they are 16, 36, 81 or 256.
    """
    contents = [content for line in text.splitlines() if (content := line.split("#")[0].strip())]
    header = next(csv.reader(contents[:1]), [])
    if "question" in header and len(contents) > 1:
        contents = [next(csv.reader(contents[1:2]))[header.index("question")]]
    rows = ["".join(character for character in line if character not in BORDERS) for line in contents]
    first = next((row for row in rows if row), "")
    cells = len(first)
    if cells == 16 and set("".join(rows).upper()) & set(DIGITS[4:]):
        cells = 256  # 16 cells with a digit above 4: a row of a grid, not a 4×4 board
    if cells in (4, 6, 9):
        cells = cells**2
    if cells not in SIDES:
        raise DataError(
            f"the first puzzle's first line has {cells} cells; a one-line puzzle has 16, 36, 81 or 256, "
            f"a row of a grid 4, 6, 9 or 16. Give the shape of a box for other sizes"
        )
    return SIDES[cells]


def _cells(content: str, known: dict[str, int], box: Box, where: str) -> list[int]:
    cells = []
    for position, character in enumerate(content, 1):
        if character not in BORDERS:
            if character not in known:
                raise DataError(f"{where}, character {position}: {illegal(character, box)}")
            cells.append(known[character])
    return cells


def _wrong_length(cells: int, content: str, box: Box) -> str:
    size = side(box)
    message = (
        f"{cells} cells; a {size}×{size} puzzle has {size * size} on one line, or {size} lines of {size}"
    )
    if cells in SIDES:
        other = side(SIDES[cells])
        message += f". {cells} cells are a {other}×{other} puzzle: set the task's box to {list(SIDES[cells])}"
    elif "-" in content:
        message += ". '-' is a border here: write an empty cell as . 0 _ or *"
    return message
