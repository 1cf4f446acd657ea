"""The lines of a text file, none of them longer than memory should hold."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, TypeVar

from equilibria.errors import DataError

LONGEST = 4 * 2**20  # characters; the largest grid with its target has some 600,000
HELD = 16 * 2**20  # characters of rows that are held at a time
UTF16 = (b"\xff\xfe", b"\xfe\xff")  # marks at the beginning of UTF-16 and UTF-32


Row = TypeVar("Row")


@contextmanager
def opened(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """A text file in UTF-8, with or without a mark; bytes that are none become U+FFFD.

    Raises DataError for what begins as UTF-16 and UTF-32 do: with a mark, or a NUL in the first two bytes.
    """
    with path.open("rb") as file:
        begin = file.read(2)
    if begin in UTF16:
        raise DataError(f"{path}, line 1: the file is in UTF-16, not UTF-8; save it as UTF-8")
    if 0 in begin:
        raise DataError(f"{path}, line 1 has NUL bytes, so it is no text in UTF-8; save the file as UTF-8")
    with path.open(encoding="utf-8-sig", errors="replace", newline=newline) as file:
        yield file


def lines(path: Path, file: TextIO) -> Iterator[str]:
    """The lines of `file`, with their ends. Raises DataError for one of more than 4 Mi characters."""
    number = 0
    while line := file.readline(LONGEST):
        number += 1
        if len(line) == LONGEST and not line.endswith("\n"):
            raise DataError(
                f"{path}, line {number} has more than {LONGEST:,} characters, and a line is one row: "
                f"write a line for each, or save the table as NPZ or Parquet"
            )
        yield line


def batches(rows: Iterable[tuple[int, Row]], most: int) -> Iterator[list[Row]]:
    """`rows`, each after its number of characters, in lists: of `most`, or fewer where these fill memory.

    At least one list, which may be empty.
    """
    batch: list[Row] = []
    held, first = 0, True
    for size, row in rows:
        batch.append(row)
        held += size
        if len(batch) == most or held >= HELD:
            yield batch
            batch, held, first = [], 0, False
    if batch or first:
        yield batch
