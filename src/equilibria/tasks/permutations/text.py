"""Word problems as people write them: elements with spaces between, a problem a line."""

import numpy as np
from numpy.typing import NDArray

from equilibria.errors import DataError
from equilibria.tasks.permutations.group import Group
from equilibria.tasks.table import RowError, placed


def parse_rows(text: str, group: Group, length: int, where: str) -> tuple[NDArray[np.uint8], list[int]]:
    """All problems of `text`, uint8 [count, length], and the line of each; `#` begins a comment.

    Raises DataError naming line and position.
    """
    contents = [(number, line.split("#")[0]) for number, line in enumerate(text.splitlines(), 1)]
    found = [(number, content) for number, content in contents if content.strip()]
    if not found:
        raise DataError(
            f"{where} holds no problem: write elements of {group.name} with spaces between, "
            f"as in {' '.join(group.symbols[-2:])}"
        )
    lines = [number for number, _ in found]
    with placed(where, lines):
        return decode([content for _, content in found], group, length, "problem"), lines


def decode(texts: list[str], group: Group, length: int, column: str) -> NDArray[np.uint8]:
    """Tokens [count, length] of rows of elements, shorter ones padded with 0. Raises RowError."""
    known = group.known
    rows = np.zeros((len(texts), length), np.uint8)
    for row, text in enumerate(texts):
        words = text.split()
        elements = [known.get(word, -1) for word in words]
        if -1 in elements:
            position = elements.index(-1)
            raise RowError(row, f"{column}, position {position + 1}: {group.illegal(words[position])}")
        if not 1 <= len(elements) <= length:
            raise RowError(
                row,
                f"the {column} has {len(elements)} elements; here it may have up to {length}: "
                f"set the task's length to the greatest there is",
            )
        rows[row, : len(elements)] = elements
        rows[row, : len(elements)] += 1
    return rows


def encode(tokens: list[int], group: Group) -> str:
    """One row as it is written: elements with spaces between, pads at the end left out, `-` for others."""
    while tokens and tokens[-1] == 0:
        tokens = tokens[:-1]
    return " ".join(symbol(token, group) for token in tokens)


def symbol(token: int, group: Group) -> str:
    """The element of one token as it is written, `-` for a pad."""
    return group.symbols[token - 1] if token else "-"
