"""Mazes as people write them: size lines of size characters, or all cells on one line."""

import csv

import numpy as np
from numpy.typing import NDArray

from equilibria.errors import DataError
from equilibria.tasks.maze.grid import CHARACTERS, OPEN, cell_name
from equilibria.tasks.maze.rules import fault
from equilibria.tasks.table import RowError, placed

LEGAL = "# SGo"
ILLEGAL = 255


def parse_mazes(text: str, size: int, where: str) -> tuple[NDArray[np.uint8], list[int]]:
    """All mazes of `text`, uint8 [count, cells], and the line that each begins on.

    A maze is one line of size² characters, or size lines of size; `.` is an open cell, too, and blank lines
    part mazes. Raises DataError naming line and cell.
    """
    mazes: list[str] = []
    lines: list[int] = []
    rows: list[str] = []  # of a maze that is not whole yet

    def whole(last: int) -> None:
        if rows:
            raise DataError(
                f"{where}, lines {lines[-1]}-{last}: this maze has {len(rows)} rows; a {size}×{size} maze "
                f"has {size}. Write open cells as . where a line would be blank"
            )

    numbered = list(enumerate(text.splitlines(), 1))
    for number, line in numbered:
        if len(line) == size * size:
            whole(number - 1)
            mazes.append(line)
            lines.append(number)
        elif len(line) == size and (rows or line.strip()):
            if not rows:
                lines.append(number)
            rows.append(line)
            if len(rows) == size:
                mazes.append("".join(rows))
                rows = []
        elif line.strip():
            raise DataError(
                f"{where}, line {number}: {len(line)} characters; a {size}×{size} maze has {size * size} on "
                f"one line, or {size} lines of {size}. Write open cells at the end of a line as ."
            )
        else:
            whole(number - 1)
    whole(len(numbered))
    if not mazes:
        raise DataError(
            f"{where} holds no maze: write {size} lines of {size} characters: # wall, . open, S, G"
        )
    with placed(where, lines):
        boards = decode(mazes, size, "maze")
        check(boards, size)
    return boards, lines


def check(boards: NDArray[np.uint8], size: int) -> None:
    """Raise RowError for the first of `boards` [count, cells] that is no maze."""
    for row, board in enumerate(boards):
        if reason := fault(board, size):
            raise RowError(row, reason)


def decode(texts: list[str], size: int, column: str) -> NDArray[np.uint8]:
    """Tokens [count, cells] of one-line mazes, all characters in one lookup. Raises RowError."""
    lookup = np.full(256, ILLEGAL, np.uint8)
    lookup[ord(".")] = OPEN
    for character in LEGAL:
        lookup[ord(character)] = CHARACTERS.index(character)
    for row, text in enumerate(texts):
        if len(text) != size * size:
            raise RowError(row, f"the {column} has {len(text)} cells; a {size}×{size} maze has {size * size}")
    # every legal character is in Latin-1; whatever is not becomes '?', which is illegal as well
    codes = np.frombuffer("".join(texts).encode("latin-1", "replace"), np.uint8)
    boards = lookup[codes].reshape(-1, size * size)
    wrong = boards == ILLEGAL
    for row, cell in np.argwhere(wrong)[:1].tolist() if wrong.any() else []:
        raise RowError(
            row,
            f"{column}, {cell_name(cell, size)}: {texts[row][cell]!r} is none of "
            f"# (wall), . or space (open), S (start), G (goal), o (path)",
        )
    return boards


def infer_size(text: str) -> int:
    """The size of the first maze in `text` (that of a table, too). Raises DataError where there is none."""
    contents = [line for line in text.splitlines() if line.strip()]
    header = [name.strip().lower() for name in next(csv.reader(contents[:1]), [])]
    if "question" in header and len(contents) > 1:
        contents = [next(csv.reader(contents[1:2]))[header.index("question")]]
    first = contents[0] if contents else ""
    if len(first) < 3 or set(first) - set(LEGAL) - {"."}:
        raise DataError(
            "this is no maze: write # for a wall, . for an open cell, S and G, a row of cells a line"
        )
    size = round(len(first) ** 0.5)
    whole = all(line.count("S") == line.count("G") == 1 for line in contents[:2])  # no two rows of one maze
    return size if whole and size * size == len(first) else len(first)
