"""A Sudoku for a picture: clues bold, boxes in thick lines."""

import numpy as np
from numpy.typing import NDArray

from equilibria.tasks.picture import ANSWER, FILLED, PROBLEM, RIGHT, Cell, Panel, remark
from equilibria.tasks.picture.board import rows_of
from equilibria.tasks.sudoku.board import BLANK, Box, side, symbol
from equilibria.tasks.sudoku.render import wrong_cells
from equilibria.tasks.sudoku.rules import violations


def sudoku_panels(
    board: NDArray[np.uint8], answer: NDArray[np.uint8] | None, label: NDArray[np.uint8] | None, box: Box
) -> list[Panel]:
    """`board` [tokens] with its `answer` and the right one where there are any; marks as in a terminal."""
    nothing = np.zeros(len(board), dtype=bool)
    panels = [Panel(PROBLEM, _rows(board, board, nothing, box), box)]
    if answer is not None:
        rows = _rows(board, answer, wrong_cells(board, answer, label, box), box)
        broken = violations(board, answer, box)
        panels.append(Panel(ANSWER, rows, box, note=remark(rows, broken, known=label is not None)))
    if label is not None:
        panels.append(Panel(RIGHT, _rows(board, label, nothing, box), box))
    return panels


def _rows(
    board: NDArray[np.uint8], shown: NDArray[np.uint8], wrong: NDArray[np.bool_], box: Box
) -> tuple[tuple[Cell | None, ...], ...]:
    cells: list[Cell] = []
    for clue, token, bad in zip(board.tolist(), shown.tolist(), wrong.tolist(), strict=True):
        kept = token == clue
        text = symbol(token) if token > BLANK else ""
        cells.append(Cell(text, ink="black" if kept else FILLED, bold=kept, wrong=bad))
    return rows_of(cells, side(box))
