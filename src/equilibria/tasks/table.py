"""Tables of problems: CSV with the columns source, question, answer, rating of sapientinc/sudoku-extreme."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from sys import intern

import numpy as np
from numpy.typing import NDArray

from equilibria.errors import DataError
from equilibria.files import write_atomically

CHUNK = 65_536  # rows held as Python strings at a time; the largest published table has four million


@dataclass(frozen=True)
class Rows:
    """Consecutive rows of a table; `lines` are their line numbers in the file, from 1."""

    lines: list[int]
    sources: list[str]
    questions: list[str]
    answers: list[str] | None
    ratings: NDArray[np.float32] | None


def existing_file(path: str | Path) -> Path:
    """`path`, if it is a file. Raises DataError where it is a folder or nothing."""
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder: name a file in it, such as {path / 'train.csv'}")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    return path


def header(path: Path) -> list[str] | None:
    """The column names of a table, None for other files. Raises DataError for a .csv without `question`."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        first = next(csv.reader([file.readline()]), [])
    names = [name.strip().lower() for name in first]
    if "question" in names:
        return names
    if path.suffix.lower() == ".csv":
        shown = ",".join(first)[:60]
        raise DataError(
            f"{path}, line 1: the header must name the columns question and answer "
            f"(source and rating are optional); it is {shown!r}"
        )
    return None


def read_rows(path: Path, names: list[str], *, limit: int | None, labelled: bool) -> Iterator[Rows]:
    """The rows under the header `names`, in chunks. Raises DataError naming the line that does not fit."""
    if labelled and "answer" not in names:
        raise DataError(
            f"{path}, line 1: there is no column answer, only {', '.join(names)}; "
            f"add the answers, or read the file as unlabelled"
        )
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        numbered = islice(((reader.line_num, row) for row in reader if row), limit)
        try:
            while chunk := list(islice(numbered, CHUNK)):
                yield _rows(path, names, chunk, labelled)
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: not CSV: {error}") from None


def _rows(path: Path, names: list[str], chunk: list[tuple[int, list[str]]], labelled: bool) -> Rows:
    for line, row in chunk:
        if len(row) != len(names):
            raise DataError(
                f"{path}, line {line} has {len(row)} fields; "
                f"the header names {len(names)}: {', '.join(names)}"
            )
    columns = dict(zip(names, zip(*(row for _, row in chunk), strict=True), strict=True))
    lines = [line for line, _ in chunk]
    return Rows(
        lines,
        [intern(source) for source in columns.get("source", [path.stem] * len(chunk))],
        list(columns["question"]),
        list(columns["answer"]) if labelled else None,
        _ratings(path, lines, columns["rating"]) if "rating" in columns else None,
    )


def _ratings(path: Path, lines: list[int], texts: tuple[str, ...]) -> NDArray[np.float32]:
    ratings = np.empty(len(texts), np.float32)
    for index, text in enumerate(texts):
        try:
            ratings[index] = float(text)
        except ValueError:
            raise DataError(f"{path}, line {lines[index]}: rating {text!r} is not a number") from None
    return ratings


def write_table(path: str | Path, columns: Mapping[str, list[str]]) -> None:
    """Write equally long columns as CSV: to a temporary file first, which then takes the name at once."""
    path = Path(path)
    if not path.parent.is_dir():
        raise DataError(f"{path}: there is no folder {path.parent}; make it first")

    def write(partial: Path) -> None:
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))

    write_atomically(path, write)


def hub_file(dataset: str, filename: str) -> Path:
    """A local copy of one file of the Hub dataset `owner/name`. Raises DataError where it cannot be had."""
    from huggingface_hub import hf_hub_download  # slow to import, and most runs read local files

    try:
        return Path(hf_hub_download(dataset, filename, repo_type="dataset"))
    except Exception as error:  # the Hub client raises a dozen types; the user's way out is the same
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{dataset} is no file or folder here, and {filename} of the Hub dataset {dataset} could not be "
            f"fetched ({reason}); give the path of a local file, or of a folder with train.csv and test.csv"
        ) from error
