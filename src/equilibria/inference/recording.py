"""Trajectories as they went: what the engine keeps of chosen ones, iteration by iteration."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from equilibria.errors import DataError, EquilibriaError
from equilibria.inference.storage import Storage, claim
from equilibria.inference.tape import Tape
from equilibria.inference.thinning import thinned

LARGE = ("answers", "residuals", "halt_logits", "states", "logits")
"""Arrays that have a place for every iteration."""
FRAMES = {"states": "frames", "logits": "logit_frames"}
"""Of what the iterations are told, and by which array, which is of all trajectories."""


@dataclass(frozen=True)
class Record:
    """Which trajectories to keep, and how much of each.

    Attributes:
        problems: places of the problems in the call, in any order; None: all.
        restarts: of each of them the first so many; None: all.
        states: of which iterations to keep states: 1 for all and the initial one, n for every n-th, None for
            the last alone, 0 for none.
        logits: likewise. (Answers, residuals and halting scores are small: kept for all iterations.)
        memory: bytes that states and logits may take; they are thinned further until they fit, as if every
            restart that the budget allows had run.
        folder: where to keep the arrays as `.npy` files that are mapped into memory, so that they may be
            larger than it; None: in memory, or, beyond 256 MB, in a temporary folder that goes with the
            recording.

    Raises:
        EquilibriaError: a number makes no sense.
    """

    problems: tuple[int, ...] | None = None
    restarts: int | None = None
    states: int | None = 1
    logits: int | None = 0
    memory: int = 1 << 30
    folder: Path | None = None

    def __post_init__(self) -> None:
        for name, least in (("restarts", 1), ("states", 0), ("logits", 0), ("memory", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise EquilibriaError(f"a record's {name} must be at least {least}, not {value}")
        if self.problems and min(self.problems) < 0:
            raise EquilibriaError(f"places of problems count from 0; {min(self.problems)} is none")


@dataclass(frozen=True)
class Recording:
    """Trajectories that were kept, in the order of problem and restart; arrays on the CPU.

    Those that never ran are left out. One that ended before the depth of the call stays as it ended, in
    everything but `residuals` and `halt_logits`, which are NaN from there on; so the last frame is its end.

    States are those that f is applied to next. Answers, logits and halting scores are of what the solver
    decodes after an iteration: the same state, but with Anderson's solver the last value of f.

    Where the arrays are files of a folder they are mapped and cannot be written to.

    Attributes:
        problem: `[trajectories]` the problem's place in the call.
        restart: `[trajectories]` which restart of it.
        length: `[trajectories]` iterations that were run.
        halted: `[trajectories]` bool: ended by a halting rule.
        answers: `[trajectories, depth + 1, tokens]` uint8, by iteration; 0 is the decoded initial state.
        residuals: `[trajectories, depth]` float32: `‖z_{k+1} − z_k‖₂` of iteration k + 1: column k is how far
            f moved state k.
        halt_logits: `[trajectories, depth]` float32; NaN where there is no halting head.
        frames: `[frames]` iterations whose states were kept, ascending; 0 is the initial state.
        states: `[trajectories, frames, streams, tokens, width]` float32, or None.
        logit_frames: likewise for logits.
        logits: `[trajectories, frames, tokens, vocabulary]` float32, or None.
    """

    problem: NDArray[np.int64]
    restart: NDArray[np.int64]
    length: NDArray[np.int64]
    halted: NDArray[np.bool_]
    answers: NDArray[np.uint8]
    residuals: NDArray[np.float32]
    halt_logits: NDArray[np.float32]
    frames: NDArray[np.int64]
    states: NDArray[np.float32] | None
    logit_frames: NDArray[np.int64]
    logits: NDArray[np.float32] | None

    def of(self, problem: int) -> Self:
        """The restarts of one problem, in memory."""
        rows = np.flatnonzero(self.problem == problem)
        mine: dict[str, Any] = {
            name: value if name in FRAMES.values() or value is None else value[rows]
            for name, value in self._arrays()
        }
        return type(self)(**mine)

    def save(self, folder: Path) -> None:
        """Write every array as an `.npy` file of its name into a new or empty folder.

        Raises:
            EquilibriaError: the folder cannot be written to, or is not empty.
        """
        claim(folder)
        try:
            _write(folder, {name: value for name, value in self._arrays() if value is not None})
        except OSError as error:
            raise EquilibriaError(f"a recording cannot be written to {folder}: {error.strerror}") from None

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote, or a recorder that had this folder; large arrays are mapped, not read.

        Raises:
            DataError: the folder holds no whole recording.
        """
        return cls.mapped(folder, "r")

    @classmethod
    def mapped(cls, folder: Path, mode: Literal["r", "r+"]) -> Self:
        """As `load`, in a mode of `np.memmap`."""
        arrays: dict[str, Any] = {}
        for field in fields(cls):
            path = folder / f"{field.name}.npy"
            if field.name in FRAMES and not len(arrays[FRAMES[field.name]]):
                arrays[field.name] = None
                continue
            try:
                arrays[field.name] = np.load(path, mmap_mode=mode if field.name in LARGE else None)
            except FileNotFoundError:
                raise DataError(f"no whole recording in {folder}: {path.name} is missing") from None
            except (OSError, ValueError, EOFError) as error:
                raise DataError(f"{path} cannot be read: {error}") from None
        return cls(**arrays)

    def _arrays(self) -> list[tuple[str, NDArray[Any] | None]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]


@dataclass(frozen=True)
class Call:
    """What a recorder has to know of a call.

    Attributes:
        problems: in it.
        restarts: of each, at most.
        depth: iterations of each, at most.
        state: (streams, tokens, width) of a state.
        logits: (tokens, vocabulary).
    """

    problems: int
    restarts: int
    depth: int
    state: tuple[int, int, int]
    logits: tuple[int, int]


class Recorder:
    """Keeps what a record asks for of one call of an engine, which it is passed to.

    Trajectories that are not recorded cost what they did, but for this: on a device the host waits at every
    tick in which a recorded one runs.

    Args:
        record: what to keep.
    """

    def __init__(self, record: Record) -> None:
        self.record = record
        self._storage: Storage | None = None
        self._tape: Tape | None = None
        self._recording: Recording | None = None
        self._used = False

    def recording(self) -> Recording:
        """What was kept, once the call has ended: with the last thing it yields taken.

        Raises:
            EquilibriaError: no call, or none that has ended.
        """
        if self._recording is not None:
            return self._recording
        if not self._used:
            raise EquilibriaError("this recorder has recorded nothing: pass it to a call of an engine first")
        if self._tape is not None:
            raise EquilibriaError("the recorded call has not ended: take all that it yields first")
        raise EquilibriaError("the recorded call was broken off: there is no recording of it")

    def begin(self, call: Call) -> Tape:
        """A call begins, which will write on this tape.

        Raises:
            EquilibriaError: the recorder was used before; it asks for what the call has not, or for more than
                fits; or its folder cannot be had.
        """
        if self._used:
            raise EquilibriaError("a recorder records one call: make another one for the next")
        record, rows, depth = self.record, range(call.problems), call.depth
        chosen = list(rows) if record.problems is None else sorted(set(record.problems))
        if chosen and chosen[-1] >= call.problems:
            raise EquilibriaError(
                f"problem {chosen[-1]} cannot be recorded: the call has {call.problems}, counted from 0"
            )
        restarts = min(call.restarts, record.restarts or call.restarts)
        count = len(chosen) * restarts
        shapes = {"states": call.state, "logits": call.logits}
        frames = thinned(
            {"states": record.states, "logits": record.logits},
            {name: 4 * count * math.prod(shape) for name, shape in shapes.items()},
            depth,
            record.memory,
        )
        large = {
            name: ((count, len(frames[name]), *shape), np.float32)
            for name, shape in shapes.items()
            if frames[name]
        }
        small = {
            "answers": ((count, depth + 1, call.logits[0]), np.uint8),
            "residuals": ((count, depth), np.float32),
            "halt_logits": ((count, depth), np.float32),
        }
        storage = Storage(small | large, record.folder)
        first = {problem: place * restarts for place, problem in enumerate(chosen)}
        self._used, self._tape = True, Tape(storage, first, restarts, frames)
        return self._tape

    def finish(self) -> None:
        """The call has ended.

        Raises:
            EquilibriaError: the disk of its folder does not take the recording.
        """
        assert self._tape is not None
        tape, storage = self._tape, self._tape.storage
        ran = np.flatnonzero(tape.length)
        told: dict[str, Any] = {
            name: getattr(tape, name)[ran] for name in ("problem", "restart", "length", "halted")
        }
        told |= {name: np.array(tape.frames[of], dtype=np.int64) for of, name in FRAMES.items()}
        try:
            arrays = storage.close(ran.tolist())
            if storage.folder is not None:
                _write(storage.folder, told)
        except OSError as error:
            raise EquilibriaError(
                f"a recording cannot be written to {storage.folder}: {error.strerror}"
            ) from None
        if storage.folder is None:
            told |= {"states": None, "logits": None} | arrays
            self._recording = Recording(**told)
        else:
            # A temporary folder is nobody else's: its arrays are like those in memory.
            self._recording = Recording.mapped(storage.folder, "r+" if storage.temporary else "r")
            storage.pass_on(self._recording)
        self._tape = None

    def break_off(self) -> None:
        """The call will not end: nothing is left of it."""
        if self._tape is not None:
            self._tape.storage.discard()
            self._tape = None


def _write(folder: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    for name, value in arrays.items():
        np.save(folder / f"{name}.npy", value)
