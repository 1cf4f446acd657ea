"""An exclusive lock on a file, which the operating system lets go when its holder dies, however it dies."""

import os
import time
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakSet

from filelock import lock_descriptor

from equilibria.errors import EquilibriaError

_held: "WeakSet[Lock]" = WeakSet()


class Lock:
    """A lock that this process holds; `take` and `hold` give one.

    Locks of one file exclude each other between processes, within one, and over a shared file system that
    passes locks on (NFS 4, Lustre mounted with `flock`). The file itself stays when the lock is released.
    """

    def __init__(self, path: Path, file: FileIO) -> None:
        self.path = path
        self._file = file
        _held.add(self)

    @classmethod
    def take(cls, path: Path) -> "Lock | None":
        """The lock, or None while another holds it.

        Raises:
            FileNotFoundError: the folder of `path` is not there; it is not created.
            EquilibriaError: the file cannot be opened or its file system has no locks.
        """
        while True:
            try:
                file = FileIO(path, "a+")  # created where there is none, and never cut
            except FileNotFoundError:
                raise
            except OSError as error:
                raise EquilibriaError(
                    f"{path} cannot be opened ({error.strerror}): choose a place that can be written"
                ) from error
            lock = cls(path, file)  # closes the file, and so unlocks it, wherever an interrupt strikes
            try:
                taken = lock_descriptor(file.fileno(), blocking=False)
            except OSError as error:
                lock.release()
                raise EquilibriaError(
                    f"{path.parent} is on a file system that cannot lock files ({error.strerror}): "
                    "choose a place on another one"
                ) from error
            if not taken:
                lock.release()
                return None
            if os.fstat(file.fileno()).st_nlink:
                return lock
            lock.release()  # its holder deleted the file, so this lock excludes nobody: take the new one

    @classmethod
    def hold(cls, path: Path, poll: float = 0.05) -> "Lock":
        """Wait for the lock; raises as `take`."""
        while (lock := cls.take(path)) is None:
            time.sleep(poll)
        return lock

    @property
    def marked(self) -> bool:
        """Whether a holder, now or earlier, called `mark`.

        A network file system may show an old listing of a folder for a minute, but what earlier holders
        wrote into the locked file itself it shows as soon as the lock is taken.
        """
        return os.fstat(self._file.fileno()).st_size > 0

    def mark(self) -> None:
        """Leave a mark in the file for all later holders."""
        os.write(self._file.fileno(), b"whole\n")

    def release(self) -> None:
        """Let go; a second call does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _release_in_child() -> None:
    """A forked child shares its parent's locks and would keep them past the parent's death."""
    for lock in list(_held):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_in_child)
