"""New Sudoku: random solved grids, from which clues are taken until every one that is left is needed."""

from collections.abc import Mapping

import numpy as np
from numba import njit
from numpy.typing import NDArray

from equilibria.errors import DataError
from equilibria.tasks.sudoku.board import BLANK, Box, side, units
from equilibria.tasks.sudoku.solver import ascending, rating, search

LARGEST_SIDE = 9  # beyond it, to show that a sparse puzzle has one solution may take very long
PATIENCE = 100_000  # tries in a row that yield no puzzle before giving up

Puzzle = tuple[NDArray[np.uint8], NDArray[np.uint8], float]  # clues [tokens], solution [tokens], rating


def generate_splits(
    counts: Mapping[str, int], box: Box, *, seed: int, min_rating: float
) -> dict[str, list[Puzzle]]:
    """Sets of distinct minimal puzzles, of these sizes, of which no two share a solved grid.

    A puzzle is minimal: dropping any clue gives it a second solution. A new grid goes to the set that is
    emptiest for its size, and stays with it. With one set, a smaller count gives the first puzzles of a
    larger one. Raises DataError for a count below 1, a side above 9, and where tries run out.
    """
    size = side(box)
    if size > LARGEST_SIDE:
        raise DataError(f"{size}×{size} puzzles cannot be generated: the largest side is {LARGEST_SIDE}")
    if min(counts.values()) < 1:
        raise DataError(f"generate at least one puzzle, not {min(counts.values())}")
    rng = np.random.default_rng(seed)
    splits: dict[str, dict[bytes, Puzzle]] = {name: {} for name in counts}
    owner: dict[bytes, str] = {}
    tries = 0
    while wanted := sum(counts.values()) - sum(map(len, splits.values())):
        for puzzle in _tries(rng, min(max(wanted, 16), 1024), box):
            tries += 1
            clues, solution, guesses = puzzle
            lacking = [name for name in counts if len(splits[name]) < counts[name]]
            if guesses < min_rating or not lacking:
                continue
            emptiest = min(lacking, key=lambda name: len(splits[name]) / counts[name])
            split = owner.setdefault(solution.tobytes(), emptiest)
            if split in lacking and clues.tobytes() not in splits[split]:
                splits[split][clues.tobytes()] = puzzle
                tries = 0
        if tries > PATIENCE:
            raise DataError(
                f"no further {size}×{size} puzzle with a rating of {min_rating:g} or more in {tries} tries: "
                f"{wanted} of {sum(counts.values())} are missing; ask for fewer, or a lower min_rating"
            )
    return {name: list(puzzles.values()) for name, puzzles in splits.items()}


def _tries(rng: np.random.Generator, count: int, box: Box) -> list[Puzzle]:
    """`count` random minimal puzzles. Each takes the same draws, whatever the batch it is made in."""
    size, tokens = side(box), side(box) ** 2
    draws = rng.random((count, tokens * (size + 1)))
    orders = draws[:, tokens:].reshape(count, tokens, size).argsort(-1).astype(np.uint8)
    removals = draws[:, :tokens].argsort(-1)
    solutions = np.zeros((count, tokens), np.uint8)
    puzzles = _dig_all(orders, removals, units(box), ascending(box), solutions)
    return list(zip(puzzles, solutions, rating(puzzles, box).tolist(), strict=True))


@njit(cache=True)
def _dig_all(orders, removals, units, order, solutions):
    """Minimal puzzles [count, tokens] of random grids, which are left in `solutions`."""
    puzzles = np.empty_like(solutions)
    two = np.empty((2, solutions.shape[1]), np.uint8)
    for index in range(len(solutions)):
        empty = np.full(solutions.shape[1], BLANK, np.uint8)
        search(empty, units, orders[index], solutions[index : index + 1])
        board = solutions[index].copy()
        # one pass is enough: a clue that was needed among more clues is needed among fewer
        for cell in removals[index]:
            token = board[cell]
            board[cell] = BLANK
            if search(board, units, order, two)[0] > 1:
                board[cell] = token
        puzzles[index] = board
    return puzzles
