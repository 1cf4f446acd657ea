"""The rules of a maze: which answers are a shortest path, and why not in words."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from equilibria.tasks.maze.grid import GOAL, OPEN, PATH, START, WALL, cell_name, search, steps_from

KINDS = {WALL: "a wall", OPEN: "an open cell", START: "the start", GOAL: "the goal", PATH: "a path cell"}


def fault(maze: NDArray[np.uint8], size: int) -> str | None:
    """Why a maze [cells] is none, in words. One has a start, a goal, a way between them, and no path yet."""
    for token, character in ((START, "S"), (GOAL, "G")):
        cells = np.flatnonzero(maze == token).tolist()
        if len(cells) != 1:
            where = ": " + " and ".join(cell_name(cell, size) for cell in cells[:2]) if cells else ""
            return f"{KINDS[token]} ({character}) must stand once and stands {len(cells)} times{where}"
    if (maze == PATH).any():
        return f"{cell_name(int((maze == PATH).argmax()), size)} has o, and a problem has no path yet"
    if steps_from(maze != WALL, size, int((maze == START).argmax()))[maze == GOAL] < 0:
        return "no way leads from S to G"
    return None


def valid(mazes: NDArray[np.uint8], answers: NDArray[np.uint8], size: int) -> NDArray[np.bool_]:
    """Whether each answer [count, cells] marks a shortest path of its maze and changes nothing else."""
    kept = (answers == mazes) | ((mazes == OPEN) & (answers == PATH))
    rows = kept.all(1)
    rows[rows] = _shortest(np.ascontiguousarray(answers[rows]), size)
    return rows


@njit(cache=True)
def _shortest(answers, size):
    """Whether the marked cells, and not fewer, lead from start to goal in the least number of steps."""
    right = np.zeros(len(answers), np.bool_)
    steps, queue, parents = np.empty((3, size * size), np.int64)
    for index in range(len(answers)):
        answer = answers[index]
        start, goal, marked = -1, -1, 0
        for cell in range(size * size):
            if answer[cell] == START:
                start = cell
            elif answer[cell] == GOAL:
                goal = cell
            elif answer[cell] == PATH:
                marked += 1
        if start < 0 or goal < 0:
            continue
        search(answer != WALL, size, start, steps, queue, parents)
        if steps[goal] == marked + 1:
            search(answer >= START, size, start, steps, queue, parents)  # on the marked cells alone
            right[index] = steps[goal] == marked + 1
    return right


def violations(maze: NDArray[np.uint8], answer: NDArray[np.uint8], size: int) -> list[str]:
    """What is wrong with one answer [cells] to one maze [cells]; empty if nothing is."""
    changed = (answer != maze) & ~((maze == OPEN) & (answer == PATH))
    wrong = [
        f"{KINDS[int(maze[cell])]} at {cell_name(cell, size)} became "
        f"{KINDS.get(int(answer[cell]), 'nothing')}"
        for cell in np.flatnonzero(changed).tolist()
    ]
    start, goal = int((maze == START).argmax()), int((maze == GOAL).argmax())
    least = int(steps_from(maze != WALL, size, start)[goal])
    on_path = (answer == PATH) & (maze == OPEN)
    ends = (maze == START) | (maze == GOAL)
    steps = int(steps_from(on_path | ends, size, start)[goal])
    marked = int(on_path.sum())
    if steps < 0:
        wrong.append(f"the {marked} marked cells do not lead from S to G")
    elif steps > least:
        wrong.append(f"the path takes {steps} steps, and {least} are enough")
    elif marked > steps - 1:
        wrong.append(f"{marked} cells are marked, and a shortest path has {steps - 1} between S and G")
    return wrong
