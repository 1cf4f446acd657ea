"""Tables in files: columns in and out of CSV, JSON lines, NPZ and Parquet, a chunk of rows at a time.

It knows nothing of what the columns mean. The format is told by the end of the file's name.
"""

import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from equilibria.errors import DataError
from equilibria.files import write_atomically
from equilibria.tables import csv_file, jsonl_file, npz_file, parquet_file
from equilibria.tables.chunk import CHUNK, Broken, Chunk, shortened
from equilibria.tables.values import plain

__all__ = [
    "CHUNK",
    "SUFFIXES",
    "Broken",
    "Chunk",
    "Format",
    "existing_file",
    "read_columns",
    "shortened",
    "table_format",
    "write_columns",
]

Format = Literal["csv", "jsonl", "npz", "parquet"]

SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".npz": "npz",
    ".parquet": "parquet",
}


@dataclass(frozen=True)
class _Module:
    read: Callable[[Path, int, Collection[str] | None], Iterator[Chunk]]
    write: Callable[[Path, dict[str, list[Any]]], None]


MODULES: dict[Format, _Module] = {
    "csv": _Module(csv_file.read, csv_file.write),
    "jsonl": _Module(jsonl_file.read, jsonl_file.write),
    "npz": _Module(npz_file.read, npz_file.write),
    "parquet": _Module(parquet_file.read, parquet_file.write),
}


def table_format(path: str | Path) -> Format | None:
    """The format that the end of the file's name stands for, in either case; None for any other."""
    return SUFFIXES.get(Path(path).suffix.lower())


def existing_file(path: str | Path) -> Path:
    """`path`, if it is a file that may be read. Raises DataError where it is a folder, a pipe or nothing."""
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if path.is_symlink() and isinstance(error, FileNotFoundError):
            raise DataError(f"{path} is a link to {path.readlink()}, which does not exist; mend it") from None
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise DataError(f"{path}: there is no such file") from None
        raise _unreadable(path, error) from None
    if stat.S_ISDIR(mode):
        raise DataError(f"{path} is a folder: name a file in it, such as {path / 'train.csv'}")
    if not stat.S_ISREG(mode):
        raise DataError(f"{path} is a pipe or a device: copy what it gives into a file, and name that")
    try:
        path.open("rb").close()
    except OSError as error:
        raise _unreadable(path, error) from None
    return path


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path} cannot be read ({error.strerror or error}); are its permissions right?")


def read_columns(
    path: str | Path,
    *,
    format: Format | None = None,
    only: Collection[str] | None = None,
    rows: int = CHUNK,
) -> Iterator[Chunk]:
    """The rows of a table in order, in chunks of at most `rows`; at least one chunk, which may be empty.

    `format`: of a file whose name does not tell it; `only`: the columns to read, in lower case, all by
    default. A row that cannot be read is among its chunk's `broken`. Raises DataError for a name without a
    format and a path that is no file, at once; for a file that cannot be read as a whole, on the way.
    """
    path = existing_file(path)
    return _guarded(path, MODULES[format or _known(path)].read(path, rows, only))


def _guarded(path: Path, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The same chunks; a disk that fails on the way is a DataError."""
    try:
        yield from chunks
    except OSError as error:
        raise _unreadable(path, error) from None


def write_columns(path: str | Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write equally long columns in the format of the file's name: a killed write leaves the old file whole.

    A column holds text, booleans, whole numbers, numbers or lists of numbers, and None where a value is
    missing: an empty cell in CSV, null in JSONL and Parquet; in NPZ an empty text, or NaN. JSON has no NaN
    and no infinities: they are null there. Raises DataError for a name without a format, a folder that does
    not exist, and columns that are no table.
    """
    path = Path(path)
    module = MODULES[_known(path)]
    if not path.parent.is_dir():
        raise DataError(f"{path}: there is no folder {path.parent}; make it first")
    try:
        values = plain(columns)
        write_atomically(path, lambda partial: module.write(partial, values))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _known(path: Path) -> Format:
    """The format of a file. Raises DataError where its name tells none."""
    found = table_format(path)
    if found is None:
        raise DataError(f"{path}: the name must end in .csv, .jsonl (or .ndjson), .npz or .parquet")
    return found
