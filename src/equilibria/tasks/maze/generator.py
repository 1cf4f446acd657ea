"""New mazes whose shortest path has a wanted length.

Perfect mazes are spanning trees: any two cells have one way between them. Random ones have walls anywhere.
A length is drawn first, and mazes are tried until one has it: draw by draw as the Maze-Unique data of EqR are
made. Where no length is too long, lengths come by chance instead (Maze-Hard).
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
CHANCES = 100_000  # grids tried where lengths come by chance; at 30×30 one in about 70 has a path over 110


@dataclass(frozen=True)
class Kind:
    """Mazes of `size`² cells whose shortest path takes from `shortest` to `longest` steps.

    `perfect`: spanning trees; else each cell is a wall with probability `walls`. With `unique` only random
    mazes with one shortest path are kept. All lengths come equally often; without `longest` they come by
    chance, which is for random mazes that need not be unique.
    """

    size: int
    shortest: int
    longest: int | None
    perfect: bool = True
    walls: float = 0.37
    unique: bool = True

    def __post_init__(self) -> None:
        if self.longest is None and (self.perfect or self.unique):
            raise ValueError("only random mazes that need not be unique have no longest path")


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
        maze, answer = np.empty((2, kind.size**2), np.uint8)
        if kind.longest is None:
            built = _find(rng, kind.size, kind.walls, min(kind.shortest, most), maze, answer)
            asked, tries = _steps(kind), CHANCES
        else:
            length = int(rng.integers(min(kind.shortest, most), min(kind.longest, most) + 1))
            built = _build(rng, kind.size, kind.perfect, kind.walls, kind.unique, length, maze, answer)
            asked, tries = f"{length} steps", GRIDS
        if not built:
            raise DataError(
                f"no {_words(kind)} with a shortest path of {asked} in {tries:,} tries: "
                f"ask for shorter paths (shortest, longest) or a larger size{_advice(kind)}"
            )
        key = maze.tobytes()
        if key not in seen:
            seen.add(key)
            return maze, answer
    raise DataError(
        f"no further {_words(kind)} with a shortest path of {_steps(kind)} after "
        f"{len(seen)} different ones: ask for fewer, for longer paths or a larger size"
    )


def _words(kind: Kind) -> str:
    return f"{kind.size}×{kind.size} {'perfect' if kind.perfect else 'random'} maze"


def _steps(kind: Kind) -> str:
    return (
        f"{kind.shortest} steps or more"
        if kind.longest is None
        else f"{kind.shortest} to {kind.longest} steps"
    )


def _advice(kind: Kind) -> str:
    if kind.perfect or kind.unique or kind.longest is None:
        return ""
    return ", or name shortest and no longest, and lengths come by chance"


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
            _write(free, start, goal, parents, maze, answer)
            return True
    return False


@njit(cache=True)
def _find(rng, size, walls, shortest, maze, answer):
    """Fill `maze` and `answer` [cells], walls anywhere, `shortest` steps or more; whether one is found.

    In the first grid that has two cells so far apart, starts are tried in a random order, and the goal is any
    of the cells that far away.
    """
    cells = size * size
    free = np.empty(cells, np.bool_)
    steps, queue, parents = np.empty((3, cells), np.int64)
    for _ in range(CHANCES):
        for cell in range(cells):
            free[cell] = rng.random() >= walls
        if not _stretches(free, size, shortest, steps, queue, parents):
            continue
        places = np.flatnonzero(free)
        for position in range(len(places)):
            other = rng.integers(position, len(places))
            places[position], places[other] = places[other], places[position]
            start = places[position]
            search(free, size, start, steps, queue, parents)
            goals = np.flatnonzero(steps >= shortest)
            if len(goals) > 0:
                goal = goals[rng.integers(0, len(goals))]
                _write(free, start, goal, parents, maze, answer)
                return True
    return False


@njit(cache=True)
def _stretches(free, size, shortest, steps, queue, parents):
    """Whether two cells are found that are at least `shortest` steps apart.

    In each component one goes to the farthest cell, and from there to the farthest again, three times: almost
    always as far as any two cells are apart, at a fraction of what trying all would cost.
    """
    seen = np.zeros(size * size, np.bool_)
    for cell in range(size * size):
        if not free[cell] or seen[cell]:
            continue
        reached = search(free, size, cell, steps, queue, parents)
        for position in range(reached):
            seen[queue[position]] = True
        for _ in range(3):
            if reached <= shortest or 2 * steps[queue[reached - 1]] < shortest:
                break  # too few cells, or no two that far apart
            search(free, size, queue[reached - 1], steps, queue, parents)
            if steps[queue[reached - 1]] >= shortest:
                return True
    return False


@njit(cache=True)
def _write(free, start, goal, parents, maze, answer):
    """Fill `maze` with cells and its two ends, `answer` also with the way by which `goal` was reached."""
    maze[:] = np.where(free, OPEN, WALL)
    maze[start], maze[goal] = START, GOAL
    answer[:] = maze
    mark(parents, goal, answer)


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
