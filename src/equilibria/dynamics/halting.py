"""When a trajectory stops, and what that decision costs to learn.

A rule sees `Signals` of a batch and says which rows are done. It owns the loss it is learned with, if any,
and the memory it keeps of a row between iterations, if any. Rules are plain data, and sections of a recipe.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

Memory = dict[str, Tensor]
"""What is kept of every row between iterations; each tensor is `[batch, ...]`."""


@dataclass(frozen=True)
class Signals:
    """What there is to decide by; every tensor is `[batch]`, None where nothing provides it.

    Attributes:
        steps: iterations done on the current problem.
        halt_logit: of the halting head; positive means "right, stop".
        continue_logit: the value of going on, of families that learn one.
        residual: in the norm of the solver.
        step_size: of a solver that adapts it.
        correct: whether the answer is right now; training only.
        final: whether this is the last iteration a row may have; training only.
    """

    steps: Tensor
    halt_logit: Tensor | None = None
    continue_logit: Tensor | None = None
    residual: Tensor | None = None
    step_size: Tensor | None = None
    correct: Tensor | None = None
    final: Tensor | None = None


Peek = Callable[[], Signals]
"""The signals one segment later, without gradient."""


def _asked(value: Tensor | None, what: str) -> Tensor:
    if value is None:
        raise TypeError(f"this rule needs {what}, which this reasoner does not have; use a fixed depth")
    return value


class Halting(ABC):
    """A rule."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    rule: Any
    """Which one, in a recipe; every rule narrows it to its own word."""

    def init(self, rows: int, device: torch.device) -> Memory:
        """What is remembered of `rows` fresh rows."""
        return {}

    @abstractmethod
    def halts(self, signals: Signals, memory: Memory) -> tuple[Tensor, Memory]:
        """Which rows are done, `[batch]` bool, and what is remembered of all of them."""

    def explore(self, halted: Tensor, steps: Tensor, depth: int, uniform: Tensor) -> Tensor:
        """Training only: withhold some halts. `uniform [batch, 2]` in (0, 1); by default, none."""
        return halted

    def loss(self, signals: Signals, peek: Peek) -> Tensor:
        """`[batch]`: what deciding costs; nothing where nothing is learned."""
        return torch.zeros(len(signals.steps), device=signals.steps.device)


def explored(halted: Tensor, steps: Tensor, depth: int, uniform: Tensor, chance: float) -> Tensor:
    """With a `chance`, a row must live to a random step in {2, ..., depth}, drawn afresh at every step, so
    that later steps keep being seen (HRM; spec of the published carry)."""
    until = 2 + (uniform[:, 1] * (depth - 1)).to(steps.dtype)
    least = torch.where(uniform[:, 0] < chance, until, 0)
    return halted & (steps >= least)


def right_now(halt_logit: Tensor, correct: Tensor) -> Tensor:
    """Binary cross-entropy of the halting head against "the answer is right now": `[batch]`."""
    return F.binary_cross_entropy_with_logits(halt_logit, correct.to(halt_logit.dtype), reduction="none")


@dataclass(frozen=True, kw_only=True)
class FixedDepth(Halting):
    """Every trajectory runs its full depth; nothing is learned."""

    rule: Literal["fixed"] = "fixed"

    def halts(self, signals: Signals, memory: Memory) -> tuple[Tensor, Memory]:
        """Never before the depth is spent."""
        return torch.zeros_like(signals.steps, dtype=torch.bool), memory


@dataclass(frozen=True, kw_only=True)
class LearnedHead(Halting):
    """Stop when the halting head says so (EqR Alg. 1; TRM; adaptive computation time, Graves 2017).

    Attributes:
        threshold: halt where the logit exceeds this.
        exploration: training only: chance that a row must live to a random step.
        weight: of its loss in the total.
        acts: whether rows do halt by it; without, the head is trained and not used (EqR Fig. 12).
    """

    rule: Literal["learned"] = "learned"
    threshold: float = 0.0
    exploration: float = 0.1
    weight: float = 0.5
    acts: bool = True

    def __post_init__(self) -> None:
        _in_range("exploration", self.exploration, 0, 1)
        _in_range("weight", self.weight, 0, float("inf"))

    def halts(self, signals: Signals, memory: Memory) -> tuple[Tensor, Memory]:
        """Where the head's logit exceeds the threshold, if the head acts at all."""
        logit = _asked(signals.halt_logit, "a halting head")
        return (logit > self.threshold) if self.acts else torch.zeros_like(logit, dtype=torch.bool), memory

    def explore(self, halted: Tensor, steps: Tensor, depth: int, uniform: Tensor) -> Tensor:
        """As `explored`, where the head acts."""
        return explored(halted, steps, depth, uniform, self.exploration) if self.acts else halted

    def loss(self, signals: Signals, peek: Peek) -> Tensor:
        """As `right_now`, weighted."""
        correct = _asked(signals.correct, "labels")
        return self.weight * right_now(_asked(signals.halt_logit, "a halting head"), correct)


@dataclass(frozen=True, kw_only=True)
class QLearning(Halting):
    """Stop when halting is worth more than going on; both values are learned (HRM).

    Halting is worth being right now. Going on is worth the better of both one segment later, or of halting
    alone if that segment is the last.

    Attributes:
        exploration: training only: chance that a row must live to a random step.
        weight: of both losses in the total.
    """

    rule: Literal["q-learning"] = "q-learning"
    exploration: float = 0.1
    weight: float = 0.5

    def __post_init__(self) -> None:
        _in_range("exploration", self.exploration, 0, 1)
        _in_range("weight", self.weight, 0, float("inf"))

    def halts(self, signals: Signals, memory: Memory) -> tuple[Tensor, Memory]:
        """Where the value of halting exceeds that of going on."""
        halt, go_on = self._values(signals)
        return halt > go_on, memory

    def explore(self, halted: Tensor, steps: Tensor, depth: int, uniform: Tensor) -> Tensor:
        """As `explored`."""
        return explored(halted, steps, depth, uniform, self.exploration)

    def loss(self, signals: Signals, peek: Peek) -> Tensor:
        """Cross-entropy of both values; the second needs one more segment, without gradient."""
        halt, go_on = self._values(signals)
        later_halt, later_on = self._values(peek())
        last = _asked(signals.final, "the end of a trajectory")
        target = torch.sigmoid(torch.where(last, later_halt, torch.maximum(later_halt, later_on))).detach()
        worth = F.binary_cross_entropy_with_logits(go_on, target, reduction="none")
        return self.weight * (right_now(halt, _asked(signals.correct, "labels")) + worth)

    def _values(self, signals: Signals) -> tuple[Tensor, Tensor]:
        halt = _asked(signals.halt_logit, "a halting head")
        return halt, _asked(signals.continue_logit, "a head for the value of going on")


@dataclass(frozen=True, kw_only=True)
class Residual(Halting):
    """Stop when the state rests (FPRM Sec. 3.3), or when the solver's step size has collapsed.

    Attributes:
        tolerance: τ; at rest is a residual below it, in the norm of the solver.
        patience: times in a row it must be so: iterations, or in training segments.
        least_step: stop, too, where the solver's step size is below this.
    """

    rule: Literal["residual"] = "residual"
    tolerance: float = 0.1
    patience: int = 1
    least_step: float = 1e-3

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"tolerance must be positive, not {self.tolerance}")
        _in_range("patience", self.patience, 1, float("inf"))

    def init(self, rows: int, device: torch.device) -> Memory:
        """How many iterations in a row were under the tolerance: none."""
        return {"rested": torch.zeros(rows, dtype=torch.int64, device=device)} if self.patience > 1 else {}

    def halts(self, signals: Signals, memory: Memory) -> tuple[Tensor, Memory]:
        """Where the state has rested long enough, or cannot move any more."""
        rests = _asked(signals.residual, "a residual") < self.tolerance
        if self.patience > 1:
            rested = torch.where(rests, memory["rested"] + 1, 0)
            memory, rests = memory | {"rested": rested}, rested >= self.patience
        if signals.step_size is not None:
            rests = rests | (signals.step_size < self.least_step)
        return rests, memory


@dataclass(frozen=True, kw_only=True)
class Oracle(Halting):
    """Training only: stop as soon as the answer is right; a control, which collapses (EqR Tab. 8e)."""

    rule: Literal["oracle"] = "oracle"

    def halts(self, signals: Signals, memory: Memory) -> tuple[Tensor, Memory]:
        """Where the labels say so."""
        return _asked(signals.correct, "labels"), memory


Single = FixedDepth | LearnedHead | QLearning | Residual | Oracle


@dataclass(frozen=True, kw_only=True)
class AnyOf(Halting):
    """Stop when any of several rules says so; their losses add up.

    FPRM, for one, halts by its residual and trains a halting head beside it that does not act.
    """

    of: tuple[Annotated[Single, Field(discriminator="rule")], ...]
    rule: Literal["any"] = "any"

    def __post_init__(self) -> None:
        if len({rule.rule for rule in self.of}) < len(self.of) or not self.of:
            raise ValueError("of: list at least one rule, and each kind at most once")

    def init(self, rows: int, device: torch.device) -> Memory:
        """What all of them remember."""
        return {name: value for rule in self.of for name, value in rule.init(rows, device).items()}

    def halts(self, signals: Signals, memory: Memory) -> tuple[Tensor, Memory]:
        """Where one of them stops."""
        halted = torch.zeros_like(signals.steps, dtype=torch.bool)
        for rule in self.of:
            own, memory = rule.halts(signals, memory)
            halted = halted | own
        return halted, memory

    def explore(self, halted: Tensor, steps: Tensor, depth: int, uniform: Tensor) -> Tensor:
        """Halts that none of them withholds."""
        for rule in self.of:
            halted = rule.explore(halted, steps, depth, uniform)
        return halted

    def loss(self, signals: Signals, peek: Peek) -> Tensor:
        """The sum of theirs."""
        return torch.stack([rule.loss(signals, peek) for rule in self.of]).sum(0)


AnyHalting = Single | AnyOf


def _in_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        bounds = f"from {low:g} up" if high == float("inf") else f"between {low:g} and {high:g}"
        raise ValueError(f"{name} must be {bounds}, not {value:g}")
