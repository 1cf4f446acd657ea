"""How many shortest paths a maze has, and another one than its label."""

import numpy as np
from numpy.typing import NDArray

from equilibria.tasks.maze.grid import GOAL, START, WALL, solved, steps_from


def shortest_paths(maze: NDArray[np.uint8], size: int) -> tuple[int, int]:
    """Steps of the shortest paths of a maze `[cells]`, and how many such paths there are."""
    free = maze != WALL
    steps = steps_from(free, size, int((maze == START).argmax()))
    goal = int((maze == GOAL).argmax())
    ways = {int((maze == START).argmax()): 1}
    for cell in sorted(np.flatnonzero(steps > 0).tolist(), key=lambda cell: int(steps[cell])):
        if steps[cell] > steps[goal]:
            break
        row, column = divmod(cell, size)
        sides = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        before = [r * size + c for r, c in sides if 0 <= r < size and 0 <= c < size]
        ways[cell] = sum(ways.get(one, 0) for one in before if steps[one] == steps[cell] - 1)
    return int(steps[goal]), ways[goal]


def other_path(maze: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """A shortest path of the maze `[cells]` that turns at other places, where there is one: that of its
    mirror image, mirrored back."""
    mirrored = np.ascontiguousarray(maze.reshape(size, size).T).reshape(-1)
    return np.ascontiguousarray(solved(mirrored, size).reshape(size, size).T).reshape(-1)
