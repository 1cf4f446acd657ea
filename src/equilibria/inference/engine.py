"""The engine: problems in, answers out as they settle, within a budget."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from equilibria.dynamics.halting import FixedDepth, Halting
from equilibria.dynamics.solvers import Picard, Solver
from equilibria.inference.budget import Budget
from equilibria.inference.calibration import Calibration
from equilibria.inference.outcome import Outcome, outcome_of
from equilibria.inference.pool import Pool
from equilibria.inference.queue import Attempt, Queue, Verify
from equilibria.inference.recording import Call, Recorder
from equilibria.inference.slots import End, Slots
from equilibria.inference.tape import RecordedSlots, Tape
from equilibria.reasoners.interface import Reasoner


@dataclass(frozen=True)
class Report:
    """How far a call has come.

    Attributes:
        problems: in the call.
        begun: of those, have had a trajectory.
        done: of those, have their answer.
        running: trajectories in slots.
        nfe: iterations run so far.
        utilisation: share of slots that had work, over all ticks so far.
        seconds: since the call began.
    """

    problems: int
    begun: int
    done: int
    running: int
    nfe: int
    utilisation: float
    seconds: float


Stop = Callable[[Report], bool]
"""Asked between ticks: whether to stop and give the best answers so far."""
Watch = Callable[[Report], object]


class Engine:
    """Runs a reasoner on problems.

    Args:
        reasoner: the map, already on its device.
        memory: bytes that the trajectories side by side may take; None: 32 MiB on a CPU, 4 GiB elsewhere.
        solver: how the map is iterated.
        slots: trajectories side by side, at most; None: as many as fit the memory.
        every: ticks between two looks of the host; None: 1 on a CPU, where looking is free, 4 elsewhere.
        steady: keep the number of slots, in small calls and while a call ends: a compiled iteration is
            compiled anew for every other number, and that costs more than what idle slots waste.
    """

    def __init__(
        self,
        reasoner: Reasoner[Any],
        memory: int | None = None,
        solver: Solver = Picard(),
        *,
        slots: int | None = None,
        every: int | None = None,
        steady: bool = False,
    ) -> None:
        self.reasoner = reasoner
        self.solver = solver
        # On a CPU the rows should fit the last-level cache: more of them run up to 2.5 times slower.
        on_cpu = next(reasoner.parameters()).device.type == "cpu"
        self.memory = memory or (1 << 25 if on_cpu else 1 << 32)
        self.slots = slots or self._slots_in_memory()
        self.every = every or (1 if on_cpu else 4)
        self.steady = steady

    def _slots_in_memory(self) -> int:
        """Trajectories that fit: state, condition, and the widest activations in between."""
        streams, tokens, width = self.reasoner.state_shape
        item = torch.finfo(self.reasoner.compute_dtype).bits // 8
        # Per token and channel: the streams four times (old, new, of two that wait), three conditions, and
        # an MLP's inner activations, which are at most some eight times the width in every published shape.
        row = tokens * width * item * (4 * streams + 3 + 8)
        row += 4 * tokens * self.reasoner.shape.vocabulary * 4
        return max(1, self.memory // row)

    def solve(
        self,
        tokens: Tensor,
        budget: Budget,
        *,
        seed: int = 0,
        identifiers: Tensor | None = None,
        verify: Verify | None = None,
        calibration: Calibration | None = None,
        stop: Stop | None = None,
        watch: Watch | None = None,
        recorders: Sequence[Recorder] = (),
    ) -> Iterator[Outcome]:
        """Outcomes of the problems `[problems, tokens]`, each as soon as it is certain.

        Args:
            tokens, budget, seed, identifiers, verify, stop, watch, recorders: as in `attempts`.
            calibration: says how probable each answer is.
        """
        for attempt, complete in self.attempts(
            tokens,
            budget,
            seed=seed,
            identifiers=identifiers,
            verify=verify,
            stop=stop,
            watch=watch,
            recorders=recorders,
        ):
            yield outcome_of(attempt, complete, budget, verify is not None, calibration)

    def attempts(
        self,
        tokens: Tensor,
        budget: Budget,
        *,
        seed: int = 0,
        identifiers: Tensor | None = None,
        verify: Verify | None = None,
        stop: Stop | None = None,
        watch: Watch | None = None,
        recorders: Sequence[Recorder] = (),
    ) -> Iterator[tuple[Attempt, bool]]:
        """Every problem with its restarts, once its answer is certain, and whether its budget was spent.

        What comes of a problem depends on seed and budget, not on what else is in the call.

        Args:
            tokens: `[problems, tokens]`.
            budget: of each of them.
            seed: of all draws.
            identifiers: `[problems]` puzzle identities.
            verify: the task's own checker: only an answer that passes it ends a problem early, and is
                preferred. Without it nothing but the reasoner's own dynamics decides.
            stop: when it says so, every problem left is answered with the best there is so far. A call that
                may be stopped begins all problems before it spends more on any.
            watch: told of the progress, once every few ticks.
            recorders: have kept the trajectories that each asks for, once the call has ended. On a device the
                host waits at every tick in which one of those runs.

        Raises:
            EquilibriaError: a recorder cannot keep what it asks for; see `Recorder.begin`.
        """
        queue = self._queue(tokens, identifiers, budget, verify, rounds=stop is not None)
        marks = [self._reached(budget.depth)]
        yield from self._recorded(recorders, queue, tokens.shape, budget, marks, seed, stop, watch)

    def pools(self, tokens: Tensor, *, depths: tuple[int, ...], breadth: int, **how: Any) -> list[Pool]:
        """Where `breadth` trajectories of every problem stand at each of the depths, in one pass.

        Args:
            tokens: `[problems, tokens]`.
            depths: in any order; the pools come in the same.
            breadth: restarts per problem, all run.
            how: `halting`, `seed`, `identifiers`, `watch`, `recorders`; see `looks`.
        """
        ends: list[list[End]] = [[] for _ in range(len(tokens))]
        for index, found in self.looks(tokens, depths=depths, breadth=breadth, **how):
            ends[index] = found
        marks = self._marks(depths)
        pools = {mark: Pool.of(ends, place) for place, mark in enumerate(marks)}
        return [pools[self._reached(depth)] for depth in depths]

    def looks(
        self,
        tokens: Tensor,
        *,
        depths: tuple[int, ...],
        breadth: int,
        halting: Halting = FixedDepth(),
        seed: int = 0,
        identifiers: Tensor | None = None,
        watch: Watch | None = None,
        recorders: Sequence[Recorder] = (),
    ) -> Iterator[tuple[int, list[End]]]:
        """Each problem's place, once it is done, and its restarts' ends with a mark for every depth.

        Marks ascend, and each depth has one mark. A trajectory that halted before a depth stands there as it
        halted.

        Args:
            tokens: `[problems, tokens]`.
            depths: at which to look.
            breadth: restarts per problem, all run.
            halting: ends a trajectory early, or does not.
            seed: of all draws.
            identifiers: `[problems]` puzzle identities.
            watch: told of the progress.
            recorders: as in `attempts`.
        """
        marks = self._marks(depths)
        budget = Budget(depth=marks[-1], breadth=breadth, halting=halting)
        queue = self._queue(tokens, identifiers, budget, None, rounds=False)
        for attempt, _ in self._recorded(recorders, queue, tokens.shape, budget, marks, seed, None, watch):
            yield attempt.index, [attempt.ends[number] for number in range(breadth)]

    def _reached(self, depth: int) -> int:
        """The depth, or the reasoner's limit."""
        return depth if self.reasoner.max_depth is None else min(depth, self.reasoner.max_depth)

    def _marks(self, depths: Sequence[int]) -> list[int]:
        return sorted({self._reached(depth) for depth in depths})

    def _state_shape(self, tokens: int) -> tuple[int, int, int]:
        """As of the reasoner, for problems of so many tokens."""
        streams, whole, width = self.reasoner.state_shape
        return streams, whole - self.reasoner.shape.tokens + tokens, width

    def _queue(
        self,
        tokens: Tensor,
        identifiers: Tensor | None,
        budget: Budget,
        verify: Verify | None,
        rounds: bool,
    ) -> Queue:
        elements = math.prod(self._state_shape(tokens.shape[1]))
        # One at a time: iterating over a tensor would make a view of every row at once.
        problems = (
            (tokens[row], None if identifiers is None else identifiers[row]) for row in range(len(tokens))
        )
        return Queue(problems, budget, self._reached(budget.depth), elements, verify=verify, rounds=rounds)

    def _recorded(
        self, recorders: Sequence[Recorder], queue: Queue, shape: torch.Size, budget: Budget, *how: Any
    ) -> Iterator[tuple[Attempt, bool]]:
        """As `_run`, with recorders told of beginning and end."""
        problems, tokens = shape
        call = Call(
            problems,
            budget.breadth,
            self._reached(budget.depth),
            self._state_shape(tokens),
            (tokens, self.reasoner.shape.vocabulary),
        )
        begun: dict[Recorder, Tape] = {}
        try:
            for recorder in recorders:
                begun[recorder] = recorder.begin(call)
            yield from self._run(list(begun.values()), queue, shape, budget, *how)
            for recorder in begun:
                recorder.finish()
        except BaseException:  # the consumer may also have left
            for recorder in begun:
                recorder.break_off()
            raise

    def _run(
        self,
        tapes: Sequence[Tape],
        queue: Queue,
        shape: torch.Size,
        budget: Budget,
        marks: Sequence[int],
        seed: int,
        stop: Stop | None,
        watch: Watch | None,
    ) -> Iterator[tuple[Attempt, bool]]:
        """Problems as they are done, and whether their budget was spent or the call stopped."""
        if queue.empty:
            return
        problems, tokens = shape
        # No more than may ever have work at a time, unless the number is to stay.
        useful = problems * max(1, budget.restarts.wants([], budget.breadth))
        count = self.slots if self.steady else min(self.slots, useful)
        slots = (partial(RecordedSlots, tapes) if tapes else Slots)(
            self.reasoner,
            self.solver,
            budget.halting,
            seed=seed,
            tokens=tokens,
            marks=marks,
            count=count,
            ready=2 * count,
            every=self.every,
        )
        started, done = time.perf_counter(), 0
        while True:
            self._fill(slots, queue)
            if not slots.running:
                return
            for _ in range(self.every):
                slots.tick()
            changed: dict[int, Attempt] = {}
            for end in slots.fetch():
                attempt, over = queue.put(end)
                if over:
                    changed.pop(attempt.index, None)
                    done += 1
                    yield attempt, True
                else:
                    changed[attempt.index] = attempt
            if limits := {t: n for attempt in changed.values() for t, n in queue.lower(attempt).items()}:
                slots.limit(limits)
            if stop is None and watch is None:
                continue
            busy = slots.busy_ticks
            report = Report(
                problems,
                queue.begun,
                done,
                slots.running,
                busy,
                busy / slots.slot_ticks,
                time.perf_counter() - started,
            )
            if watch is not None:
                watch(report)
            if stop is not None and (slots.running or not queue.empty) and stop(report):
                break
        # What is cut off may be all that its problem still had.
        yield from ((attempt, False) for attempt, over in map(queue.put, slots.unfinished()) if over)
        for attempt in queue.rest():
            yield attempt, False

    def _fill(self, slots: Slots, queue: Queue) -> None:
        """Give the slots what they can take; few at a time would cost more than it saves."""
        idle = slots.running < slots.count
        if not queue.empty and slots.vacant and (idle or 2 * slots.vacant >= slots.ready):
            slots.give(queue.take(slots.vacant))
        if idle and slots.waiting:
            slots.start()
        if (
            queue.empty
            and not slots.waiting
            and 0 < slots.running <= 3 * slots.count // 4
            and not self.steady
        ):
            slots.shrink(slots.running)
