"""Tables of Sudoku with answers: decoded at once, and checked as far as a wrong row could mislead a run."""

import numpy as np
import torch
from numpy.typing import NDArray

from equilibria.tasks.problems import Problems
from equilibria.tasks.sudoku.board import Box, cell_name, side, symbol
from equilibria.tasks.sudoku.rules import valid, violations
from equilibria.tasks.sudoku.solver import solve
from equilibria.tasks.sudoku.text import alphabet, check_clues, illegal
from equilibria.tasks.table import RowError, Rows

SAMPLE = 50_000  # puzzles whose uniqueness is checked; a random sample of larger tables
ILLEGAL = 255


def decode_rows(rows: Rows, box: Box) -> Problems:
    """The puzzles of some rows. Raises RowError for a clue or an answer that breaks a rule."""
    inputs = _decode(rows.questions, box, "question")
    check_clues(inputs, box)
    boards, labels = torch.from_numpy(inputs), None
    if rows.answers is not None:
        answers = _decode(rows.answers, box, "answer")
        labels = torch.from_numpy(answers)
        for row in torch.nonzero(~valid(boards, labels, box))[:1, 0].tolist():
            problem = violations(inputs[row], answers[row], box)[0]
            if not solve(inputs[row : row + 1], box).found[0]:
                problem += "; and the puzzle has no solution"
            raise RowError(row, f"the answer is wrong: {problem}")
    ratings = None if rows.ratings is None else torch.from_numpy(rows.ratings)
    return Problems(boards, labels, tuple(rows.sources), ratings)


def ambiguous(inputs: NDArray[np.uint8], box: Box) -> dict[int, str]:
    """Which of `inputs` [count, tokens] have not just one solution, and why; found by solving them.

    Up to 50,000 puzzles are solved; of more, 50,000 drawn at random.
    """
    sample = np.arange(len(inputs))
    if len(sample) > SAMPLE:
        sample = np.sort(np.random.default_rng(0).choice(sample, SAMPLE, replace=False))
    _, faults = unique_solutions(inputs[sample], box)
    return {int(sample[row]): reason for row, reason in faults.items()}


def unique_solutions(boards: NDArray[np.uint8], box: Box) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """The only solution of each board [count, tokens], and the reason for those with none or several."""
    solutions = solve(boards, box, limit=2)
    faults: dict[int, str] = {}
    for row in np.flatnonzero(solutions.found != 1).tolist():
        if solutions.found[row] == 0:
            faults[row] = "the puzzle has no solution; a clue must be wrong"
            continue
        one, other = solutions.boards[row]
        cells = np.flatnonzero(one != other).tolist()
        first = cells[0]
        faults[row] = (
            f"the puzzle has several solutions, and a labelled one must have "
            f"just one: {cell_name(first, box)} can be {symbol(one[first])} or {symbol(other[first])}, "
            f"and two solutions differ in {len(cells)} cells; add clues"
        )
    return solutions.boards[:, 0].copy(), faults


def _decode(texts: list[str], box: Box, column: str) -> NDArray[np.uint8]:
    """Tokens [count, tokens] of one-line boards, all characters in one lookup."""
    tokens = side(box) ** 2
    lookup = np.full(256, ILLEGAL, np.uint8)
    for character, token in alphabet(box).items():
        lookup[ord(character)] = token
    for row, text in enumerate(texts):
        if len(text) != tokens:
            raise RowError(
                row, f"the {column} has {len(text)} cells; a {side(box)}×{side(box)} board has {tokens}"
            )
    # every legal character is in Latin-1; whatever is not becomes '?', which is illegal as well
    codes = np.frombuffer("".join(texts).encode("latin-1", "replace"), np.uint8)
    boards = lookup[codes].reshape(-1, tokens)
    wrong = boards == ILLEGAL
    for row, cell in np.argwhere(wrong)[:1].tolist() if wrong.any() else []:
        raise RowError(
            row,
            f"{column}, {cell_name(cell, box)} (character {cell + 1}): {illegal(texts[row][cell], box)}",
        )
    return boards
