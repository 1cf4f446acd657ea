"""A Sudoku solver: naked and hidden singles, then a guess in the cell with the fewest candidates.

It counts solutions up to a limit, and guesses. The number of guesses until the first solution is our `rating`
of a puzzle as written. It resembles the rating of Sudoku-Extreme, which counts the guesses of the tdoku
solver, but is not the same number: tdoku infers more between guesses and picks them otherwise.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from equilibria.tasks.sudoku.board import BLANK, Box, side, units


class Solutions(NamedTuple):
    """`boards` uint8 [count, limit, tokens], the first `found` [count] of them filled; `guesses` [count]."""

    boards: NDArray[np.uint8]
    found: NDArray[np.int64]
    guesses: NDArray[np.int64]


def solve(boards: NDArray[np.uint8], box: Box, limit: int = 1) -> Solutions:
    """Up to `limit` solutions of each board [count, tokens], digits tried in ascending order.

    `found` is 0 for a board without a solution, and is exact where it is below `limit`.
    """
    solutions = np.zeros((len(boards), limit, side(box) ** 2), np.uint8)
    found, guesses = _solve_all(np.ascontiguousarray(boards, np.uint8), units(box), ascending(box), solutions)
    return Solutions(solutions, found, guesses)


def rating(boards: NDArray[np.uint8], box: Box) -> NDArray[np.float32]:
    """Guesses until the first solution of each board [count, tokens], as written; 0: singles suffice."""
    return solve(boards, box).guesses.astype(np.float32)


def ascending(box: Box) -> NDArray[np.uint8]:
    """The order in which each cell tries its digits: uint8 [tokens, side]."""
    return np.tile(np.arange(side(box), dtype=np.uint8), (side(box) ** 2, 1))


@njit(cache=True)
def _solve_all(boards, units, order, solutions):
    found = np.zeros(len(boards), np.int64)
    guesses = np.zeros(len(boards), np.int64)
    for index in range(len(boards)):
        found[index], guesses[index] = search(boards[index], units, order, solutions[index])
    return found, guesses


@njit(cache=True)
def search(board, units, order, solutions):
    """Fill `solutions` [limit, tokens] with solutions of `board` [tokens]: (their number, the guesses made).

    `units` [tokens, 3] as `board.units` has it; `order` [tokens, side]: the digits in the order to try them.
    A guess is a digit tried while the cell has others left: the last one is forced.
    """
    tokens, size = order.shape
    full = (1 << size) - 1
    used = np.zeros(3 * size, np.int64)  # digits that each row, column and box has, as bits
    bits = np.zeros(tokens, np.int64)  # the digit of each cell, as a bit
    cells = np.arange(tokens).astype(np.uint32)  # filled cells first, in the order they were filled
    seen = np.empty((2, 3 * size), np.int64)
    start = np.empty(tokens, np.int64)  # for each guess, how many cells were filled before it
    left = np.empty(tokens, np.int64)  # and the digits it has not tried
    depth = found = guesses = 0

    filled, consistent = _clues(board, cells, bits, used, units)
    if consistent:
        filled, consistent = _singles(filled, full, cells, bits, used, units, seen)
    while True:
        if consistent and filled == tokens:
            for cell in range(tokens):
                solutions[found, cell] = _count(bits[cell] - 1) + 2  # below digit d's bit there are d
            found += 1
            if found == len(solutions):
                return found, guesses
            consistent = False
        if consistent:
            start[depth] = filled
            left[depth] = _fewest(filled, full, cells, used, units)
            depth += 1
        else:
            while depth > 0 and left[depth - 1] == 0:
                depth -= 1
            if depth == 0:
                return found, guesses
        _empty(start[depth - 1], filled, cells, bits, used, units)
        filled = start[depth - 1]
        cell = cells[filled]
        bit = 0
        for digit in order[cell]:
            bit = 1 << digit
            if left[depth - 1] & bit:
                break
        left[depth - 1] ^= bit
        guesses += left[depth - 1] != 0
        filled = _fill(filled, cell, bit, filled, cells, bits, used, units)
        filled, consistent = _singles(filled, full, cells, bits, used, units, seen)


@njit(cache=True)
def _clues(board, cells, bits, used, units):
    """Fill the cells that `board` gives: (filled, consistent)."""
    filled = 0
    for cell in range(len(board)):
        if board[cell] > BLANK:
            bit = 1 << (board[cell] - 2)
            if bit & (used[units[cell, 0]] | used[units[cell, 1]] | used[units[cell, 2]]):
                return filled, False
            filled = _fill(cell, cell, bit, filled, cells, bits, used, units)
    return filled, True


@njit(cache=True)
def _fill(position, cell, bit, filled, cells, bits, used, units):
    """Give the cell at cells[position] its digit and move it behind the filled ones; their new number."""
    cells[position] = cells[filled]
    cells[filled] = cell
    bits[cell] = bit
    used[units[cell, 0]] |= bit
    used[units[cell, 1]] |= bit
    used[units[cell, 2]] |= bit
    return filled + 1


@njit(cache=True)
def _empty(keep, filled, cells, bits, used, units):
    """Take the digits of cells[keep:filled] back."""
    for position in range(keep, filled):
        cell = cells[position]
        used[units[cell, 0]] ^= bits[cell]
        used[units[cell, 1]] ^= bits[cell]
        used[units[cell, 2]] ^= bits[cell]


@njit(cache=True)
def _singles(filled, full, cells, bits, used, units, seen):
    """Fill cells with one candidate and digits with one place, until there is none: (filled, consistent)."""
    once, more = seen
    before = -1
    while filled != before:
        before = filled
        once[:] = 0
        more[:] = 0
        for position in range(filled, len(cells)):
            cell = cells[position]
            row, column, box = units[cell, 0], units[cell, 1], units[cell, 2]
            mask = full & ~(used[row] | used[column] | used[box])
            if mask == 0:
                return filled, False
            if mask & (mask - 1) == 0:
                filled = _fill(position, cell, mask, filled, cells, bits, used, units)
                continue
            more[row] |= once[row] & mask
            once[row] |= mask
            more[column] |= once[column] & mask
            once[column] |= mask
            more[box] |= once[box] & mask
            once[box] |= mask
        for unit in range(len(used)):
            if (once[unit] | used[unit]) != full:
                return filled, False
            once[unit] &= ~more[unit]  # now the digits with one place
        for position in range(filled, len(cells)):
            cell = cells[position]
            row, column, box = units[cell, 0], units[cell, 1], units[cell, 2]
            mask = (once[row] | once[column] | once[box]) & ~(used[row] | used[column] | used[box])
            if mask & (mask - 1):
                return filled, False  # two digits have this cell as their one place
            if mask:
                filled = _fill(position, cell, mask, filled, cells, bits, used, units)
    return filled, True


@njit(cache=True)
def _fewest(filled, full, cells, used, units):
    """Move the cell with the fewest candidates to cells[filled]; its candidates.

    Of equals the one whose row, column and box lack the most digits: a guess there says most about others.
    """
    best, least, chosen = filled, 1 << 30, 0
    for position in range(filled, len(cells)):
        cell = cells[position]
        row = full & ~used[units[cell, 0]]
        column = full & ~used[units[cell, 1]]
        box = full & ~used[units[cell, 2]]
        mask = row & column & box
        lacking = _count(row) + _count(column) + _count(box)
        key = (_count(mask) * 64 - lacking) * len(cells) + cell  # 64 is more than three units can lack
        if key < least:
            best, least, chosen = position, key, mask
    cells[filled], cells[best] = cells[best], cells[filled]
    return chosen


@njit(cache=True)
def _count(mask):
    """Bits that are set."""
    bits = 0
    while mask:
        mask &= mask - 1
        bits += 1
    return bits
