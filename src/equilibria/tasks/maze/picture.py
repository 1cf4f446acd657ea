"""A maze for a picture: walls dark, the path dotted, start and goal as letters."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from equilibria.tasks.maze.grid import CHARACTERS, GOAL, OPEN, PATH, START, WALL
from equilibria.tasks.maze.render import wrong_cells
from equilibria.tasks.maze.rules import violations
from equilibria.tasks.picture import ANSWER, FILLED, PROBLEM, RIGHT, Cell, Panel, remark
from equilibria.tasks.picture.board import rows_of

LOOKS = {
    WALL: Cell(fill="#333333"),
    OPEN: Cell(),
    START: Cell(CHARACTERS[START], fill="#F0E442", bold=True),
    GOAL: Cell(CHARACTERS[GOAL], fill="#F0E442", bold=True),
    PATH: Cell(fill="#CFE5F5", ink=FILLED, dot=True),
}
NONE = Cell("?")  # a token that is no cell of a maze


def maze_panels(
    maze: NDArray[np.uint8], answer: NDArray[np.uint8] | None, label: NDArray[np.uint8] | None, size: int
) -> list[Panel]:
    """`maze` [cells] with its `answer` and the right one where there are any; marks as in a terminal."""
    panels = [Panel(PROBLEM, _rows(maze, np.zeros(len(maze), dtype=bool), size))]
    if answer is not None:
        rows = _rows(answer, wrong_cells(maze, answer, label, size), size)
        broken = violations(maze, answer, size)
        panels.append(Panel(ANSWER, rows, note=remark(rows, broken, known=label is not None)))
    if label is not None:
        panels.append(Panel(RIGHT, _rows(label, np.zeros(len(maze), dtype=bool), size)))
    return panels


def _rows(
    shown: NDArray[np.uint8], wrong: NDArray[np.bool_], size: int
) -> tuple[tuple[Cell | None, ...], ...]:
    looks = (LOOKS.get(token, NONE) for token in shown.tolist())
    cells = [replace(look, wrong=bad) for look, bad in zip(looks, wrong.tolist(), strict=True)]
    return rows_of(cells, size)
