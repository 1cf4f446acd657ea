"""Input grids as people write them: one a line, `/` between rows, the puzzle's name before it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from equilibria.errors import DataError
from equilibria.tasks.arc.canvas import encode
from equilibria.tasks.arc.grid import GridError, parse_grid
from equilibria.tasks.problems import Problems
from equilibria.tasks.table import RowError, Rows


@dataclass(frozen=True)
class Lines:
    """What a text holds: canvases uint8 `[count, tokens]`, and of each its line and the puzzle it names."""

    inputs: Tensor
    lines: list[int]
    names: list[str]


def parse_lines(text: str, canvas: int, where: str) -> Lines:
    """The grids of `text`, such as `mini-arc/Gravity: 003/030/300`; the name may be left out.

    Raises DataError naming the line.
    """
    rows: list[Tensor] = []
    lines: list[int] = []
    names: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.split("#")[0].strip()
        if not content:
            continue
        name, _, grid = content.rpartition(":")
        try:
            rows.append(encode(parse_grid(grid, canvas), canvas))
        except GridError as error:
            raise DataError(f"{where}, line {number}: {error}") from None
        lines.append(number)
        names.append(name.strip())
    if not rows:
        raise DataError(f"{where} holds no grid: write one a line, such as 003/030/300, rows parted by /")
    return Lines(torch.stack(rows), lines, names)


def parse_problems(text: str, canvas: int, where: str, identify: Callable[[str], int] | None) -> Problems:
    """The problems of `text`, with the identities of the puzzles that its lines name, where there are any.

    Raises DataError for a line that names no puzzle, or one without an identity.
    """
    found = parse_lines(text, canvas, where)
    if identify is None:
        return Problems(found.inputs, None, (where,) * len(found.lines))
    numbers: list[int] = []
    for line, name in zip(found.lines, found.names, strict=True):
        if not name:
            raise DataError(f"{where}, line {line}: name the puzzle, as in mini-arc/Gravity: 003/030/300")
        try:
            numbers.append(identify(name))
        except DataError as error:
            raise DataError(f"{where}, line {line}: {error}") from None
    return Problems(found.inputs, None, tuple(found.names), None, torch.tensor(numbers))


def decode_rows(rows: Rows, canvas: int, identify: Callable[[str], int] | None) -> Problems:
    """The problems of a table; the source of a row names its puzzle. Raises RowError."""

    def boards(texts: list[str], column: str) -> Tensor:
        found: list[Tensor] = []
        for row, text in enumerate(texts):
            try:
                found.append(encode(parse_grid(text, canvas), canvas))
            except GridError as error:
                raise RowError(row, f"{column}: {error}") from None
        return torch.stack(found)

    identifiers = None
    if identify is not None:
        numbers: list[int] = []
        for row, source in enumerate(rows.sources):
            try:
                numbers.append(identify(source))
            except DataError as error:
                raise RowError(row, str(error)) from None
        identifiers = torch.tensor(numbers, dtype=torch.int64)
    return Problems(
        boards(rows.questions, "question"),
        None if rows.answers is None else boards(rows.answers, "answer"),
        tuple(rows.sources),
        None if rows.ratings is None else torch.from_numpy(rows.ratings),
        identifiers,
    )
