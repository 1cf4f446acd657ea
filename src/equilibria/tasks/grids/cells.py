"""Values of a table as text: what an input or a target may look like in a file.

A value is text, or a list of cells, or a list of rows of cells. Text stays as it is, because how it is cut
into cells depends on the symbols; lists become text with marks, so that they are cut where they were.
"""

import json
from typing import Any

LONGEST = 16  # characters of a symbol
BOUND = 10 ** (LONGEST - 1)  # of whole numbers, which have a sign
MOST_CELLS = 16_384  # of one grid: 128 × 128
LISTED = "\x1e"  # stands before text that was a list: its cells have a space between, its rows a slash
SPACE = "\x1f"  # a cell that is a space, there
UNSCORED = "\x00"  # a cell of a target that is not scored, there

Rows = list[list[str]]


class CellError(ValueError):
    """A value is no grid; says why, as the end of a sentence."""


def text_of(value: Any, *, target: bool) -> str:
    """A value as text. A cell of a target may be None, which is not scored. Raises CellError."""
    if isinstance(value, str):
        listed = _written_list(value)
        if listed is None:
            return _clean(value)
        value = listed
    if value is None:
        raise CellError("there is none")
    if not isinstance(value, list):
        raise CellError(f"it is {_shown(value)}; write a list of cells, or text")
    grid: list[Any] = value if value and all(isinstance(row, list) for row in value) else [value]
    check_shape(grid)
    return LISTED + "/".join(_line(row, number, target) for number, row in enumerate(grid, 1))


def unmarked(text: str) -> str:
    """Text from `text_of` for a person to read."""
    return text.removeprefix(LISTED).replace(SPACE, " ").replace(UNSCORED, "null")


def check_shape(grid: list[list[Any]]) -> tuple[int, int]:
    """Height and width of a grid. Raises CellError for one that is ragged, empty or too large."""
    height, width = len(grid), len(grid[0])
    for number, row in enumerate(grid, 1):
        if len(row) != width:
            raise CellError(
                f"row {number} has {len(row):,} cells and row 1 has {width:,}; give all rows the same length"
            )
    if not width:
        raise CellError("it is empty")
    if height * width > MOST_CELLS:
        raise CellError(
            f"it has {height * width:,} cells, and a grid may have {MOST_CELLS:,}; cut it into smaller ones"
        )
    return height, width


def check_symbol(symbol: str) -> None:
    """Raise CellError for text that cannot be a symbol."""
    if symbol == "/":
        raise CellError("'/' parts the rows of a grid where it is written on one line; use another character")
    if not symbol or (symbol != " " and not (symbol.isprintable() and symbol == "".join(symbol.split()))):
        raise CellError(f"{_shown(symbol)} is no symbol: use printable characters without spaces")
    if "\ufffd" in symbol:
        raise CellError("it has bytes that are not UTF-8: save the file as UTF-8")
    if "/" in symbol:
        raise CellError(f"{_shown(symbol)} has a '/', which parts rows; use another character")
    if len(symbol) > LONGEST:
        raise CellError(
            f"{_shown(symbol)} has {len(symbol):,} characters, and a symbol may have {LONGEST}: "
            "a cell is one of a few kinds, not a text or a quantity"
        )


def place_of(number: int, place: int) -> str:
    """Where a cell is, in words; both count from 1."""
    return f"row {number}, column {place}"


def _line(row: list[Any], number: int, target: bool) -> str:
    if set(map(type, row)) == {int} and min(row) > -BOUND and max(row) < BOUND:  # most files are like that
        return " ".join(map(str, row))
    return " ".join(_cell(cell, number, place, target) for place, cell in enumerate(row, 1))


def _cell(value: Any, number: int, place: int, target: bool) -> str:
    if value is None and target:
        return UNSCORED
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        what = "a number with a fraction" if isinstance(value, float) else "no cell"
        if isinstance(value, list):
            what = "a list where a cell should be"
        raise CellError(
            f"{place_of(number, place)}: {_shown(value)} is {what}; write whole numbers or short texts"
        )
    if isinstance(value, int):
        if abs(value) >= BOUND:
            raise CellError(f"{place_of(number, place)}: the number is too large to be one of a few kinds")
        return str(value)
    try:
        check_symbol(value)
    except CellError as error:
        raise CellError(f"{place_of(number, place)}: {error}") from None
    return SPACE if value == " " else value


def _written_list(text: str) -> list[Any] | None:
    """The list that `text` is, as tables without lists hold them; None where it is no list of cells."""
    if not text.lstrip().startswith("["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    cells = value[0] if isinstance(value, list) and value else None
    if isinstance(cells, list):
        cells = cells[0] if cells else None
    return value if isinstance(cells, (int, float, str)) else None  # "[]" may be two brackets


def _clean(text: str) -> str:
    """Text without line ends of other systems. Raises CellError for what is damaged or far too long."""
    if "\ufffd" in text:
        raise CellError("it has bytes that are not UTF-8: save the file as UTF-8")
    if len(text) > MOST_CELLS * (LONGEST + 1):
        raise CellError(f"it has {len(text):,} characters, more than a grid of {MOST_CELLS:,} cells")
    if any(mark in text for mark in (LISTED, SPACE, UNSCORED)):
        raise CellError("it has control characters; use printable characters")
    return text.replace("\r\n", "\n").strip("\n")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
