"""One shard of a job, while a process holds it: what is missing there, and where answers go.

While a shard is worked on, its answers are lines of a journal, in the order they came. When the last one is
there, the part file, ordered by item, takes the journal's place.
"""

import json
import os
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from equilibria.errors import EquilibriaError
from equilibria.files import write_atomically
from equilibria.jobs.locks import Lock

Record = Mapping[str, Any]
"""What is kept of one item: anything that JSON can say, NaN and infinities included."""


class ShardFiles:
    """Where the files of shard `number` are, and which items it has."""

    def __init__(self, folder: Path, number: int, items: range) -> None:
        self.number = number
        self.items = items
        self.lock = folder / f"shard-{number:05d}.lock"
        self.journal = folder / f"shard-{number:05d}.journal"
        self.part = folder / f"shard-{number:05d}.jsonl"

    def records(self) -> Iterator[Record]:
        """The records of a whole shard, by item.

        Raises:
            EquilibriaError: the part file is not what was written.
        """
        try:
            content = self.part.read_bytes()
        except FileNotFoundError:
            content = b""
        lines = whole_lines(content, self.items)
        if list(lines) != list(self.items):
            raise EquilibriaError(
                f"{self.part} is missing or damaged: remove it and {self.lock.name} beside it, and run again"
            )
        for line in lines.values():
            yield json.loads(line)["record"]


class Shard:
    """A shard that this process holds until `close`.

    Attributes:
        number: which shard.
        pending: its items without a record, ascending.
    """

    def __init__(self, files: ShardFiles, lock: Lock) -> None:
        self.number = files.number
        self._files = files
        self._lock = lock
        self._journal, self._lines = _open_journal(files)
        self.pending = [item for item in files.items if item not in self._lines]
        if not self.pending:  # its last holder was killed before it could seal
            self._seal()

    def record(self, item: int, record: Record) -> None:
        """Keep the record of a pending item; with the last one the shard is whole.

        A process killed after this returns has lost nothing.

        Raises:
            ValueError: the item is not pending here.
            TypeError: the record holds something that JSON cannot say.
            EquilibriaError: the disk is full, or the folder was removed.
        """
        if item not in self.pending:
            raise ValueError(f"item {item} is not pending in shard {self.number}")
        line = json.dumps({"item": item, "record": dict(record)}).encode() + b"\n"
        try:
            written = os.write(self._journal.fileno(), line)  # one call: a kill tears the last line at most
        except OSError as error:
            raise _unwritten(self._files, error.strerror) from error
        if written < len(line):
            raise _unwritten(self._files, "no space left")
        self._lines[item] = line
        self.pending.remove(item)
        if not self.pending:
            self._seal()

    def close(self) -> None:
        """Let others have the shard, with all that is recorded; a second call does nothing."""
        self._journal.close()
        self._lock.release()

    def _seal(self) -> None:
        """Put the part file in the journal's place. Killed in between, the next holder does it again."""
        if not _is_at(self._journal, self._files.journal):
            raise EquilibriaError(
                f"{self._files.journal.parent} was removed while it was worked on: start again"
            )
        lines = b"".join(self._lines[item] for item in self._files.items)
        try:
            write_atomically(self._files.part, lambda partial: partial.write_bytes(lines))
        except OSError as error:
            raise _unwritten(self._files, error.strerror) from error
        self._lock.mark()
        self._files.journal.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def whole_lines(content: bytes, items: range) -> dict[int, bytes]:
    """The lines of a journal or part that say something of `items`, by item: whole ones, one an item."""
    lines: dict[int, bytes] = {}
    for line in content.split(b"\n")[:-1]:  # what has no newline after it is torn
        try:
            entry: Any = json.loads(line)
        except ValueError:
            continue
        if not isinstance(entry, dict) or not isinstance(entry.get("record"), dict):
            continue
        item: Any = entry.get("item")
        if type(item) is int and item in items:  # True is 1, and no item
            lines.setdefault(item, line + b"\n")
    return lines


def _open_journal(files: ShardFiles) -> tuple[FileIO, dict[int, bytes]]:
    """The journal, ready to append to, without what a kill or a power cut left of its lines.

    It is created where there is none rather than looked for: a network file system may go on denying for a
    while a file that another node has just made, but not to one that would make it.
    """
    try:
        journal = FileIO(files.journal, "a+")
        journal.seek(0)
        content = journal.readall()
        lines = whole_lines(content, files.items)
        kept = b"".join(lines.values())
        if kept != content:
            journal.close()
            write_atomically(files.journal, lambda partial: partial.write_bytes(kept))
            journal = FileIO(files.journal, "a")
    except OSError as error:
        raise _unwritten(files, error.strerror) from error
    return journal, lines


def _unwritten(files: ShardFiles, why: str | None) -> EquilibriaError:
    return EquilibriaError(
        f"{files.journal.parent} cannot be written ({why}); "
        "what is recorded is kept: make room, and run again"
    )


def _is_at(file: FileIO, path: Path) -> bool:
    """Whether `path` still names the open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
