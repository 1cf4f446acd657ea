"""Symbols and tokens: how the grids of one task are written, and which number stands for which symbol."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from equilibria.tasks.grids.cells import (
    LISTED,
    SPACE,
    UNSCORED,
    CellError,
    Rows,
    check_shape,
    place_of,
)
from equilibria.tasks.table import RowError

MOST = 254  # symbols: a token is a byte, 0 is a pad, and 255 marks what is not scored
MARK = 255


class Notation:
    """The symbols of a task, and the board that its grids lie on, in the top left corner.

    Token 0 is a pad; `symbols[n]` is token n + 1. Where every symbol is one character, a grid is written
    without spaces, and spaces in it mean nothing unless " " is a symbol. Otherwise its cells have spaces
    between. Rows are parted by line breaks or by `/`.
    """

    def __init__(self, symbols: Sequence[str], board: tuple[int, int], ignore: str):
        self.symbols = tuple(symbols)
        self.board = board
        self.ignore = ignore
        self.short = all(len(symbol) == 1 for symbol in symbols)

    @cached_property
    def tokens(self) -> dict[str, int]:
        """Token of each symbol."""
        return {symbol: token for token, symbol in enumerate(self.symbols, 1)}

    @cached_property
    def scored(self) -> dict[str, int]:
        """The same for targets, where what is not scored is 0."""
        return self.tokens | {self.ignore: 0, UNSCORED: 0}

    def encode(self, texts: Sequence[str], column: str) -> tuple[NDArray[np.uint8], list[tuple[int, int]]]:
        """Tokens [count, height·width] and shapes of the grids in `texts`, of the column input or target.

        Raises RowError for what is no grid, has an unknown symbol, or is larger than the board.
        """
        height, width = self.board
        known = self.scored if column == "target" else self.tokens
        grids = np.zeros((len(texts), height, width), np.uint8)
        shapes: list[tuple[int, int]] = []
        for row, text in enumerate(texts):
            try:
                grid = self._on_board(self.cells(text, known))
                shapes.append(check_shape(grid))
                self._check_size(*shapes[-1])
                grids[row, : len(grid), : len(grid[0])] = [[known[cell] for cell in cells] for cells in grid]
            except CellError as error:
                raise RowError(row, f"the {column}: {error}") from None
            except KeyError:
                raise RowError(row, f"the {column}, {self._unknown(text, known)}") from None
        return grids.reshape(len(texts), -1), shapes

    def cells(self, text: str, known: dict[str, int]) -> Rows:
        """The cells of a text, row by row."""
        if text.startswith(LISTED):
            marked = [row.split(" ") for row in text[1:].split("/")]
            return [[cell.replace(SPACE, " ") for cell in row] for row in marked]
        rows = text.replace("/", "\n").split("\n")
        if " " in known:
            return [list(row) for row in rows]
        return [[cell for word in row.split() for cell in self._cut(word, known)] for row in rows]

    def _cut(self, word: str, known: dict[str, int]) -> list[str]:
        return list(word) if self.short and word not in known else [word]

    def _on_board(self, grid: Rows) -> Rows:
        """A list that is as long as the board has cells is the board, row by row."""
        height, width = self.board
        if len(grid) > 1 or height == 1 or len(grid[0]) != height * width:
            return grid
        return [grid[0][start : start + width] for start in range(0, height * width, width)]

    def _check_size(self, height: int, width: int) -> None:
        if height > self.board[0] or width > self.board[1]:
            raise CellError(
                f"it is {height}×{width}, and the task has room for {self.board[0]}×{self.board[1]}; "
                "set the task's height and width to the greatest there are"
            )

    def _unknown(self, text: str, known: dict[str, int]) -> str:
        for number, row in enumerate(self._on_board(self.cells(text, known)), 1):
            for place, cell in enumerate(row, 1):
                if cell not in known:
                    where = place_of(number, place)
                    return f"{where}: {_quoted(cell)} is none of the task's symbols: {self.listed()}"
        raise AssertionError("every cell is known")

    def listed(self, most: int = 20) -> str:
        """The first symbols, for a message."""
        more = f" and {len(self.symbols) - most} more" if len(self.symbols) > most else ""
        return " ".join(map(_quoted, self.symbols[:most])) + more

    def symbol(self, token: int) -> str:
        """How a token is written; `?` where it is none."""
        if token == MARK:
            return self.ignore
        return self.symbols[token - 1] if 0 < token <= len(self.symbols) else "?"

    def text(self, tokens: NDArray[np.uint8], *, spaced: bool = False) -> str:
        """One grid [height·width] on one line, without the pads around it; `spaced`: as if it had to be."""
        grid = trimmed(tokens, self.board).tolist()
        rows = [[self.symbol(token) for token in row] for row in grid]
        close = self.short and not spaced and all(len(cell) == 1 for row in rows for cell in row)
        return "/".join(("" if close else " ").join(row) for row in rows)


def trimmed(tokens: NDArray[np.uint8], board: tuple[int, int]) -> NDArray[np.uint8]:
    """The rows and columns [h, w] of a board [height·width] up to the last that is not all pads."""
    grid = tokens.reshape(board)
    height, width = (int(np.flatnonzero(grid.any(axis)).max(initial=-1)) + 1 for axis in (1, 0))
    return grid[:height, :width]


def _quoted(symbol: str) -> str:
    return "' '" if symbol == " " else symbol if len(symbol) <= 40 else symbol[:39] + "…"
