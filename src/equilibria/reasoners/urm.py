"""The Universal Reasoning Model: one stream, convolutional SwiGLUs, truncated loops (Gao et al. 2025).

The slow cycles of the recursive family remain as the border where gradients begin: there is no slow update.
"""

from typing import Literal

from pydantic import Field, PositiveInt

from equilibria.reasoners.recursive import SLOW, Recursion, RecursiveConfig, Update, Updates


class URMConfig(RecursiveConfig):
    """The published sizes."""

    family: str = "urm"
    layers: PositiveInt = 4
    mixing: Literal["mlp", "attention"] = "attention"
    positions: Literal["none", "rope", "rope2d", "learned"] = "rope"
    channel_convolution: PositiveInt | None = 2
    streams: Literal[1] = 1  # pyright: ignore[reportIncompatibleVariableOverride]
    H_cycles: PositiveInt = 2
    L_cycles: PositiveInt = 6
    prefix: int = Field(default=1, ge=0)
    initial: Literal["gaussian", "fixed", "learned"] = "fixed"
    damping: float = Field(default=0.0, ge=0, lt=1)
    noise: float = Field(default=0.0, ge=0)


class URMReasoner(Recursion[URMConfig]):
    """h ← F(h + x) n times, T times over; gradient in the last n."""

    Config = URMConfig

    def slow_cycle(self) -> Updates:
        """n updates, all with the problem injected."""
        return (Update(SLOW, (), True),) * self.config.L_cycles
