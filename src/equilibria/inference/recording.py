"""Trajectories as they went: what the engine keeps of chosen ones, iteration by iteration."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Record:
    """Which trajectories to keep, and how much of each.

    Attributes:
        problems: places of the problems in the call; None: all.
        restarts: of each of them the first so many; None: all.
        states: of which iterations to keep states: 1 for all and the initial one, n for every n-th, None for
            the last alone, 0 for none.
        logits: likewise. (Answers, residuals and halting scores are small: kept for all iterations.)
        memory: bytes that states and logits may take; they are thinned further until they fit.
        folder: where to keep the arrays as `.npy` files that are mapped into memory, so that they may be
            larger than it; None: in memory, or, beyond 256 MB, in a temporary folder that goes with the
            recording.
    """

    problems: tuple[int, ...] | None = None
    restarts: int | None = None
    states: int | None = 1
    logits: int | None = 0
    memory: int = 1 << 30
    folder: Path | None = None


@dataclass(frozen=True)
class Recording:
    """Trajectories that were kept, in the order of problem and restart; arrays on the CPU.

    A trajectory that ended before the depth of the call stays as it ended, in everything but `residuals` and
    `halt_logits`, which are NaN from there on.

    Attributes:
        problem: `[trajectories]` the problem's place in the call.
        restart: `[trajectories]` which restart of it.
        length: `[trajectories]` iterations that were run.
        halted: `[trajectories]` bool: ended by a halting rule.
        answers: `[trajectories, depth + 1, tokens]` uint8, by iteration; 0 is the decoded initial state.
        residuals: `[trajectories, depth]` float32: `‖z_{k+1} − z_k‖₂` of iteration k + 1.
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

    def of(self, problem: int) -> "Recording":
        """The restarts of one problem."""
        rows = np.flatnonzero(self.problem == problem)
        named = {
            name: value[rows]
            for name in ("problem", "restart", "length", "halted", "answers", "residuals", "halt_logits")
            for value in [getattr(self, name)]
        }
        states = None if self.states is None else self.states[rows]
        logits = None if self.logits is None else self.logits[rows]
        return Recording(
            **named, frames=self.frames, states=states, logit_frames=self.logit_frames, logits=logits
        )
