"""A maze: tokens and characters, and how far its cells are from each other. Coding of HRM, TRM and EqR."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

WALL, OPEN, START, GOAL, PATH = range(1, 6)  # 0 is the pad
CHARACTERS = "?# SGo"  # the character of each token; a pad has none of its own


def cell_name(cell: int, size: int) -> str:
    """`row 3, column 5`, counted from 1."""
    row, column = divmod(cell, size)
    return f"row {row + 1}, column {column + 1}"


@njit(cache=True)
def beside(cell, size, side):
    """The cell down (0), up (1), right (2) or left (3) of `cell`; -1 beyond the edge."""
    row, column = cell // size, cell % size
    if side == 0:
        return cell + size if row + 1 < size else -1
    if side == 1:
        return cell - size if row > 0 else -1
    if side == 2:
        return cell + 1 if column + 1 < size else -1
    return cell - 1 if column > 0 else -1


@njit(cache=True)
def search(free, size, start, steps, queue, parents):
    """Breadth-first over `free` cells: fill `steps` [cells] from `start`, -1 where none lead; cells reached.

    `queue` takes the cells in the order in which they are reached, `parents` the cell each is reached from.
    """
    steps[:] = -1
    steps[start] = 0
    queue[0] = parents[start] = start
    reached = 1
    head = 0
    last = size * (size - 1)  # the first cell of the last row
    while head < reached:
        cell = queue[head]
        head += 1
        column = cell % size
        for side in range(4):  # as in `beside`, with one division a cell
            if side == 0:
                other = cell + size if cell < last else -1
            elif side == 1:
                other = cell - size
            elif side == 2:
                other = cell + 1 if column + 1 < size else -1
            else:
                other = cell - 1 if column > 0 else -1
            if other >= 0 and free[other] and steps[other] < 0:
                steps[other] = steps[cell] + 1
                parents[other] = cell
                queue[reached] = other
                reached += 1
    return reached


@njit(cache=True)
def mark(parents, goal, answer):
    """Mark the way by which `goal` was reached, without its ends."""
    cell = parents[goal]
    while parents[cell] != cell:
        answer[cell] = PATH
        cell = parents[cell]


def steps_from(free: NDArray[np.bool_], size: int, start: int) -> NDArray[np.int64]:
    """The least number of steps from `start` to each cell over `free` [cells]; -1 where none lead."""
    steps, queue, parents = np.empty((3, size * size), np.int64)
    search(free, size, start, steps, queue, parents)
    return steps


def solved(maze: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """A maze [cells] with one of its shortest paths marked."""
    steps, queue, parents = np.empty((3, size * size), np.int64)
    search(maze != WALL, size, int((maze == START).argmax()), steps, queue, parents)
    answer = maze.copy()
    mark(parents, int((maze == GOAL).argmax()), answer)
    return answer
