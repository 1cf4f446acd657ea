"""When to start the next restart of a problem, and when to leave it at that.

A policy looks at the restarts that have ended and says how many there should be. It sees them in the order
of their numbers, never in that in which they happened to end, so what it decides does not depend on what else
runs. Policies are plain data, and sections of a recipe.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field


class Restart(NamedTuple):
    """A restart that has ended.

    Attributes:
        number: which of its problem, from 0.
        iterations: it ran.
        evaluations: applications of f that took.
        answer: its tokens, as bytes: equal answers are equal here.
        residual: mean `‖z_{k+1} − z_k‖₂` of its last iterations.
        relative_residual: the same as a root-mean-square per state element.
        halt_logit: of the halting head; NaN without one.
        halted: a halting rule ended it.
        settled: it came to rest, or a halting rule ended it.
        accepted: good enough to answer: a halting rule ended it, or, at fixed depth, it came to rest; where
            answers are verified, that its answer passed.
    """

    number: int
    iterations: int
    evaluations: int
    answer: bytes
    residual: float
    relative_residual: float
    halt_logit: float
    halted: bool
    settled: bool
    accepted: bool


class RestartPolicy(ABC):
    """A policy."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    policy: Any
    """Which one, in a recipe; every policy narrows it to its own word."""

    @abstractmethod
    def wants(self, ended: Sequence[Restart], breadth: int) -> int:
        """How many restarts to have started, at most `breadth`, once restarts 0 to n have ended as given.

        Never less than have ended. As many as have ended means that the problem is done.
        """

    def enough(self, ended: Sequence[Restart]) -> bool:
        """Whether no more restarts are needed where a checker accepts answers: once it has accepted one."""
        return any(restart.accepted for restart in ended)

    def limit(self, number: int, ended: Sequence[Restart], depth: int) -> int:
        """Most iterations for restart `number`, given some that have ended, in any order."""
        return depth

    def candidates(self, ended: Sequence[Restart]) -> list[int]:
        """Places of the restarts that the answer may come from: where some were accepted, only those."""
        accepted = [place for place, restart in enumerate(ended) if restart.accepted]
        return accepted or list(range(len(ended)))


@dataclass(frozen=True, kw_only=True)
class Fixed(RestartPolicy):
    """All of them, and any of them may answer: the papers' breadth scaling."""

    policy: Literal["fixed"] = "fixed"

    def wants(self, ended: Sequence[Restart], breadth: int) -> int:
        """All."""
        return breadth

    def candidates(self, ended: Sequence[Restart]) -> list[int]:
        """All."""
        return list(range(len(ended)))


@dataclass(frozen=True, kw_only=True)
class UntilSettled(RestartPolicy):
    """The next one only when those so far ended unsettled."""

    policy: Literal["until-settled"] = "until-settled"

    def wants(self, ended: Sequence[Restart], breadth: int) -> int:
        """One more while none was accepted."""
        done = any(restart.accepted for restart in ended)
        return len(ended) if done else min(len(ended) + 1, breadth)


@dataclass(frozen=True, kw_only=True)
class UntilAgreement(RestartPolicy):
    """Until `votes` restarts give the same whole answer.

    Attributes:
        votes: so many; only as many restarts run at a time as are needed for it in any case.
    """

    policy: Literal["until-agreement"] = "until-agreement"
    votes: int = 2

    def __post_init__(self) -> None:
        if self.votes < 1:
            raise ValueError(f"votes must be at least 1, not {self.votes}")

    def wants(self, ended: Sequence[Restart], breadth: int) -> int:
        """So many more as the most frequent answer lacks votes."""
        most = max(Counter(restart.answer for restart in ended).values(), default=0)
        return max(len(ended), min(len(ended) + self.votes - most, breadth))

    def candidates(self, ended: Sequence[Restart]) -> list[int]:
        """Those with the answer agreed on; of accepted ones, or of all, where none has the votes."""
        ((answer, most),) = Counter(restart.answer for restart in ended).most_common(1)
        if most < self.votes:
            return super().candidates(ended)
        return [place for place, restart in enumerate(ended) if restart.answer == answer]


@dataclass(frozen=True, kw_only=True)
class Race(RestartPolicy):
    """All at once; the first to settle wins, and the others are cancelled.

    First is who needed the fewest iterations (of equals, the lower number), not who happened to end first: so
    a restart that started late still runs for as many iterations as the winner needed. Shortest in
    time where slots are many; `UntilSettled` evaluates less.
    """

    policy: Literal["race"] = "race"

    def wants(self, ended: Sequence[Restart], breadth: int) -> int:
        """All."""
        return breadth

    def enough(self, ended: Sequence[Restart]) -> bool:
        """Never: a restart that has not begun may still be quicker than those that were accepted."""
        return False

    def limit(self, number: int, ended: Sequence[Restart], depth: int) -> int:
        """No longer than it takes to know that it has lost."""
        lost = [r.iterations - (1 if number > r.number else 0) for r in ended if r.accepted]
        return max(0, min([depth, *lost]))

    def candidates(self, ended: Sequence[Restart]) -> list[int]:
        """The winner; all, where none settled."""
        places = super().candidates(ended)
        if not ended[places[0]].accepted:
            return places
        return [min(places, key=lambda place: (ended[place].iterations, ended[place].number))]


AnyRestarts = Annotated[Fixed | UntilSettled | UntilAgreement | Race, Field(discriminator="policy")]
