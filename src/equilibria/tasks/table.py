"""Tables of problems: the columns source, question, answer, rating of sapientinc/sudoku-extreme, as text."""

import csv
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equilibria.errors import DataError
from equilibria.tables import CHUNK, Chunk, Format, read_columns, shortened, table_format

HEADER = 4096  # characters of a line that may name columns
COLUMNS = ("source", "question", "answer", "rating")

Spell = Callable[[list[int]], str | None]


class RowError(DataError):
    """One row of several is wrong: `row`, its number from 0 among them; `reason`, what is wrong in words."""

    def __init__(self, row: int, reason: str):
        super().__init__(f"row {row + 1}: {reason}")
        self.row = row
        self.reason = reason


class KindError(RowError):
    """A value is of a kind that no text can be made of."""


@contextmanager
def placed(where: str | Path, places: Sequence[int], word: str = "line") -> Iterator[None]:
    """A RowError inside becomes a DataError that names the row's place: `where`, and `word` with a number."""
    try:
        yield
    except RowError as error:
        raise DataError(f"{where}, {word} {places[error.row]}: {error.reason}") from None


@dataclass(frozen=True)
class Rows:
    """Consecutive rows of a table as text, one entry a row; without answers or ratings where not asked for.

    `ratings` float32 [count]; NaN where a row has none.
    """

    sources: list[str]
    questions: list[str]
    answers: list[str] | None
    ratings: NDArray[np.float32] | None


def problem_format(path: Path) -> Format | None:
    """The format of a table of problems; a file of another name is CSV if it begins with a fitting header."""
    if found := table_format(path):
        return found
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        try:
            first = next(csv.reader([file.readline(HEADER)]), [])
        except csv.Error:  # a line that is longer than any header
            first = []
    return "csv" if "question" in [name.strip().lower() for name in first] else None


def read_chunks(
    path: Path, format: Format, *, labelled: bool, spell: Spell, limit: int | None = None
) -> Iterator[Chunk]:
    """The rows of a table in chunks, at most the first `limit`, broken ones counted; `spell` as in `rows_of`.

    Raises DataError for a table without the columns that are needed, and one that cannot be read at all.
    """
    rows = CHUNK if limit is None else min(CHUNK, limit)
    done = 0
    for chunk in read_columns(path, format=format, only=COLUMNS, rows=rows):
        if done == 0:
            _check_columns(path, format, chunk, labelled)
            _check_kinds(path, format, chunk, labelled, spell)
        done += len(chunk) + len(chunk.broken)
        yield chunk if limit is None or done <= limit else _head(chunk, limit)
        if limit is not None and done >= limit:
            return


def _head(chunk: Chunk, limit: int) -> Chunk:
    """The rows of a chunk among the first `limit` of the file."""
    head = chunk[: bisect_left(chunk.rows, limit)]
    return replace(head, broken=[one for one in chunk.broken if one.row < limit])


def _check_columns(path: Path, format: Format, chunk: Chunk, labelled: bool) -> None:
    where = f"{path}, line 1" if format == "csv" else str(path)
    names = shortened(", ".join(chunk.names))
    if "question" not in chunk.names:
        if chunk.broken and not len(chunk):
            first = chunk.broken[0]
            raise DataError(f"{path}, {chunk.word} {first.place} {first.reason}")
        if format == "csv":
            raise DataError(
                f"{where}: the header must name the columns question and answer "
                f"(source and rating are optional); it is {','.join(chunk.names)[:60]!r}"
            )
        found = f"there is no column question, only {names}" if names else "there is nothing in this file"
        raise DataError(
            f"{where}: {found}; the columns are question and answer (source and rating are optional)"
        )
    if labelled and "answer" not in chunk.names:
        raise DataError(
            f"{where}: there is no column answer, only {names}; "
            f"add the answers, or read the file as unlabelled"
        )


def _check_kinds(path: Path, format: Format, chunk: Chunk, labelled: bool, spell: Spell) -> None:
    """In NPZ and Parquet a column has one type: one that is no text is wrong as a whole, not row by row."""
    if format in ("csv", "jsonl"):
        return
    for column in ("question", "answer")[: 1 + labelled]:
        value = next((value for value in chunk.columns[column] if value is not None), "")
        try:
            _text(0, value, column, spell)
        except KindError as error:
            raise DataError(f"{path}: {error.reason}") from None
        except RowError:
            pass  # the type is right


def rows_of(chunk: Chunk, *, source: str, labelled: bool, spell: Spell) -> Rows:
    """The rows of a chunk as text; `source` is that of rows without one.

    `spell` makes text of a question or an answer that is a list of whole numbers, [cells] or [height][width],
    or None where these have no meaning. Raises RowError for the first row that is no text.
    """
    missing = [None] * len(chunk)
    sources = chunk.columns.get("source", missing)
    return Rows(
        [source if value is None else intern(str(value)) for value in sources],
        _texts(chunk.columns.get("question", missing), "question", spell),
        _texts(chunk.columns.get("answer", missing), "answer", spell) if labelled else None,
        _ratings(chunk.columns["rating"]) if "rating" in chunk.columns else None,
    )


def _texts(values: list[Any], column: str, spell: Spell) -> list[str]:
    if set(map(type, values)) <= {str}:
        return values
    return [_text(row, value, column, spell) for row, value in enumerate(values)]


def _text(row: int, value: Any, column: str, spell: Spell) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        raise RowError(row, f"there is no {column}")
    cells = _cells(value)
    if cells is None:
        shown = shortened(repr(value))
        raise KindError(row, f"the {column} is {shown}; write text, or whole numbers for cells as a list")
    try:
        text = spell(cells)
    except RowError as error:
        raise RowError(row, f"{column}, {error.reason}") from None
    if text is None:
        raise KindError(row, f"the {column} is made of numbers, which mean nothing in this task: store text")
    return text


def _cells(value: Any) -> list[int] | None:
    """The whole numbers of a list, or of a list of lists row by row; None for anything else."""
    if not isinstance(value, list):
        return None
    cells: list[Any] = list(chain.from_iterable(value)) if set(map(type, value)) == {list} else value
    return cells if set(map(type, cells)) <= {int} else None


def _ratings(values: list[Any]) -> NDArray[np.float32]:
    ratings = np.full(len(values), np.nan, np.float32)
    for row, value in enumerate(values):
        try:
            if value is not None:
                ratings[row] = float(value)
        except (ValueError, TypeError, OverflowError):
            raise RowError(row, f"rating {shortened(repr(value))} is not a number") from None
    return ratings


def hub_file(dataset: str, filename: str) -> Path:
    """A local copy of one file of the Hub dataset `owner/name`. Raises DataError where it cannot be had."""
    from huggingface_hub import hf_hub_download  # slow to import, and most runs read local files

    try:
        return Path(hf_hub_download(dataset, filename, repo_type="dataset"))
    except Exception as error:  # the Hub client raises a dozen types; the user's way out is the same
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{dataset} is no file or folder here, and {filename} of the Hub dataset {dataset} could not be "
            f"fetched ({reason}); give the path of a local file, or of a folder with train.csv and test.csv; "
            "a file of a Hub dataset is named hf://datasets/owner/name/FILE"
        ) from error
