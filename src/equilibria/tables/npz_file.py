"""NPZ: NumPy's archive of arrays, one a column, a row an entry along the first axis. Nothing is unpickled."""

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equilibria.errors import DataError
from equilibria.tables.chunk import Chunk, tidy, twice
from equilibria.tables.values import kind, texts

# what NumPy and zipfile raise for a file that is damaged, encrypted or something else
UNREADABLE = (
    *(OSError, ValueError, EOFError, KeyError, RuntimeError, TypeError, SyntaxError, OverflowError),
    *(MemoryError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError),
)
LARGE, SQUEEZED = 2**28, 200  # bytes of an array, and times smaller in the file: no table is like that


def read(path: Path, rows: int, only: Collection[str] | None) -> Iterator[Chunk]:
    """Chunks of at most `rows` rows of the arrays `only`; an array [n, …] gives nested lists of numbers.

    Other arrays of the archive are not looked at. Raises DataError for one that holds Python objects, for
    lengths that differ, and for a file that cannot be read.
    """
    names, arrays = _load(path, only)
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise DataError(f"{path}: the arrays must have one entry a row, and their lengths differ: {shown}")
    count = next(iter(lengths.values()), 0)
    for start in range(0, max(count, 1), rows):
        stop = min(start + rows, count)
        columns = {name: texts(array[start:stop].tolist()) for name, array in arrays.items()}
        yield Chunk(names, columns, range(start, stop), range(start + 1, stop + 1), "row", [])


def _load(path: Path, only: Collection[str] | None) -> tuple[tuple[str, ...], dict[str, NDArray[Any]]]:
    """The names of all arrays, and the arrays whose name is among `only`."""
    with path.open("rb") as file:  # np.load does not close a file that it cannot read
        try:
            archive = np.load(file, allow_pickle=False)
        except UNREADABLE as error:
            raise DataError(f"{path} is no NPZ archive: {error}") from None
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{path} is a single array: save the columns by name, with np.savez")
        names = tuple(map(tidy, archive.files))
        wanted = {tidy(name): name for name in archive.files if only is None or tidy(name) in only}
        if name := twice([name for name in names if name in wanted]):
            raise DataError(f"{path}: two arrays have the name {name!r}; rename one")
        return names, {name: _array(path, archive, stored) for name, stored in wanted.items()}


def _array(path: Path, archive: Any, name: str) -> NDArray[Any]:
    _refuse_bomb(path, archive.zip, name)
    try:
        array = archive[name]
    except UNREADABLE as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path}: the array {name!r} holds Python objects, which may run code and are never loaded; "
                f"save it as text or numbers, with np.array(values, dtype=str) for text"
            ) from None
        raise DataError(f"{path}: the array {name!r} cannot be read: {error}") from None
    if not isinstance(array, np.ndarray) or array.ndim == 0:
        raise DataError(f"{path}: {name!r} is no column: save an array with one entry a row")
    return array


def _refuse_bomb(path: Path, archive: zipfile.ZipFile, name: str) -> None:
    """Raise DataError for an array that would fill memory out of next to nothing."""
    for member in archive.infolist():
        if member.filename not in (name, f"{name}.npy"):
            continue
        if member.file_size > LARGE and member.file_size > SQUEEZED * member.compress_size:
            raise DataError(
                f"{path}: the array {name!r} unpacks to {member.file_size:,} bytes from "
                f"{member.compress_size:,}, which is no table; save it without repetition, or as Parquet"
            )


def write(path: Path, columns: dict[str, list[Any]]) -> None:
    """Write columns as arrays of text, booleans, int64 or float64.

    None is an empty text, and NaN among numbers and booleans, which become float64 then. Lists must be
    equally long and hold numbers. The same columns give the same bytes. Raises DataError for what has no
    array.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, values in columns.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # np.savez cannot store a column called file
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, _typed(name, values), allow_pickle=False)


def _typed(name: str, values: list[Any]) -> NDArray[Any]:
    of = kind(name, values)
    missing = None in values
    if of is str or not values:
        return np.array([value or "" for value in values], np.str_)
    if of is list:
        return _nested(name, values)
    if missing or of is float:
        return np.array([np.nan if value is None else value for value in values], np.float64)
    try:
        return np.array(values, np.bool_ if of is bool else np.int64)
    except OverflowError:
        raise DataError(f"the column {name!r} has numbers beyond 64 bits: write them as text") from None


def _nested(name: str, values: list[Any]) -> NDArray[Any]:
    try:
        array = np.array(values)
    except ValueError:
        array = np.array(None)
    if array.dtype.kind not in "biuf":
        raise DataError(f"the column {name!r} has lists that do not form an array of numbers: write text")
    return array
