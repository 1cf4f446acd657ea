"""What every family offers: nothing else is needed to train, scale, diagnose or serve it."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from equilibria.dynamics.noise import NoiseSource
from equilibria.errors import RecipeError

Noise = Tensor | NoiseSource | None
EVERY = sys.maxsize
"""As `tracked`: gradient through every module update of an iteration."""


@dataclass(frozen=True)
class ProblemShape:
    """What a reasoner has to know of its task.

    Attributes:
        vocabulary: number of token values, padding included.
        tokens: tokens of a problem.
        board: height and width where the tokens are a board, row by row.
        identifiers: number of puzzle identities (1 where the task has none).
    """

    vocabulary: int
    tokens: int
    board: tuple[int, int] | None = None
    identifiers: int = 1


@dataclass(frozen=True)
class Condition:
    """The encoded problem, fixed along a trajectory.

    Attributes:
        x: embedded problem `[batch, prefix + tokens, width]`.
        tokens: the problem itself `[batch, tokens]`.
        prefix: slots of `x` before the first token.
    """

    x: Tensor
    tokens: Tensor
    prefix: int = 0

    def rows(self, index: Tensor) -> "Condition":
        """The condition of some rows only, in the order of `index`."""
        gathered = {
            field.name: value[index]
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **gathered)


@dataclass(frozen=True)
class Step:
    """What one iteration did.

    Attributes:
        state: `[batch, streams, tokens, width]`.
        residual: `‖z_{k+1} − z_k‖₂` per sample, float32 `[batch]`, detached.
        evaluations: what this step cost: 1 application of f, or, where an inner solve ran, the applications
            of the map it solved, per sample `[batch]`.
        penalty: a regularisation term to add to the loss, or None.
    """

    state: Tensor
    residual: Tensor
    evaluations: int | Tensor = 1
    penalty: Tensor | None = None


@dataclass(frozen=True)
class Prediction:
    """What a state says.

    Attributes:
        logits: `[batch, tokens, vocabulary]`.
        halt_logit: `[batch]` float32; positive means "this answer is right, stop". None: no such head.
        continue_logit: `[batch]` float32, the value of going on where a family learns one, else None.
    """

    logits: Tensor
    halt_logit: Tensor | None = None
    continue_logit: Tensor | None = None


class ReasonerConfig(BaseModel):
    """Fields every family has. A family adds its own in a subclass."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: str


C = TypeVar("C", bound=ReasonerConfig)


class Reasoner(nn.Module, ABC, Generic[C]):
    """A weight-tied map f with a way in (encode, initial_state) and a way out (decode)."""

    Config: ClassVar[type[ReasonerConfig]]
    max_depth: ClassVar[int | None] = None
    """Iterations beyond which f means nothing: 1 for a feed-forward network, None for no bound."""
    adjustable: ClassVar[frozenset[str]] = frozenset()
    """Fields of the config that say how f is run, not what it is made of: they may change in training."""

    config: C

    def __init__(self, config: C, shape: ProblemShape) -> None:
        super().__init__()
        self.config = config
        self.shape = shape
        self.compute_dtype = torch.float32

    def compute_in(self, dtype: torch.dtype) -> Self:
        """Run activations in `dtype`; parameters stay float32. Returns self."""
        self.compute_dtype = dtype
        return self

    def adjust(self, changes: Mapping[str, Any]) -> None:
        """Run f with other values of some `adjustable` fields; the weights stay.

        Raises:
            RecipeError: a field cannot be changed once the weights are there.
        """
        if fixed := sorted(set(changes) - self.adjustable):
            raise RecipeError(
                f"'{fixed[0]}' of the family {self.config.family} is part of its weights; while training, "
                f"these may change: {', '.join(sorted(self.adjustable)) or 'none'}"
            )
        values = self.config.model_dump() | dict(changes)
        self.config = type(self.config).model_validate(values)

    def compiled(self) -> Self:
        """Run f through `torch.compile` from here on where the family can; returns self."""
        return self

    @abstractmethod
    def encode(self, tokens: Tensor, identifiers: Tensor | None = None) -> Condition:
        """`tokens [batch, tokens]` (and `identifiers [batch]`) → the condition of a trajectory."""

    @abstractmethod
    def initial_state(self, condition: Condition, noise: Noise) -> Tensor:
        """Where a trajectory starts: `[batch, streams, tokens, width]`, drawn from `noise` where random."""

    @abstractmethod
    def iterate(
        self, state: Tensor, condition: Condition, *, tracked: int | None = None, noise: Noise = None
    ) -> Step:
        """One application of f.

        Args:
            state: `[batch, streams, tokens, width]`.
            condition: from `encode`, for the same rows.
            tracked: how many trailing module updates carry gradient, or `EVERY`; None: as the recipe says.
            noise: path noise: a source, or raw draws `[updates, batch, tokens, width]` in call order, or
                None for the noise-free map.
        """

    @abstractmethod
    def decode(self, state: Tensor, condition: Condition | None = None) -> Prediction:
        """Read answer and halting score off stream 0 of a state."""

    @property
    @abstractmethod
    def equivalent_layers(self) -> int:
        """Real block applications in one iteration."""

    @property
    @abstractmethod
    def tracked_layers(self) -> int:
        """Of those, how many carry gradient in training."""

    @property
    @abstractmethod
    def state_shape(self) -> tuple[int, int, int]:
        """(streams, tokens with prefix, width) of a state."""

    @property
    def learns_initial_state(self) -> bool:
        """Whether gradient should flow into `initial_state`: training then calls it again for fresh rows."""
        return False

    def identity_parameters(self) -> list[nn.Parameter]:
        """Puzzle-identity tables: trained by sparse sign-SGD, not averaged, not counted."""
        return []

    def dense_parameters(self) -> list[nn.Parameter]:
        """Every other trainable parameter, in a fixed order."""
        tables = {id(table) for table in self.identity_parameters()}
        return [weight for weight in self.parameters() if weight.requires_grad and id(weight) not in tables]

    @property
    def twice_differentiable(self) -> bool:
        """Whether an iteration has gradients of gradients, which Jacobian regularization over it takes."""
        return True

    def undecayed_parameters(self) -> list[nn.Parameter]:
        """Dense parameters that weight decay leaves alone: numbers for which zero means nothing."""
        return []

    def parameter_count(self) -> int:
        """Number of trainable numbers, identity tables left out (as the papers count)."""
        return sum(weight.numel() for weight in self.dense_parameters())
