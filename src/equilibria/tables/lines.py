"""The lines of a text file, none of them longer than memory should hold."""

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from equilibria.errors import DataError

LONGEST = 16 * 2**20  # characters; a row of the largest published table has a few hundred


def lines(path: Path, file: TextIO) -> Iterator[str]:
    """The lines of `file`, with their ends. Raises DataError for one of more than 16 Mi characters."""
    number = 0
    while line := file.readline(LONGEST):
        number += 1
        if len(line) == LONGEST and not line.endswith("\n"):
            raise DataError(
                f"{path}, line {number} has more than {LONGEST:,} characters, and a line is one row: "
                f"write a line for each, or save the table as NPZ or Parquet"
            )
        yield line
