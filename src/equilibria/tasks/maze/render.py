"""A maze in a terminal, two characters a cell: walls are blocks, and `!` follows a cell that is wrong."""

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from equilibria.tasks.maze.grid import CHARACTERS, GOAL, OPEN, PATH, START, WALL
from equilibria.tasks.maze.rules import valid

STYLES = {START: "bold green", GOAL: "bold magenta", PATH: "cyan"}


def render_maze(
    maze: NDArray[np.uint8], answer: NDArray[np.uint8] | None, label: NDArray[np.uint8] | None, size: int
) -> Text:
    """`maze` [cells], with its `answer` where there is one; see `wrong_cells`."""
    shown = maze if answer is None else answer
    wrong = wrong_cells(maze, shown, None if answer is None else label, size)
    text = Text()
    for cell in range(size * size):
        token = int(shown[cell])
        style = STYLES.get(token)
        text.append("\n" if cell and cell % size == 0 else "")
        symbol = "█" if token == WALL else CHARACTERS[token]
        text.append(symbol, "red" if wrong[cell] else style)
        text.append("!" if wrong[cell] else "█" if token == WALL else " ", "red" if wrong[cell] else None)
    return text


def wrong_cells(
    maze: NDArray[np.uint8], answer: NDArray[np.uint8], label: NDArray[np.uint8] | None, size: int
) -> NDArray[np.bool_]:
    """Cells [cells] of an answer to mark: those that may not change and did, and those that differ from
    `label`, unless the answer is a shortest path as well."""
    wrong = (answer != maze) & ~((maze == OPEN) & (answer == PATH))
    if label is not None and not valid(maze[None], answer[None], size)[0]:
        wrong |= (label > 0) & (label != answer)
    return wrong
