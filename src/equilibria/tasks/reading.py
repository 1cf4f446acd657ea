"""Problems out of files: strictly, where the first bad row is an error, or with bad rows set aside."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from equilibria.errors import DataError
from equilibria.tables import Chunk, Format, shortened
from equilibria.tables.lines import lines, opened
from equilibria.tasks.problems import Problems
from equilibria.tasks.table import RowError, placed, problem_format, rows_of

if TYPE_CHECKING:
    from equilibria.tasks.interface import Task


@dataclass(frozen=True)
class Rejected:
    """A row that is no problem.

    `row`: its number from 0 over all rows of the file; `place`: where a person finds it, such as "line 17";
    `text`: its question, or all of it where there is none, at most 200 characters; `reason`: what is wrong.
    """

    row: int
    place: str
    text: str
    reason: str


@dataclass(frozen=True)
class Scan:
    """What a file holds: its problems in order, and the rows that are none.

    `places` int64 [count]: the number of each problem's row, from 0 over all rows of the file.
    """

    problems: Problems
    places: Tensor
    rejected: list[Rejected]


def read_problems(task: "Task", path: Path, *, limit: int | None, labelled: bool) -> Problems:
    """The problems of a file, at most the first `limit`. Raises DataError naming the first bad row."""
    format = problem_format(path)
    if format is not None:
        return _read_table(task, path, format, limit, labelled)
    inputs, lines = task.parse_with_lines(_text(path), str(path))
    inputs, lines = inputs[:limit], lines[:limit]
    labels = None
    if labelled:
        labels, faults = task.label(inputs)
        with placed(path, lines):
            _raise_first(faults)
    return Problems(inputs, labels, (path.stem,) * len(inputs))


def _read_table(task: "Task", path: Path, format: Format, limit: int | None, labelled: bool) -> Problems:
    parts: list[Problems] = []
    places: list[int] = []
    word = ""
    for chunk in task.chunks(path, format, labelled=labelled, limit=limit):
        word = chunk.word
        for broken in chunk.broken:
            raise DataError(f"{path}, {word} {broken.place} {broken.reason}")
        if len(chunk):
            parts.append(decode_chunk(task, chunk, path, labelled=labelled))
            places += chunk.places
    if not parts:
        raise _empty(task, path, format)
    problems = Problems.concatenate(parts)
    if labelled:
        with placed(path, places, word):
            _raise_first(task.faults(problems))
    return problems


def scan_problems(task: "Task", path: Path, *, labelled: bool) -> Scan:
    """All problems of a file, bad rows set aside. Raises DataError where the file as a whole is no good."""
    format = problem_format(path)
    if format is None:
        return _scan_text(task, path, labelled)
    sieve = _Sieve(task, path.stem, labelled)
    for chunk in task.chunks(path, format, labelled=labelled):
        sieve.add(chunk)
    if not sieve.rows and not sieve.rejected:
        raise _empty(task, path, format)
    problems = sieve.problems()
    return sieve.scan(problems, task.faults(problems) if labelled else {})


def _scan_text(task: "Task", path: Path, labelled: bool) -> Scan:
    text = _text(path)
    sieve = _Sieve(task, path.stem, labelled=False)
    try:
        inputs, lines = task.parse_with_lines(text, str(path))
    except DataError:
        listed = _listed(task, text)
        if not listed:
            raise
        lines = [number for number, _ in listed]
        columns = {"question": [content for _, content in listed]}
        sieve.add(Chunk(("question",), columns, range(len(lines)), lines, "line", []))
    else:
        problems = Problems(inputs, None, (path.stem,) * len(inputs))
        sieve.take(problems, range(len(inputs)), lines)
    problems = sieve.problems()
    if not labelled:
        return sieve.scan(problems, {})
    labels, faults = task.label(problems.inputs)
    return sieve.scan(replace(problems, labels=labels), faults)


def _listed(task: "Task", text: str) -> list[tuple[int, str]]:
    """The lines of `text` that say something, with their numbers; none where grids are drawn over lines."""
    contents = [(number, task.content(line)) for number, line in enumerate(text.splitlines(), 1)]
    contents = [(number, content) for number, content in contents if content.strip()]
    height, width = task.board
    whole = sum(len(content) == height * width for _, content in contents)
    drawn = sum(len(content) == width for _, content in contents) / height
    return contents if height == 1 or whole > drawn else []


@dataclass
class _Sieve:
    """Takes chunks of a file, keeps the problems and sets the rest aside.

    A chunk that decodes is taken whole. One that does not is halved until its bad rows stand alone, so a few
    of them cost a few times the decoding of their chunks.
    """

    task: "Task"
    source: str  # of rows that name none
    labelled: bool
    word: str = "line"
    parts: list[Problems] = field(default_factory=list[Problems])
    rows: list[int] = field(default_factory=list[int])  # of each kept row: its number in the file
    places: list[int] = field(default_factory=list[int])  # and where a person finds it
    rejected: list[Rejected] = field(default_factory=list[Rejected])

    def add(self, chunk: Chunk) -> None:
        self.word = chunk.word
        for broken in chunk.broken:
            self._reject(broken.row, broken.place, broken.text, broken.reason)
        if len(chunk):
            self._sift(chunk)

    def _sift(self, chunk: Chunk) -> None:
        try:
            part = _decode(self.task, chunk, self.source, self.labelled)
        except RowError as error:
            if len(chunk) > 1:
                middle = len(chunk) // 2
                self._sift(chunk[:middle])
                self._sift(chunk[middle:])
            else:
                row = {name: values[0] for name, values in chunk.columns.items() if values[0] is not None}
                text = str(row.get("question", row))
                self._reject(chunk.rows[0], chunk.places[0], text, error.reason)
        else:
            self.take(part, chunk.rows, chunk.places)

    def take(self, problems: Problems, rows: Sequence[int], places: Sequence[int]) -> None:
        """Keep `problems`, which stand in these rows of the file."""
        self.parts.append(problems)
        self.rows += rows
        self.places += places

    def _reject(self, row: int, place: int, text: str, reason: str) -> None:
        self.rejected.append(Rejected(row, f"{self.word} {place}", shortened(text), reason))

    def problems(self) -> Problems:
        """All that was kept, in order."""
        if self.parts:
            return Problems.concatenate(self.parts)
        none = torch.empty(0, self.task.tokens, dtype=torch.uint8)
        return Problems(none, none if self.labelled else None, ())

    def scan(self, problems: Problems, faults: dict[int, str]) -> Scan:
        """What was found, where `faults` are the kept `problems` that have to go after all, and why."""
        for row, reason in faults.items():
            text = self.task.format(problems.inputs[row])
            self._reject(self.rows[row], self.places[row], text, reason)
        places = torch.tensor(self.rows, dtype=torch.int64)
        if faults:
            kept = torch.ones(len(problems), dtype=torch.bool)
            kept[list(faults)] = False
            problems, places = problems[kept], places[kept]
        return Scan(problems, places, sorted(self.rejected, key=lambda one: one.row))


def decode_chunk(task: "Task", chunk: Chunk, path: Path, *, labelled: bool) -> Problems:
    """The problems of a chunk of a table. Raises DataError naming the first bad row."""
    with placed(path, chunk.places, chunk.word):
        return _decode(task, chunk, path.stem, labelled)


def _decode(task: "Task", chunk: Chunk, source: str, labelled: bool) -> Problems:
    return task.decode(rows_of(chunk, source=source, labelled=labelled, spell=task.spell))


def _raise_first(faults: dict[int, str]) -> None:
    for row in sorted(faults)[:1]:
        raise RowError(row, faults[row])


def _text(path: Path) -> str:
    with opened(path) as file:
        return "".join(lines(path, file))


def _empty(task: "Task", path: Path, format: Format) -> DataError:
    where = "there is nothing below its header" if format == "csv" else "its table has no rows"
    return DataError(f"{path} holds no {task.noun}: {where}")
