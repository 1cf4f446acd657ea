"""How trajectories leave their slots and others take them: two ways to the same rows.

`Static` never looks at a number, so nothing waits for the device and all shapes stay. `Direct` touches only
the rows that change; it must look which, and is for devices where that is free.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from equilibria.dynamics.norms import across

Rows = dict[str, Tensor]
"""Trajectories: everything that belongs to them, batch first, by name."""

NO_TICKET = -1


class Turnover(ABC):
    """What waits, and what has gone.

    Args:
        rows: of the slots, as they are at the beginning.
        waiting: places for trajectories that wait; used as a ring.
        kept: names of what is kept of a trajectory that has ended.
        every: ticks at most between two fetches.
    """

    def __init__(self, rows: Rows, waiting: Rows, kept: Sequence[str], every: int) -> None:
        self.waiting = waiting
        self.kept = kept
        self.ready = len(waiting["ticket"])

    def give(self, rows: Rows, given: int) -> None:
        """Let these wait, after all that were `given` before."""
        count, device = len(rows["ticket"]), rows["ticket"].device
        places = torch.arange(given, given + count, device=device) % self.ready
        for name, value in rows.items():
            self.waiting[name].index_copy_(0, places, value)
        self._add(count)

    @abstractmethod
    def _add(self, count: int) -> None:
        """So many more wait."""

    @abstractmethod
    def turn(self, rows: Rows, ended: Tensor, free: Tensor) -> Rows:
        """Keep what has `ended` `[slots]`, and let what waits take slots that are `free` `[slots]`, in order.

        A free slot that nothing waits for is marked with no ticket. `rows` is used up.
        """

    @abstractmethod
    def fetch(self) -> tuple[Rows, int]:
        """What ended since the last fetch, in order, if anything did; and how many have started so far."""


class Static(Turnover):
    """Without looking: every row is written anew, from itself or from what waits."""

    def __init__(self, rows: Rows, waiting: Rows, kept: Sequence[str], every: int) -> None:
        super().__init__(rows, waiting, kept, every)
        slots, device = len(rows["ticket"]), rows["ticket"].device
        self.nowhere = every * slots
        self._gone = {name: rows[name].new_zeros(self.nowhere + 1, *rows[name].shape[1:]) for name in kept}
        self._given, self._started, self._ended = torch.zeros(3, dtype=torch.int64, device=device).unbind()

    def _add(self, count: int) -> None:
        self._given = self._given + count

    def turn(self, rows: Rows, ended: Tensor, free: Tensor) -> Rows:
        """As `Turnover.turn`."""
        # Those that ended go out in order; all others are written to one place that nobody reads.
        place = torch.where(ended, self._ended + ended.cumsum(0) - 1, self.nowhere)
        for name, kept in self._gone.items():
            kept.index_copy_(0, place, rows[name])
        self._ended = self._ended + ended.sum()
        order = free.cumsum(0) - 1
        takes = free & (order < self._given - self._started)
        source = (self._started + order).clamp(min=0) % self.ready
        self._started = self._started + takes.sum()
        idle = {"ticket": torch.where(free, NO_TICKET, rows["ticket"])}
        return {
            name: torch.where(across(takes, value), self.waiting[name][source], value)
            for name, value in (rows | idle).items()
        }

    def fetch(self) -> tuple[Rows, int]:
        """As `Turnover.fetch`."""
        ended, started = torch.stack([self._ended, self._started]).tolist()
        self._ended = torch.zeros_like(self._ended)
        return {name: value[:ended] for name, value in self._gone.items()} if ended else {}, started


class Direct(Turnover):
    """By looking."""

    def __init__(self, rows: Rows, waiting: Rows, kept: Sequence[str], every: int) -> None:
        super().__init__(rows, waiting, kept, every)
        self._gone: list[Rows] = []
        self._given, self._started = 0, 0

    def _add(self, count: int) -> None:
        self._given += count

    def turn(self, rows: Rows, ended: Tensor, free: Tensor) -> Rows:
        """As `Turnover.turn`."""
        places = free.nonzero().squeeze(1)
        if not len(places):
            return rows
        out = ended.nonzero().squeeze(1)
        if len(out):
            self._gone.append({name: rows[name][out] for name in self.kept})
            rows["ticket"] = rows["ticket"].index_fill(0, out, NO_TICKET)
        count = min(len(places), self._given - self._started)
        if count:
            source = torch.arange(self._started, self._started + count) % self.ready
            for name, value in rows.items():
                rows[name] = value.index_copy_(0, places[:count], self.waiting[name][source])
            self._started += count
        return rows

    def fetch(self) -> tuple[Rows, int]:
        """As `Turnover.fetch`."""
        gone, self._gone = self._gone, []
        if len(gone) > 1:
            gone = [{name: torch.cat([part[name] for part in gone]) for name in self.kept}]
        return gone[0] if gone else {}, self._started
