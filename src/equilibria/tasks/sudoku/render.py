"""A Sudoku in a terminal: clues bold, and `!` after a cell that is wrong, for those without colour."""

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from equilibria.tasks.sudoku.board import BLANK, Box, side, symbol
from equilibria.tasks.sudoku.rules import clashing


def render_board(
    board: NDArray[np.uint8], answer: NDArray[np.uint8] | None, label: NDArray[np.uint8] | None, box: Box
) -> Text:
    """`board` [tokens], filled with its `answer` where there is one, in box borders; see `wrong_cells`."""
    shown = board if answer is None else answer
    clue = (board > BLANK) & (board == shown)
    wrong = wrong_cells(board, shown, None if answer is None else label, box)
    height, width = box
    size = side(box)
    rule = "─" * (2 * width + 1)
    text = Text()
    for row in range(size):
        if row % height == 0:
            left, middle, right = "┌┬┐" if row == 0 else "├┼┤"
            text.append(left + middle.join([rule] * height) + right + "\n")
        for column in range(size):
            cell = row * size + column
            text.append("│ " if column % width == 0 else "")
            style = " ".join(["bold"] * bool(clue[cell]) + ["underline red"] * bool(wrong[cell]))
            text.append(symbol(shown[cell]) if shown[cell] > BLANK else "·", style or None)
            text.append("!" if wrong[cell] else " ", "red" if wrong[cell] else None)
        text.append("│\n")
    text.append("└" + "┴".join([rule] * height) + "┘")
    return text


def wrong_cells(
    board: NDArray[np.uint8], answer: NDArray[np.uint8], label: NDArray[np.uint8] | None, box: Box
) -> NDArray[np.bool_]:
    """Cells [tokens] of an answer to mark: digits that stand twice in a unit, changed clues, and what differs
    from `label`."""
    wrong = clashing(answer, box) | ((board > BLANK) & (board != answer))
    if label is not None:
        wrong |= (label > 0) & (label != answer)
    return wrong
