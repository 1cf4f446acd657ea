"""One level, applied once an iteration: what FPRM, looped Transformers and deep equilibrium models share."""

from typing import Literal, Self, TypeVar

import torch
from pydantic import Field
from torch import Tensor

from equilibria.dynamics.noise import NoiseSource
from equilibria.dynamics.residual import distance
from equilibria.nn.level import Module
from equilibria.nn.second_order import second_order_wanted
from equilibria.reasoners.blocks import BlockConfig, BlockReasoner
from equilibria.reasoners.initial import draw_states
from equilibria.reasoners.interface import Condition, Noise, ProblemShape, Step


class SingleLevelConfig(BlockConfig):
    """A level and where its trajectories start."""

    initial: Literal["gaussian", "zeros", "condition"] = "gaussian"
    """Random per trajectory, zeros (DEQ), or the embedded problem itself (Universal Transformer)."""
    sigma: float = Field(default=1.0, ge=0)
    """Standard deviation of a random initial state."""


S = TypeVar("S", bound=SingleLevelConfig)


class SingleLevelReasoner(BlockReasoner[S]):
    """`z ← F(z, x)`: one stream, no inner cycle; solver and schedule say how it is iterated."""

    def __init__(self, config: S, shape: ProblemShape) -> None:
        super().__init__(config, shape)
        self._apply_level = _apply_level

    def compiled(self) -> Self:
        """Run the level through `torch.compile` from here on: the same mathematics, rounded in other places.

        The first iteration of every batch size, dtype and mode takes some ten seconds more. Returns self.
        """
        self._apply_level = torch.compile(  # pyright: ignore[reportCallIssue]
            _apply_level, dynamic=False, recompile_limit=64, isolate_recompiles=True
        )
        return self

    def initial_state(self, condition: Condition, noise: Noise) -> Tensor:
        x = condition.x
        if self.config.initial == "zeros":
            return x.new_zeros(len(x), 1, *x.shape[1:])
        if self.config.initial == "condition":
            return x.detach()[:, None].clone()
        if isinstance(noise, NoiseSource):
            return draw_states(noise, tuple(x.shape[1:]), (self.config.sigma,), x.dtype)
        if noise is None:
            raise ValueError("a random initial state needs a noise source, or raw draws of the state's shape")
        return noise.to(x) * self.config.sigma

    def iterate(
        self, state: Tensor, condition: Condition, *, tracked: int | None = None, noise: Noise = None
    ) -> Step:
        """One application of the level; there is no path noise."""
        module = self.blocks.cast(condition.x.dtype)
        # Compiled graphs have no second gradients.
        apply = _apply_level if second_order_wanted() else self._apply_level
        after = apply(module, state[:, 0], condition.x)[:, None]
        return Step(after, residual=distance(after.detach(), state.detach()))

    @property
    def equivalent_layers(self) -> int:
        return self.config.layers

    @property
    def tracked_layers(self) -> int:
        return self.config.layers

    @property
    def state_shape(self) -> tuple[int, int, int]:
        return (1, self.config.prefix + self.shape.tokens, self.config.width)


def _apply_level(module: Module, z: Tensor, x: Tensor) -> Tensor:
    return module(z, x)
