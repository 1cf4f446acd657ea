"""CSV: a header, and a row a line unless a quoted field spans several."""

import csv
import json
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from equilibria.errors import DataError
from equilibria.tables.chunk import Broken, Chunk, shortened, tidy, twice
from equilibria.tables.lines import batches, opened
from equilibria.tables.lines import lines as lines_of


class _Lines:
    """The lines of a file, for a CSV reader that may have to take some of them back.

    A quote that is never closed swallows the lines below it. Where a row is broken, only its first line is
    given up, so that the rows below are still found.
    """

    def __init__(self, file: Iterator[str]):
        self.file = file
        self.again: deque[str] = deque()  # lines to be read a second time
        self.taken: list[str] = []  # lines of the row at hand
        self.first = 1  # the line on which that row begins

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self.again.popleft() if self.again else next(self.file)
        self.taken.append(line)
        return line

    def go_on(self, lines: int) -> None:
        """Begin the next row `lines` after this one; what else was taken is read again."""
        if lines < len(self.taken):
            self.again.extendleft(reversed(self.taken[lines:]))
        self.taken.clear()
        self.first += lines


def read(path: Path, rows: int, only: Collection[str] | None) -> Iterator[Chunk]:
    """Chunks of at most `rows` rows with the columns `only`, all values text; blank lines are no rows.

    Fewer where these are long. Columns without a name are left out. Raises DataError for a header that cannot
    be read, for a line that is too long to be a row, and where the file is no text.
    """
    with opened(path, newline="") as file:
        lines = _Lines(lines_of(path, file))
        reader = csv.reader(lines, strict=True)
        names = _header(path, reader, lines, only)
        numbered = ((_size(item), item) for item in _rows(reader, lines, names))
        start = 0
        for batch in batches(numbered, rows):
            yield _chunk(names, batch, start, only)
            start += len(batch)


def _size(item: tuple[int, list[str]] | Broken) -> int:
    """Characters that a row holds."""
    return len(item.text) if isinstance(item, Broken) else sum(map(len, item[1]))


def _header(path: Path, reader: Any, lines: _Lines, only: Collection[str] | None) -> list[str]:
    try:
        names = [tidy(name) for name in next((row for row in reader if row), [])]
    except csv.Error as error:
        raise DataError(f"{path}, line 1 is not CSV: {error}") from None
    lines.go_on(len(lines.taken))
    if name := twice([name for name in names if name and (only is None or name in only)]):
        raise DataError(f"{path}, line 1: two columns have the name {shortened(name)!r}; rename one")
    return names


def _rows(reader: Any, lines: _Lines, names: list[str]) -> Iterator[tuple[int, list[str]] | Broken]:
    """The line and the fields of each row, or why it is none (its `row` is filled in later)."""
    while True:
        reason = ""
        fields: list[str] = []
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = f"is not CSV: {error}"
        if fields and len(fields) != len(names):
            reason = f"has {len(fields)} fields; the header names {len(names)}: {shortened(', '.join(names))}"
        taken = len(lines.taken)
        if reason:
            if taken > 1:
                reason += f" (this row runs to line {lines.first + taken - 1}: is a quote left open?)"
            text = shortened(lines.taken[0].rstrip("\r\n"))
            broken = Broken(0, lines.first, text, reason)
            lines.go_on(1)
            yield broken
        else:
            first = lines.first
            lines.go_on(taken)
            if fields:
                yield first, fields


def _chunk(
    names: list[str], batch: list[tuple[int, list[str]] | Broken], start: int, only: Collection[str] | None
) -> Chunk:
    rows: list[int] = []
    places: list[int] = []
    records: list[list[str]] = []
    broken: list[Broken] = []
    for row, item in enumerate(batch, start):
        if isinstance(item, Broken):
            broken.append(replace(item, row=row))
        else:
            rows.append(row)
            places.append(item[0])
            records.append(item[1])
    columns = zip(*records, strict=True) if records else ((),) * len(names)
    named = {name: list(values) for name, values in zip(names, columns, strict=True) if name}
    if only is not None:
        named = {name: values for name, values in named.items() if name in only}
    return Chunk(tuple(filter(None, names)), named, rows, places, "line", broken)


def write(path: Path, columns: dict[str, list[Any]]) -> None:
    """Write columns; None is an empty cell, true and false are words, 2.0 is 2, a list is JSON."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(_Unix(file), lineterminator="\r\n")
        writer.writerow(columns)
        writer.writerows(zip(*([*map(_cell, values)] for values in columns.values()), strict=True))


class _Unix:
    """Ends rows with \\n. Told so itself, `csv` would not quote a lone \\r, at which readers end a row."""

    def __init__(self, file: TextIO):
        self.file = file

    def write(self, row: str) -> object:
        return self.file.write(row.removesuffix("\r\n") + "\n")


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return json.dumps(value) if isinstance(value, list) else value
