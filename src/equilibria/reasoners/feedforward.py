"""The feed-forward baseline: L distinct blocks applied once, nothing tied, nothing to settle (EqR Tab. 2)."""

from pydantic import PositiveInt
from torch import Tensor

from equilibria.dynamics.residual import distance
from equilibria.reasoners.blocks import BlockConfig, BlockReasoner
from equilibria.reasoners.interface import Condition, Noise, Step


class FeedForwardConfig(BlockConfig):
    """`layers` is the depth of the network."""

    family: str = "feedforward"
    layers: PositiveInt = 42


class FeedForwardReasoner(BlockReasoner[FeedForwardConfig]):
    """z ← F_L(… F_1(x)): the blocks of the recursive family, each with its own weights."""

    Config = FeedForwardConfig
    max_depth = 1

    def initial_state(self, condition: Condition, noise: Noise) -> Tensor:
        """Zeros: the network does not read its state."""
        return condition.x.new_zeros(len(condition.x), *self.state_shape)

    def iterate(
        self, state: Tensor, condition: Condition, *, tracked: int | None = None, noise: Noise = None
    ) -> Step:
        """The whole network; it reads the condition alone, so iterating again changes nothing."""
        after = self.blocks(condition.x).unsqueeze(1)
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
