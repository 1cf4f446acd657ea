"""The Hierarchical Reasoning Model: a fast and a slow stream, each with its own module (Wang et al. 2025).

As the recursive family, but the slow module differs from the fast one, and gradient flows through the very
last update of each alone: the one-step approximation of an equilibrium gradient.
"""

from typing import Literal

from pydantic import Field, PositiveInt

from equilibria.nn.level import Level
from equilibria.reasoners.blocks import level
from equilibria.reasoners.interface import ProblemShape
from equilibria.reasoners.recursive import FAST, SLOW, Recursion, RecursiveConfig, Update, Updates


class HRMConfig(RecursiveConfig):
    """The published sizes; `layers` are those of the slow module H."""

    family: str = "hrm"
    layers: PositiveInt = 4
    fast_layers: PositiveInt = 4
    """Blocks of the fast module L."""
    mixing: Literal["mlp", "attention"] = "attention"
    positions: Literal["none", "rope", "rope2d", "learned"] = "rope"
    streams: Literal[2] = 2  # pyright: ignore[reportIncompatibleVariableOverride]
    H_cycles: PositiveInt = 2
    L_cycles: PositiveInt = 2
    tracked: PositiveInt | None = 2
    prefix: int = Field(default=1, ge=0)
    initial: Literal["gaussian", "fixed", "learned"] = "fixed"
    damping: float = Field(default=0.0, ge=0, lt=1)
    noise: float = Field(default=0.0, ge=0)


class HRMReasoner(Recursion[HRMConfig]):
    """z_L ← L(z_L; z_H + x) n times, then z_H ← H(z_H; z_L); T times; gradient in the last of each."""

    Config = HRMConfig

    def __init__(self, config: HRMConfig, shape: ProblemShape) -> None:
        super().__init__(config, shape)
        self.fast_blocks = level(config.model_copy(update={"layers": config.fast_layers}), shape)

    def slow_cycle(self) -> Updates:
        """n updates of the fast stream by L, one of the slow stream by H."""
        return (Update(FAST, (SLOW,), True),) * self.config.L_cycles + (Update(SLOW, (FAST,), False),)

    def levels(self) -> tuple[Level, ...]:
        return (self.blocks, self.fast_blocks)

    @property
    def equivalent_layers(self) -> int:
        return sum(self._layers(update) for update in self.updates)

    @property
    def tracked_layers(self) -> int:
        return sum(self._layers(update) for update in self.updates[-self.tracked_updates :])

    def _layers(self, update: Update) -> int:
        return self.config.layers if update.target == SLOW else self.config.fast_layers
