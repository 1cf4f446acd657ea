"""A folder in which any number of processes share numbered work.

Nothing but files: processes never talk. A shard belongs to whoever holds the lock of its file, and the
operating system takes the lock from a process that dies. The folder holds

    job.json              what the job is, and whether it is finished     job.lock
    shard-00012.journal   the records of a shard that is worked on        shard-00012.lock
    shard-00012.jsonl     the records of a whole shard, by item

so that what stands in it after any kill is what was recorded, each item once.
"""

import contextlib
import json
import re
import reprlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from equilibria.errors import EquilibriaError
from equilibria.files import write_text
from equilibria.jobs.locks import Lock
from equilibria.jobs.shard import Record, Shard, ShardFiles

# What a job makes besides job.json and job.lock, leftovers of killed writes too: nothing else is deleted.
_OURS = re.compile(r"shard-\d{5,}\.(lock|journal|jsonl)|\.(shard-\d{5,}\.(journal|jsonl)|job\.json)\.partial")


class Job:
    """Items 0 … items − 1 and what is recorded of them, in a folder that all processes of the job see.

    Opening creates the job or joins it; processes may start together, late, or again. Use one object in one
    thread.

    Args:
        folder: the job's own folder.
        items: how many items there are.
        shard: items in a shard, of a job that is new; one that exists keeps its own.
        identity: everything that the records depend on, as JSON can say it: whoever opens the job must name
            the same.

    Raises:
        EquilibriaError: the folder holds another job, cannot be written, or is on a file system without
            locks.
    """

    def __init__(self, folder: Path, items: int, shard: int, identity: Mapping[str, Any]) -> None:
        if items < 0 or shard < 1:
            raise EquilibriaError(f"a job has items and shards of at least one: not {items} in {shard}s")
        self.folder = folder
        self.items = items
        self._whole: set[int] = set()
        # As it will be read back: a tuple is a list there.
        own = json.loads(json.dumps({"identity": dict(identity), "items": items}))
        state = self._open(own | {"shard": shard, "token": uuid.uuid4().hex, "finished": False})
        if (field := _first_difference(own, state)) is not None:
            name, ours, theirs = field
            raise EquilibriaError(
                f"{folder} holds another job: {name} is {reprlib.repr(theirs)} there and "
                f"{reprlib.repr(ours)} here; choose another --out, or remove the folder to begin anew"
            )
        self._state = state
        self.shard: int = state["shard"]
        self.shards = -(-items // self.shard)

    @property
    def finished(self) -> bool:
        """Whether the output is written (see `finish`), or was, and the folder is gone."""
        state = self._read()
        # Another token: this job was finished and removed, and another one has begun in its place.
        return state is None or state["token"] != self._state["token"] or state["finished"]

    @property
    def done(self) -> bool:
        """Whether all items are recorded and all shards whole."""
        return len(self._scan()) == self.shards or self.finished

    @property
    def recorded(self) -> int:
        """How many items are recorded by all processes so far; for showing progress."""
        if self.done:
            return self.items
        count = sum(len(self._files(number).items) for number in self._whole)
        for number in self._listing("journal") - self._whole:
            files = self._files(number)
            with contextlib.suppress(OSError):  # made whole just now
                count += min(files.journal.read_bytes().count(b"\n"), len(files.items))
        return count

    def claim(self, number: int) -> Shard | None:
        """Shard `number` with its pending items, or None where it is whole or another holds it.

        Close the shard, or use it in a `with`, to let others have what is left of it.

        Raises:
            EquilibriaError: its files cannot be written.
        """
        if number in self._whole:
            return None
        files = self._files(number)
        try:
            lock = Lock.take(files.lock)
        except FileNotFoundError:
            return None  # the folder was removed: the job is finished
        if lock is None:
            return None
        try:
            if self.finished:
                if not lock.marked:  # else it belongs to another job that has begun in this one's place
                    self._forget(files.lock)
            elif lock.marked:
                self._whole.add(number)
            else:
                claimed = Shard(files, lock)
                if claimed.pending:
                    return claimed
                self._whole.add(number)
                claimed.close()
        except BaseException:
            lock.release()
            raise
        lock.release()
        return None

    def records(self) -> Iterator[Record]:
        """All records in the order of their items.

        Raises:
            EquilibriaError: some are still missing, a part file is damaged, or the job was removed.
        """
        if len(self._scan()) < self.shards:
            missing = "its records were removed" if self.finished else f"only {self.recorded} are there"
            raise EquilibriaError(f"{self.folder} does not hold all {self.items} records: {missing}")
        for number in range(self.shards):
            yield from self._files(number).records()

    def finish(self, write: Callable[[Iterator[Record]], None]) -> bool:
        """Have `write` make the output from all records, in one process, once; the others wait for it.

        A process killed in `write` leaves the job to the next one that comes, so `write` must put its file in
        place in one step (`files.write_atomically`).

        Returns:
            Whether it was this process that wrote.

        Raises:
            EquilibriaError: some records are missing or damaged; and whatever `write` raises.
        """
        try:
            lock = Lock.hold(self.folder / "job.lock")
        except FileNotFoundError:
            return False
        with lock:
            if self._read() is None:  # removed just now, and this lock alone would keep its folder
                self._forget(lock.path)
            if self.finished:
                return False
            write(self.records())
            write_text(self.folder / "job.json", json.dumps(self._state | {"finished": True}, indent=1))
            return True

    def remove(self, *, trace: bool = False) -> None:
        """Delete what a finished job keeps. Processes that still wait for it see that it is finished.

        Args:
            trace: leave `job.json`, by which a process that starts late or again (as a launcher does after a
                crash) learns that nothing is left to do; without it, it would begin the job anew.

        Raises:
            EquilibriaError: the job is not finished.
        """
        try:
            lock = Lock.hold(self.folder / "job.lock")
        except FileNotFoundError:
            return
        with lock:
            state = self._read()
            if state is not None and state["token"] != self._state["token"]:
                return
            if not self.finished:
                raise EquilibriaError(f"{self.folder} is not finished: its records would be lost")
            for path in list(self.folder.iterdir()):
                if _OURS.fullmatch(path.name):
                    path.unlink(missing_ok=True)
            if not trace:
                # job.json goes last, since until then it says that the job is finished; the lock goes while
                # it is held, so that whoever waits for it finds out.
                (self.folder / "job.json").unlink(missing_ok=True)
                self._forget(self.folder / "job.lock")

    def _open(self, new: dict[str, Any]) -> dict[str, Any]:
        """What job.json says, written by whoever comes first."""
        while True:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with Lock.hold(self.folder / "job.lock"):
                    if (state := self._read()) is None:
                        if any(self.folder.glob("shard-*.j*")):
                            raise EquilibriaError(
                                f"{self.folder} holds records but no job.json that says of what: remove it"
                            )
                        write_text(self.folder / "job.json", json.dumps(new, indent=1))
                        state = new
                    return state
            except FileNotFoundError:
                continue  # another process removed the finished folder just now
            except OSError as error:
                raise EquilibriaError(
                    f"{self.folder} cannot be written ({error.strerror}): choose another --out"
                ) from error

    def _read(self) -> dict[str, Any] | None:
        """What job.json says; None where there is none."""
        path = self.folder / "job.json"
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            return {name: state[name] for name in ("identity", "items", "shard", "token", "finished")}
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise EquilibriaError(f"{path} is damaged: remove the folder to begin anew") from error

    def _scan(self) -> set[int]:
        """The shards known to be whole: what is whole stays whole."""
        if len(self._whole) < self.shards:
            self._whole |= self._listing("jsonl")
        return self._whole

    def _listing(self, kind: str) -> set[int]:
        """The shards that have a file of this kind."""
        try:
            names = [path.name for path in self.folder.iterdir()]
        except FileNotFoundError:
            return set()
        found = (re.fullmatch(rf"shard-(\d{{5,}})\.{kind}", name) for name in names)
        return {int(match[1]) for match in found if match} & set(range(self.shards))

    def _files(self, number: int) -> ShardFiles:
        items = range(number * self.shard, min((number + 1) * self.shard, self.items))
        return ShardFiles(self.folder, number, items)

    def _forget(self, lock: Path) -> None:
        """Delete a lock's file, and the folder with the last one."""
        lock.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else is in it
            self.folder.rmdir()


def _first_difference(ours: Any, theirs: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """The first field in which two identities differ: its dotted name and both values."""
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        return None if ours == theirs else (name, ours, theirs)
    if name == "":
        theirs = {key: theirs[key] for key in ours}  # the rest says how the job is kept, not what it is
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        inner = key if name in ("", "identity") else f"{name}.{key}"
        found = _first_difference(ours.get(key, "absent"), theirs.get(key, "absent"), inner)
        if found is not None:
            return found
    return None
