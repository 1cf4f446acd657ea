"""A grid in a terminal: the problem, and its answer beside or below it; `!` follows a cell that is wrong."""

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from equilibria.tasks.grids.notation import Notation, trimmed

ACROSS = 78  # columns of a terminal that two grids side by side may take
ARROW = " → "


def render_grid(
    notation: Notation,
    given: NDArray[np.uint8],
    answer: NDArray[np.uint8] | None,
    label: NDArray[np.uint8] | None,
) -> Text:
    """`given` [tokens]; and `answer`, cells that it keeps in bold, those that differ from `label` marked."""
    problem = trimmed(given, notation.board)
    height, width = problem.shape
    cell = max(map(len, notation.symbols), default=1) + 1
    text = Text()
    if answer is None:
        for row in range(height):
            text.append("\n" if row else "")
            _row(text, notation, problem[row], cell, "bold")
        return text
    shown = answer.reshape(notation.board)[:height, :width]
    wrong = shown == 0
    if label is not None:
        wanted = label.reshape(notation.board)[:height, :width]
        wrong = (wanted > 0) & (wanted != shown)
    beside = 2 * width * cell + len(ARROW) <= ACROSS
    for row in range(height if beside else 0):
        text.append("\n" if row else "")
        _row(text, notation, problem[row], cell, "dim")
        text.append(ARROW if row == height // 2 else " " * len(ARROW), "dim")
        _answer(text, notation, shown[row], problem[row], wrong[row], cell)
    for row in range(0 if beside else height):
        text.append("\n" if row else "")
        _answer(text, notation, shown[row], problem[row], wrong[row], cell)
    return text


def _row(text: Text, notation: Notation, tokens: NDArray[np.uint8], cell: int, style: str) -> None:
    for token in tokens.tolist():
        text.append(notation.symbol(token).ljust(cell), style)


def _answer(
    text: Text,
    notation: Notation,
    tokens: NDArray[np.uint8],
    given: NDArray[np.uint8],
    wrong: NDArray[np.bool_],
    cell: int,
) -> None:
    for token, before, bad in zip(tokens.tolist(), given.tolist(), wrong.tolist(), strict=True):
        style = "red" if bad else "bold" if token == before else "cyan"
        symbol = notation.symbol(token) + ("!" if bad else "")
        text.append(symbol.ljust(cell), style)
