"""What runs next: problems and their restarts, in the order in which slots should take them.

Only problems that have begun and are not done are remembered, so memory is set by the slots and not by how
many problems there are or how many restarts each may have.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from torch import Tensor

from equilibria.dynamics.halting import FixedDepth
from equilibria.inference.budget import Budget
from equilibria.inference.restarts import Restart
from equilibria.inference.slots import End, Trajectory

Verify = Callable[[Tensor, Tensor], bool]
"""`[tokens]` problem, `[tokens]` answer → whether the answer is right, by the rules of the task."""


@dataclass
class Attempt:
    """A problem that has begun.

    Attributes:
        index: its place in the call.
        tokens: `[tokens]`.
        running: restart → ticket and limit.
        ended: restart → what came of it.
        ends: restart → where it ended, at every mark.
        in_order: the restarts that ended, up to the first that has not.
        asking: whether it stands in line for its next restart.
    """

    index: int
    tokens: Tensor
    identifier: Tensor | None
    running: dict[int, tuple[int, int]] = field(default_factory=dict)
    ended: dict[int, Restart] = field(default_factory=dict)
    ends: dict[int, End] = field(default_factory=dict)
    in_order: list[Restart] = field(default_factory=list)
    asking: bool = False

    @property
    def started(self) -> int:
        """Restarts begun; they begin in the order of their numbers."""
        return len(self.running) + len(self.ended)


class Queue:
    """Hands out trajectories and takes back their ends.

    Args:
        problems: `[tokens]` and the puzzle identity of each, in order; drawn from as slots come free.
        budget: what a problem may cost.
        depth: most iterations of a trajectory; the budget's, or less where the reasoner has a limit.
        elements: numbers in a state.
        verify: a task's own checker, where answers shall pass it.
        rounds: every problem's first restart before any second one: for calls that may be stopped. Otherwise
            problems that have begun come first, so that few are open at a time.
    """

    def __init__(
        self,
        problems: Iterable[tuple[Tensor, Tensor | None]],
        budget: Budget,
        depth: int,
        elements: int,
        *,
        verify: Verify | None = None,
        rounds: bool = False,
    ) -> None:
        self.budget, self.verify, self.rounds = budget, verify, rounds
        self._depth, self._elements = depth, elements
        self._source = enumerate(problems)
        self._fresh = next(self._source, None)
        self._asking: deque[Attempt] = deque()
        self._tickets: dict[int, tuple[Attempt, int]] = {}
        self._next = 0
        self.begun = 0
        self.open: dict[int, Attempt] = {}

    @property
    def empty(self) -> bool:
        """Whether there is nothing to hand out now; a restart that ends may change that."""
        return self._fresh is None and not self._asking

    def take(self, count: int) -> list[Trajectory]:
        """Up to `count` trajectories to run next."""
        taken: list[Trajectory] = []
        while len(taken) < count:
            attempt = self._next_attempt()
            if attempt is None:
                break
            taken.append(self._start(attempt))
            self._ask(attempt)
        return taken

    def put(self, end: End) -> tuple[Attempt, bool]:
        """Take back where a trajectory ended: its problem, and whether that is done now."""
        attempt, number = self._tickets.pop(end.ticket)
        del attempt.running[number]
        attempt.ends[number] = end
        attempt.ended[number] = self._restart(attempt, number, end)
        while len(attempt.in_order) in attempt.ended:
            attempt.in_order.append(attempt.ended[len(attempt.in_order)])
        if attempt.asking and not self._may_start(attempt):
            self._asking.remove(attempt)
            attempt.asking = False
        if not attempt.asking:
            self._ask(attempt)
        done = not (attempt.running or attempt.asking)
        if done:
            del self.open[attempt.index]
        return attempt, done

    def lower(self, attempt: Attempt) -> dict[int, int]:
        """New, lower limits of the problem's running restarts, by ticket."""
        limits: dict[int, int] = {}
        for number, (ticket, limit) in attempt.running.items():
            bound = self._policy_limit(attempt, number)
            if bound < limit:
                attempt.running[number] = (ticket, bound)
                limits[ticket] = bound
        return limits

    def rest(self) -> list[Attempt]:
        """Problems that have begun or not, and will not go on: every one that is not done."""
        while self._fresh is not None:
            self._open()
        rest = sorted(self.open.values(), key=lambda attempt: attempt.index)
        self.open.clear()
        self._asking.clear()
        return rest

    def _next_attempt(self) -> Attempt | None:
        if self._fresh is not None and (self.rounds or not self._asking):
            return self._open()
        if not self._asking:
            return None
        attempt = self._asking.popleft()
        attempt.asking = False
        return attempt

    def _open(self) -> Attempt:
        assert self._fresh is not None
        index, (tokens, identifier) = self._fresh
        self.begun += 1
        self._fresh = next(self._source, None)
        attempt = self.open[index] = Attempt(index, tokens, identifier)
        return attempt

    def _start(self, attempt: Attempt) -> Trajectory:
        number, limit, ticket = attempt.started, self._next_limit(attempt), self._next
        assert limit is not None
        self._next += 1
        self._tickets[ticket] = (attempt, number)
        attempt.running[number] = (ticket, limit)
        return Trajectory(ticket, attempt.tokens, number, limit, attempt.identifier, attempt.index)

    def _ask(self, attempt: Attempt) -> None:
        """Let a problem stand in line if it may start another restart now."""
        attempt.asking = self._may_start(attempt)
        if attempt.asking:
            self._asking.append(attempt)

    def _may_start(self, attempt: Attempt) -> bool:
        if self.verify is not None and self.budget.restarts.enough(attempt.in_order):
            return False
        wanted = self.budget.restarts.wants(attempt.in_order, self.budget.breadth)
        return attempt.started < wanted and self._next_limit(attempt) is not None

    def _next_limit(self, attempt: Attempt) -> int | None:
        """Iterations that the next restart may have; None: it cannot start, or not yet.

        Under a cap it starts once its limit is certain, whatever the restarts before it still use: then the
        answer does not depend on who ends first.
        """
        limit = self._policy_limit(attempt, attempt.started)
        if self.budget.nfe is not None:
            left = self.budget.nfe - sum(restart.iterations for restart in attempt.ended.values())
            left -= sum(most for _, most in attempt.running.values())
            if left < limit and attempt.running:
                return None
            limit = min(limit, left)
        return limit if limit >= 1 else None

    def _policy_limit(self, attempt: Attempt, number: int) -> int:
        return self.budget.restarts.limit(number, list(attempt.ended.values()), self._depth)

    def _restart(self, attempt: Attempt, number: int, end: End) -> Restart:
        residual, _, halt_logit, evaluations, halted = end.facts[-1]
        relative = residual / math.sqrt(self._elements)
        rests = relative <= self.budget.tolerance
        answer = end.answers[-1]
        if not halted and self._policy_limit(attempt, number) < self._depth:
            accepted = False  # Cut off because it has lost, however well it stood by then.
        elif self.verify is not None:
            accepted = self.verify(attempt.tokens, answer)
        else:
            # A state can rest where the halting rule knows better: then the rule decides.
            accepted = rests if isinstance(self.budget.halting, FixedDepth) else bool(halted)
        return Restart(
            number,
            end.steps,
            int(evaluations),
            answer.numpy().tobytes(),
            residual,
            relative,
            halt_logit,
            bool(halted),
            rests or bool(halted),
            accepted,
        )
