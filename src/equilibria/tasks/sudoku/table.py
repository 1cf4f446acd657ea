"""Tables of Sudoku with answers: decoded at once, and checked as far as a wrong row could mislead a run."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from equilibria.errors import DataError
from equilibria.tasks.interface import Problems
from equilibria.tasks.sudoku.board import Box, cell_name, side, symbol
from equilibria.tasks.sudoku.rules import contradictory, valid, violations
from equilibria.tasks.sudoku.solver import solve
from equilibria.tasks.sudoku.text import alphabet, check_clues, illegal
from equilibria.tasks.table import Rows, read_rows

SAMPLE = 50_000  # puzzles whose uniqueness is checked; a random sample of larger tables
ILLEGAL = 255


def read_boards(path: Path, names: list[str], box: Box, *, limit: int | None, labelled: bool) -> Problems:
    """The puzzles of a table whose header is `names`.

    Every clue and answer is checked. That a labelled puzzle has one solution is checked by solving it, up to
    50,000 puzzles; of a larger table, 50,000 drawn at random. Raises DataError naming line, cell and rule.
    """
    parts: list[Problems] = []
    lines: list[int] = []
    for rows in read_rows(path, names, limit=limit, labelled=labelled):
        parts.append(_problems(rows, box, str(path)))
        lines += rows.lines
    if not parts:
        raise DataError(f"{path} holds no puzzle: there is nothing below its header")
    problems = Problems.concatenate(parts)
    if labelled:
        sample = np.arange(len(problems))
        if len(sample) > SAMPLE:
            sample = np.sort(np.random.default_rng(0).choice(sample, SAMPLE, replace=False))
        unique_solutions(problems.inputs.numpy()[sample], [lines[row] for row in sample], box, str(path))
    return problems


def unique_solutions(boards: NDArray[np.uint8], lines: list[int], box: Box, where: str) -> NDArray[np.uint8]:
    """The only solution of each board [count, tokens]. Raises DataError for one with none or several."""
    solutions = solve(boards, box, limit=2)
    for row in np.flatnonzero(solutions.found != 1)[:1].tolist():
        if solutions.found[row] == 0:
            raise DataError(f"{where}, line {lines[row]}: the puzzle has no solution; a clue must be wrong")
        one, other = solutions.boards[row]
        cells = np.flatnonzero(one != other).tolist()
        first = cells[0]
        raise DataError(
            f"{where}, line {lines[row]}: the puzzle has several solutions, and a labelled one must have "
            f"just one: {cell_name(first, box)} can be {symbol(one[first])} or {symbol(other[first])}, "
            f"and two solutions differ in {len(cells)} cells; add clues"
        )
    return solutions.boards[:, 0].copy()


def _problems(rows: Rows, box: Box, where: str) -> Problems:
    """Tokens of some rows, whose clues and answers keep the rules."""
    inputs = _decode(rows.questions, rows.lines, box, where, "question")
    bad = np.flatnonzero(contradictory(inputs, box))[:1]
    check_clues(inputs[bad], [rows.lines[row] for row in bad], box, where)
    boards, labels = torch.from_numpy(inputs), None
    if rows.answers is not None:
        answers = _decode(rows.answers, rows.lines, box, where, "answer")
        labels = torch.from_numpy(answers)
        for row in torch.nonzero(~valid(boards, labels, box))[:1, 0].tolist():
            problem = violations(inputs[row], answers[row], box)[0]
            if not solve(inputs[row : row + 1], box).found[0]:
                problem += "; and the puzzle has no solution"
            raise DataError(f"{where}, line {rows.lines[row]}: the answer is wrong: {problem}")
    ratings = None if rows.ratings is None else torch.from_numpy(rows.ratings)
    return Problems(boards, labels, tuple(rows.sources), ratings)


def _decode(texts: list[str], lines: list[int], box: Box, where: str, column: str) -> NDArray[np.uint8]:
    """Tokens [count, tokens] of one-line boards, all characters in one lookup."""
    tokens = side(box) ** 2
    lookup = np.full(256, ILLEGAL, np.uint8)
    for character, token in alphabet(box).items():
        lookup[ord(character)] = token
    for line, text in zip(lines, texts, strict=True):
        if len(text) != tokens:
            raise DataError(
                f"{where}, line {line}: the {column} has {len(text)} cells; "
                f"a {side(box)}×{side(box)} board has {tokens}"
            )
    # every legal character is in Latin-1; whatever is not becomes '?', which is illegal as well
    codes = np.frombuffer("".join(texts).encode("latin-1", "replace"), np.uint8)
    boards = lookup[codes].reshape(-1, tokens)
    wrong = boards == ILLEGAL
    for row, cell in np.argwhere(wrong)[:1].tolist() if wrong.any() else []:
        raise DataError(
            f"{where}, line {lines[row]}: {column}, {cell_name(cell, box)} (character {cell + 1}): "
            f"{illegal(texts[row][cell], box)}"
        )
    return boards
