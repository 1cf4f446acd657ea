"""What a solver is: data that says how one evaluation of f moves every sample of a batch."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

Memory = dict[str, Tensor]
"""What a solver keeps of each sample between steps. Every tensor is `[batch, ...]`, so that a row can leave a
batch and another take its place."""
Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Solver(ABC):
    """How a fixed point of f is sought, one evaluation at a time. Samples never see each other.

    Solvers are plain data, and sections of a recipe; `name` says which.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    name: str

    def init(self, z0: Tensor) -> Memory:
        """What is remembered of samples that start at `z0 [batch, ...]`."""
        return {}

    @abstractmethod
    def step(self, f: Map, z: Tensor, memory: Memory) -> tuple[Tensor, Memory, Tensor]:
        """Evaluate f once at `z [batch, ...]`.

        Returns:
            where to evaluate next; the memory; the residual of `z` in the norm of the solver, `[batch]`.
        """

    def result(self, z: Tensor, memory: Memory) -> Tensor:
        """The answer after a step that led to `z`: by default `z` itself."""
        return z


def check(condition: bool, message: str) -> None:
    """Refuse a value that makes no sense."""
    if not condition:
        raise ValueError(message)
