"""Boards of tokens as panels: what a picture shows of grids, and of a task that says nothing of its own."""

import re
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from equilibria.tasks.picture.panel import ANSWER, BLACK, FILLED, PROBLEM, RIGHT, Cell, Panel, remark

ACROSS = 32  # cells of a row, where a board has one row only; then the next begins
UNSCORED = Cell(fill="#DDDDDD")  # of a right answer: anything may stand there
SEPARATORS = r"[\s/,;|]+"  # between the cells of a line

Tokens = Sequence[int]
Rows = tuple[tuple[Cell | None, ...], ...]


def board_panels(
    board: tuple[int, int],
    symbol: Callable[[int], str],
    given: Tokens,
    answer: Tokens | None,
    label: Tokens | None,
    broken: Sequence[str] | None,
) -> list[Panel]:
    """A problem, and its answer and the right one where there are any; tokens row by row, 0 for a pad.

    Bold is what the problem has at the same place. Marked in an answer: cells that differ from `label`, or,
    without that, those left empty. `broken`: as `remark` takes it.
    """
    width = board[1] if board[0] > 1 else ACROSS
    given_cells = [Cell(symbol(token), bold=True) if token else None for token in given]
    panels = [Panel(PROBLEM, rows_of(given_cells, width))]
    if answer is not None:
        wanted = [None] * len(given) if label is None else label
        rows = rows_of(
            [_answered(symbol, *three) for three in zip(given, answer, wanted, strict=True)], width
        )
        panels.append(Panel(ANSWER, rows, note=remark(rows, broken, known=label is not None)))
    if label is not None:
        cells = [
            _filled(symbol, before, token) if token else UNSCORED if before else None
            for before, token in zip(given, label, strict=True)
        ]
        panels.append(Panel(RIGHT, rows_of(cells, width)))
    return panels


def rows_of(cells: Sequence[Cell | None], width: int) -> Rows:
    """Cells cut into rows of `width`; the last may be shorter."""
    return tuple(tuple(cells[start : start + width]) for start in range(0, len(cells), width))


def symbols_of(format: Callable[[Tensor], str], count: int) -> Callable[[int], str]:
    """How a task writes one token, found from a line of `count` equal ones; the token's number where that
    does not tell."""

    @cache
    def symbol(token: int) -> str:
        text = format(torch.full((count,), token, dtype=torch.uint8))
        for parts in (re.split(SEPARATORS, text.strip()), re.sub(SEPARATORS, "", text), text):
            if len(parts) == count and len(set(parts)) == 1:
                return parts[0]
        return str(token)

    return symbol


def _answered(symbol: Callable[[int], str], before: int, token: int, wanted: int | None) -> Cell | None:
    """One cell of an answer, where the problem has the token `before`; `wanted`: None where nobody knows."""
    wrong = token != wanted if wanted else wanted is None and token == 0 and before != 0
    if token:
        return _filled(symbol, before, token, wrong)
    return Cell(wrong=wrong) if wrong or before else None


def _filled(symbol: Callable[[int], str], before: int, token: int, wrong: bool = False) -> Cell:
    kept = token == before
    return Cell(symbol(token), ink=BLACK if kept else FILLED, bold=kept, wrong=wrong)
