"""What is written down of recorded trajectories while they run, and the slots that show them."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equilibria.inference.slots import End, Slots, Trajectory
from equilibria.inference.storage import Storage
from equilibria.inference.turnover import Rows
from equilibria.reasoners.interface import Prediction

Places = list[tuple[int, int]]
"""Slots of recorded trajectories, and their rows on the tape."""


class Tape:
    """The arrays of one recorder during its call; which row is whose is known from the beginning.

    Args:
        storage: arrays by the names of `Recording`, a row each for every restart that may run.
        first: the row of the first restart of each recorded problem.
        restarts: of each of them.
        frames: iterations of which "states" and "logits" are kept, ascending.
    """

    def __init__(
        self, storage: Storage, first: dict[int, int], restarts: int, frames: dict[str, list[int]]
    ) -> None:
        self.storage = storage
        self._arrays, self._first, self._restarts = storage.arrays, first, restarts
        self.frames = frames
        self._rows: dict[int, int] = {}  # by ticket: those that wait or run
        rows = len(first) * restarts
        self.problem = np.repeat(np.array(list(first), dtype=np.int64), restarts)
        self.restart = np.tile(np.arange(restarts, dtype=np.int64), len(first))
        self.length = np.zeros(rows, dtype=np.int64)
        self.halted = np.zeros(rows, dtype=np.bool_)

    def expect(self, trajectory: Trajectory) -> None:
        """This one will run: remember its ticket if it is to be recorded."""
        first = self._first.get(trajectory.problem)
        if first is not None and trajectory.restart < self._restarts:
            self._rows[trajectory.ticket] = first + trajectory.restart

    @property
    def idle(self) -> bool:
        """Nothing that is recorded waits or runs."""
        return not self._rows

    def places(self, tickets: Sequence[int]) -> Places:
        """Who of the slots, given their tickets, is recorded."""
        if self.idle:
            return []
        return [(slot, self._rows[ticket]) for slot, ticket in enumerate(tickets) if ticket in self._rows]

    def begin(self, places: Places, state: Tensor, prediction: Prediction) -> None:
        """Frame 0 of those that are about to run for the first time; tensors are of all slots."""
        slots, into = _split(places, state)
        self._arrays["answers"][into, 0] = _numpy(prediction.logits[slots].argmax(dim=-1).to(torch.uint8))
        for name, value in (("states", state), ("logits", prediction.logits)):
            if 0 in self.frames[name]:
                self._arrays[name][into, 0] = _numpy(value[slots].float())

    def go_on(self, places: Places, rows: Rows, residual: Tensor, ended: Tensor) -> None:
        """An iteration after which the slots stand as in `rows`; `residual` and `ended` are `[slots]`."""
        slots, into = _split(places, residual)
        steps = _numpy(rows["steps"][slots])
        self._arrays["answers"][into, steps] = _numpy(rows["answer"][slots])
        self._arrays["residuals"][into, steps - 1] = _numpy(residual[slots].float())
        self._arrays["halt_logits"][into, steps - 1] = _numpy(rows["score"][slots].float())
        self._stand(rows, slots, into, steps, _numpy(ended[slots]))

    def cut(self, places: Places, rows: Rows) -> None:
        """These end as they stand, for the call does."""
        slots, into = _split(places, rows["steps"])
        self._stand(rows, slots, into, _numpy(rows["steps"][slots]), np.ones(len(into), dtype=np.bool_))

    def _stand(
        self, rows: Rows, slots: Tensor, into: NDArray[Any], steps: NDArray[Any], ended: NDArray[Any]
    ) -> None:
        """Keep states and logits where this iteration is a frame, or the last one."""
        for name, source in (("states", "state"), ("logits", "logits")):
            frames = self.frames[name]
            due = np.flatnonzero(ended | np.isin(steps, frames))
            if not frames or not len(due):
                continue
            values = _numpy(rows[source][slots[torch.from_numpy(due).to(slots.device)]].float())
            array = self._arrays[name]
            for row, step, over, value in zip(into[due], steps[due], ended[due], values, strict=True):
                frame = bisect_left(frames, step)
                array[row, frame : None if over else frame + 1] = value
        over = np.flatnonzero(ended)
        if not len(over):
            return
        tickets = rows["ticket"][slots].tolist()
        halted = rows["halted"][slots].tolist()
        for place in over.tolist():
            row, step = int(into[place]), int(steps[place])
            self._arrays["answers"][row, step + 1 :] = self._arrays["answers"][row, step]
            self._arrays["residuals"][row, step:] = np.nan
            self._arrays["halt_logits"][row, step:] = np.nan
            self.length[row], self.halted[row] = step, halted[place]
            del self._rows[tickets[place]]


class RecordedSlots(Slots):
    """Slots that show what runs in them to tapes.

    While a recorded trajectory waits or runs, the host asks at every tick who is where, and on a device waits
    for the answer; what it takes from there are the rows of recorded ones alone.

    Args:
        tapes: who writes down what.
        given, how: as of `Slots`.
    """

    def __init__(self, tapes: Sequence[Tape], *given: Any, **how: Any) -> None:
        super().__init__(*given, **how)
        self.tapes = tapes

    def give(self, trajectories: Sequence[Trajectory]) -> None:
        """As `Slots.give`."""
        for tape in self.tapes:
            for trajectory in trajectories:
                tape.expect(trajectory)
        super().give(trajectories)

    def _iterate(self, rows: Rows) -> tuple[Rows, Tensor, Tensor, Tensor]:
        found = self._recorded(rows)
        if not found:
            return super()._iterate(rows)
        steps = rows["steps"].tolist()
        fresh = [
            (tape, new)
            for tape, places in found
            if (new := [place for place in places if not steps[place[0]]])
        ]
        if fresh:
            # All slots, so that what is recorded of a trajectory is rounded alike whoever starts with it.
            prediction = self.reasoner.decode(rows["state"], self._condition(rows))
            for tape, places in fresh:
                tape.begin(places, rows["state"], prediction)
        rows, residual, ended, free = super()._iterate(rows)
        for tape, places in found:
            tape.go_on(places, rows, residual, ended)
        return rows, residual, ended, free

    @torch.inference_mode()
    def unfinished(self) -> list[End]:
        """As `Slots.unfinished`."""
        steps = self._rows["steps"].tolist()
        for tape, places in self._recorded(self._rows):
            if begun := [place for place in places if steps[place[0]]]:
                tape.cut(begun, self._rows)
        return super().unfinished()

    def _recorded(self, rows: Rows) -> list[tuple[Tape, Places]]:
        if all(tape.idle for tape in self.tapes):
            return []
        tickets = rows["ticket"].tolist()
        return [(tape, places) for tape in self.tapes if (places := tape.places(tickets))]


def _split(places: Places, like: Tensor) -> tuple[Tensor, NDArray[np.int64]]:
    """Slots, on the device of `like`, and rows."""
    slots, into = zip(*places, strict=True)
    return torch.tensor(slots, device=like.device), np.array(into)


def _numpy(tensor: Tensor) -> NDArray[Any]:
    return tensor.cpu().numpy()
