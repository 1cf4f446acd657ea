"""Where the arrays of a recording are: in memory, or in files that are mapped into it.

A mapped file has its place on the disk before anything is written: a disk that fills up later would end the
process without a word.
"""

import errno
import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from equilibria.errors import EquilibriaError

IN_MEMORY = 1 << 28
"""Bytes beyond which arrays are files in a temporary folder."""

Shapes = Mapping[str, tuple[tuple[int, ...], type[np.generic]]]
Arrays = dict[str, NDArray[Any]]


class Storage:
    """Arrays that are written row by row, and cut to the rows that were.

    Args:
        shapes: of the arrays, by name, and their types; all have as many rows. What they hold at first means
            nothing.
        folder: for their files; None: in memory, or in a temporary folder that goes with this object.

    Raises:
        EquilibriaError: there is no such folder to be had, it is not empty, or its disk is full.
    """

    def __init__(self, shapes: Shapes, folder: Path | None) -> None:
        size = sum(math.prod(shape) * np.dtype(kind).itemsize for shape, kind in shapes.values())
        self.folder, self.temporary = folder, folder is None and size > IN_MEMORY
        self._made = False
        self._goes: weakref.finalize[..., Any] | None = None
        if self.temporary:
            self.folder = _temporary()
            self._goes = _goes_with(self, self.folder)
        elif folder is not None:
            self._made = claim(folder)
        if self.folder is None:
            self.arrays: Arrays = {name: np.empty(*how) for name, how in shapes.items()}
            return
        self.arrays = {}
        for name, (shape, kind) in shapes.items():
            try:
                self.arrays[name] = _allocate(self.folder / f"{name}.npy", shape, kind)
            except OSError as error:
                place = self.folder
                self.discard()
                raise EquilibriaError(
                    f"a recording of {size:,} bytes cannot be kept in {place}: {error.strerror}; choose "
                    "another folder, or record less"
                ) from None

    def close(self, rows: Sequence[int]) -> Arrays:
        """Nothing is written any more: the arrays with these rows alone, which ascend. Files are closed.

        Raises:
            OSError: the disk does not take what was written.
        """
        for array in self.arrays.values():
            for place, row in enumerate(rows):
                if place != row:
                    array[place] = array[row]
        if self.folder is None:
            return {name: array[: len(rows)] for name, array in self.arrays.items()}
        for name in list(self.arrays):
            array = self.arrays.pop(name)
            assert isinstance(array, np.memmap)
            array.flush()
            del array
            _shorten(self.folder / f"{name}.npy", len(rows))
        return {}

    def discard(self) -> None:
        """Leave nothing behind."""
        self.arrays = {}
        if self._goes is not None:
            self._goes()
        elif self.folder is not None:
            for path in self.folder.glob("*.npy"):
                path.unlink(missing_ok=True)  # all of them ours: the folder was empty
            if self._made:
                self.folder.rmdir()

    def pass_on(self, owner: object) -> None:
        """A temporary folder goes with `owner` from here on."""
        if self._goes is not None and self.folder is not None:
            self._goes.detach()
            self._goes = _goes_with(owner, self.folder)


def claim(folder: Path) -> bool:
    """See that a folder is there and empty: whether it had to be made.

    Raises:
        EquilibriaError: it cannot be made, cannot be read, or holds something.
    """
    try:
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        full = any(folder.iterdir())
    except OSError as error:
        raise EquilibriaError(f"a recording cannot be kept in {folder}: {error.strerror}") from None
    if full:
        raise EquilibriaError(f"{folder} is not empty: a recording takes a new or an empty folder")
    return made


def _goes_with(owner: object, folder: Path) -> "weakref.finalize[..., Any]":
    # Files that are still mapped somewhere stay readable there.
    return weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)


def _temporary() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="equilibria-recording-"))
    except OSError as error:
        raise EquilibriaError(
            f"no temporary folder for a recording: {error.strerror}; name a folder"
        ) from None


def _allocate(path: Path, shape: tuple[int, ...], kind: type[np.generic]) -> NDArray[Any]:
    """A new mapped array whose bytes the disk has set aside."""
    array = npy.open_memmap(path, mode="w+", dtype=kind, shape=shape)
    with path.open("r+b") as file:
        size = path.stat().st_size
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        elif shutil.disk_usage(path.parent).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return array


def _shorten(path: Path, rows: int) -> None:
    """Cut an `.npy` file to its first rows."""
    with path.open("r+b") as file:
        npy.read_magic(file)
        shape, order, kind = npy.read_array_header_1_0(file)
        start = file.tell()
        file.seek(0)
        # The format leaves room in a header for another number of rows.
        header = {"descr": npy.dtype_to_descr(kind), "fortran_order": order, "shape": (rows, *shape[1:])}
        npy.write_array_header_1_0(file, header)
        assert file.tell() == start
        file.truncate(start + math.prod((rows, *shape[1:])) * kind.itemsize)
