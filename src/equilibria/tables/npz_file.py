"""NPZ: NumPy's archive of arrays, one a column, a row an entry along the first axis. Nothing is unpickled."""

import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from equilibria.errors import DataError
from equilibria.tables.chunk import Chunk, shortened, tidy, twice
from equilibria.tables.values import kind, texts

# what NumPy and zipfile raise for a file that is damaged, encrypted or something else
UNREADABLE = (
    *(OSError, ValueError, EOFError, KeyError, RuntimeError, TypeError, SyntaxError, OverflowError),
    *(MemoryError, zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)
LARGE, SQUEEZED = 2**26, 200  # bytes of an array, and times smaller in the file: no table is like that
HELD = 2**24  # bytes of an array that are held at a time; as many of one row are too many
TURNED = 2**26  # bytes of an array in Fortran's order, which cannot be read row by row
DIRECTORY = 2**20  # bytes of an archive's list of members: some 10,000 of them
END, END_SIZE, END_LONGEST = b"PK\5\6", 22, 2**16  # of the record that ends a zip archive, and its comment
METHODS = (
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
)  # others can unpack to far more than is asked for


def read(path: Path, rows: int, only: Collection[str] | None) -> Iterator[Chunk]:
    """Chunks of at most `rows` rows of the arrays `only`; an array [n, …] gives nested lists of numbers.

    Fewer where rows are large: arrays are unpacked as they are read. Other arrays of the archive are not
    looked at. Raises DataError for one that holds Python objects, for lengths that differ, for what unpacks
    to far more than its file has, and for a file that cannot be read.
    """
    with path.open("rb") as file, _archive(path, file) as archive:
        stored = [name for name in archive.namelist() if not name.endswith("/")]
        names = tuple(tidy(name.removesuffix(".npy")) for name in stored)
        wanted = {
            name: member for name, member in zip(names, stored, strict=True) if only is None or name in only
        }
        if name := twice([name for name in names if name in wanted]):
            raise DataError(f"{path}: two arrays have the name {shortened(name)!r}; rename one")
        arrays = {name: _Array(path, archive, member) for name, member in wanted.items()}
        lengths = {name: array.length for name, array in arrays.items()}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
            raise DataError(
                f"{path}: the arrays must have one entry a row, and their lengths differ: {shortened(shown)}"
            )
        count = next(iter(lengths.values()), 0)
        most = min([rows, *(HELD // max(array.bytes_a_row, 1) for array in arrays.values())])
        for start in range(0, max(count, 1), most):
            stop = min(start + most, count)
            columns = {name: texts(array.next(stop - start).tolist()) for name, array in arrays.items()}
            yield Chunk(names, columns, range(start, stop), range(start + 1, stop + 1), "row", [])


def _archive(path: Path, file: BinaryIO) -> zipfile.ZipFile:
    """The open archive. Raises DataError where it is none, or lists more members than a table has columns."""
    if file.read(6) == np.lib.format.MAGIC_PREFIX:
        raise DataError(f"{path} is a single array: save the columns by name, with np.savez")
    end = file.seek(0, os.SEEK_END)
    file.seek(max(end - END_SIZE - END_LONGEST, 0))
    tail = file.read()
    at = tail.rfind(END)
    listed = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if DIRECTORY < listed < end:  # where it claims more than there is, zipfile says so
        raise DataError(f"{path}: it lists arrays in {listed:,} bytes, which is no table; save few columns")
    try:
        return zipfile.ZipFile(file)
    except UNREADABLE as error:
        raise DataError(f"{path} is no NPZ archive: {error}; save it again, with np.savez") from None


class _Array:
    """One array of an archive, read from its first row to its last."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, member: str):
        self.where = f"{path}: the array {shortened(member.removesuffix('.npy'))!r}"
        self.done = 0
        info = archive.getinfo(member)
        if info.file_size > LARGE and info.file_size > SQUEEZED * info.compress_size:
            raise DataError(
                f"{self.where} unpacks to {info.file_size:,} bytes from {info.compress_size:,}, which is no "
                "table; save it without repetition, or as Parquet"
            )
        if info.compress_type not in METHODS:
            raise DataError(
                f"{self.where} is packed in a way that NumPy does not write; use np.savez_compressed"
            )
        try:
            self.file = archive.open(info)
            if not archive.open(info).read(6).startswith(np.lib.format.MAGIC_PREFIX):
                raise DataError(f"{self.where} is no column: save an array with one entry a row")
            shape, turned, self.dtype = _header(self.file)
        except UNREADABLE as error:
            raise self._unreadable(error) from None
        if self.dtype.hasobject:
            raise DataError(
                f"{self.where} holds Python objects, which may run code and are never loaded; "
                f"save it as text or numbers, with np.array(values, dtype=str) for text"
            )
        if not shape:
            raise DataError(f"{self.where} is no column: save an array with one entry a row")
        self.length, self.shape = shape[0], shape[1:]
        self.bytes_a_row = math.prod(self.shape) * self.dtype.itemsize
        claimed = self.length * self.bytes_a_row
        if claimed > info.file_size or self.length > info.file_size:
            raise self._unreadable(f"it claims {self.length:,} rows, and {info.file_size:,} bytes are there")
        if self.bytes_a_row > HELD:
            raise DataError(
                f"{self.where} has {self.bytes_a_row:,} bytes in each row, and a row is one problem; "
                "save an array with one entry a row"
            )
        self.whole = self._turned(claimed) if turned and len(shape) > 1 else None

    def next(self, rows: int) -> NDArray[Any]:
        """The next rows. Raises DataError where they cannot be read."""
        start, self.done = self.done, self.done + rows
        if self.whole is not None:
            return self.whole[start : self.done]
        return self._values(rows * self.bytes_a_row).reshape(rows, *self.shape)

    def _turned(self, claimed: int) -> NDArray[Any]:
        if claimed > TURNED:
            raise DataError(
                f"{self.where} has its rows last in memory (Fortran's order) and {claimed:,} bytes, too many "
                "to turn; save np.ascontiguousarray(array)"
            )
        return self._values(claimed).reshape(*self.shape[::-1], self.length).transpose()

    def _values(self, size: int) -> NDArray[Any]:
        """The values in the next `size` bytes."""
        try:
            content = self.file.read(size)
            if len(content) < size:
                raise EOFError(f"it ends {size - len(content):,} bytes early, near row {self.done:,}")
            return np.frombuffer(content, self.dtype) if size else np.empty(0, self.dtype)
        except UNREADABLE as error:
            raise self._unreadable(error) from None

    def _unreadable(self, reason: object) -> DataError:
        return DataError(f"{self.where} cannot be read: {shortened(str(reason))}; save the file again")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether the last axis varies slowest, and type. Raises one of UNREADABLE."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"its format is {version[0]}.{version[1]}: write text and numbers without field names")


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
