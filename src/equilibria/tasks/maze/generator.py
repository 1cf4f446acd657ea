"""New mazes with a path of a wanted length, as the Maze-Unique data of EqR are made, draw by draw.

Perfect mazes are spanning trees: any two cells have one way between them. Random ones have walls anywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from equilibria.errors import DataError
from equilibria.tasks.maze.grid import GOAL, OPEN, START, WALL, beside, mark, search

ROUNDS = 50  # lengths drawn for one maze before giving up
GRIDS = 200  # grids tried for one length
STARTS = 200  # starts tried in one grid


@dataclass(frozen=True)
class Kind:
    """Mazes of `size`² cells whose shortest path takes from `shortest` to `longest` steps, all equally often.

    `perfect`: spanning trees; else each cell is a wall with probability `walls`, and with `unique` only mazes
    with one shortest path are kept.
    """

    size: int
    shortest: int
    longest: int
    perfect: bool = True
    walls: float = 0.37
    unique: bool = True


def generate_splits(
    counts: Mapping[str, int], kind: Kind, *, seed: int
) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Sets of mazes and their solutions, both uint8 [count, cells], of these sizes; no maze comes twice.

    The sets are made one after the other from one generator. Raises DataError where there are no (further)
    mazes of a length that was drawn.
    """
    if min(counts.values()) < 1:
        raise DataError(f"generate at least one maze, not {min(counts.values())}")
    rng = np.random.default_rng(seed)
    seen: set[bytes] = set()
    splits: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}
    for name, count in counts.items():
        pairs = [_another(kind, rng, seen) for _ in range(count)]
        splits[name] = np.stack([maze for maze, _ in pairs]), np.stack([answer for _, answer in pairs])
    return splits


def _another(
    kind: Kind, rng: np.random.Generator, seen: set[bytes]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A maze that is not among those `seen` yet, and its solution."""
    most = kind.size**2 - 1
    for _ in range(ROUNDS):
        length = int(rng.integers(min(kind.shortest, most), min(kind.longest, most) + 1))
        maze, answer = np.empty((2, kind.size**2), np.uint8)
        if not _build(rng, kind.size, kind.perfect, kind.walls, kind.unique, length, maze, answer):
            raise DataError(
                f"no {_words(kind)} with a shortest path of {length} steps in {GRIDS} tries: "
                f"ask for shorter paths (shortest, longest) or a larger size"
            )
        key = maze.tobytes()
        if key not in seen:
            seen.add(key)
            return maze, answer
    raise DataError(
        f"no further {_words(kind)} with a shortest path of {kind.shortest} to {kind.longest} steps after "
        f"{len(seen)} different ones: ask for fewer, for longer paths or a larger size"
    )


def _words(kind: Kind) -> str:
    return f"{kind.size}×{kind.size} {'perfect' if kind.perfect else 'random'} maze"


@njit(cache=True)
def _build(rng, size, perfect, walls, unique, length, maze, answer):
    """Fill `maze` and `answer` [cells], their shortest path `length` steps long; whether there is one."""
    cells = size * size
    free = np.empty(cells, np.bool_)
    steps, queue, parents = np.empty((3, cells), np.int64)
    for _ in range(GRIDS):
        if perfect:
            _carve(rng, size, free)
        else:
            for cell in range(cells):
                free[cell] = rng.random() >= walls
        places = np.flatnonzero(free)
        if len(places) < length + 1:
            continue
        for _ in range(STARTS):
            start = places[rng.integers(0, len(places))]
            reached = search(free, size, start, steps, queue, parents)
            goals = np.flatnonzero(steps == length)
            if len(goals) == 0:
                continue
            goal = goals[rng.integers(0, len(goals))]
            if not perfect and unique and not _one_way(size, steps, queue, reached, goal):
                continue
            maze[:] = np.where(free, OPEN, WALL)
            maze[start], maze[goal] = START, GOAL
            answer[:] = maze
            mark(parents, goal, answer)
            return True
    return False


@njit(cache=True)
def _carve(rng, size, free):
    """Open a random spanning tree over the cells at odd places, by a depth-first walk.

    In an even size the last row and column stay walls.
    """
    free[:] = False
    across = (size - 1) // 2  # cells of the tree in a row
    row = rng.integers(0, across)
    cell = (2 * row + 1) * size + 2 * rng.integers(0, across) + 1
    free[cell] = True
    stack = np.empty(across * across, np.int64)
    stack[0] = cell
    depth = 1
    sides = np.empty(4, np.int64)
    while depth > 0:
        cell = stack[depth - 1]
        row, column = cell // size, cell % size
        count = 0
        if row + 2 < 2 * across + 1 and not free[cell + 2 * size]:
            sides[count] = size
            count += 1
        if row > 2 and not free[cell - 2 * size]:
            sides[count] = -size
            count += 1
        if column + 2 < 2 * across + 1 and not free[cell + 2]:
            sides[count] = 1
            count += 1
        if column > 2 and not free[cell - 2]:
            sides[count] = -1
            count += 1
        if count == 0:
            depth -= 1
            continue
        side = sides[rng.integers(0, count)]
        free[cell + side] = free[cell + 2 * side] = True
        stack[depth] = cell + 2 * side
        depth += 1


@njit(cache=True)
def _one_way(size, steps, queue, reached, goal):
    """Whether one shortest path leads to `goal`: ways to each cell, counted up to two."""
    ways = np.zeros(size * size, np.int64)
    ways[queue[0]] = 1
    for position in range(reached):
        cell = queue[position]
        for side in range(4):
            other = beside(cell, size, side)
            if other >= 0 and steps[other] == steps[cell] + 1:
                ways[other] = min(2, ways[other] + ways[cell])
    return ways[goal] == 1
