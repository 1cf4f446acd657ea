"""The post-norm reasoning block of HRM, TRM and EqR: mix tokens, then channels."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from equilibria.nn.attention import Attention
from equilibria.nn.norm import add_norm
from equilibria.nn.swiglu import SwiGLU, TokenMixer


class ReasoningBlock(nn.Module):
    """`x ← norm(x + mix_tokens(x)); x ← norm(x + mix_channels(x))`.

    Token mixing is self-attention, or an MLP over tokens whose norm also runs over tokens.
    """

    def __init__(self, token_mixing: Attention | TokenMixer, channel_mixing: SwiGLU) -> None:
        super().__init__()
        self.token_mixing = token_mixing
        self.channel_mixing = channel_mixing

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, tokens, width]` → the same shape."""
        x = add_norm(x, self.token_mixing(x), dim=self.token_mixing.axis)
        return add_norm(x, self.channel_mixing(x))


class BlockStack(nn.ModuleList):
    """Blocks one after the other: the map F of a level."""

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, tokens, width]` → the same shape."""
        for block in self:
            x = block(x)
        return x

    def cast(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """This map with its weights cast to `dtype` once, for many applications; gradients flow through."""
        if dtype == torch.float32:
            return self
        weights = {name: weight.to(dtype) for name, weight in self.named_parameters()}
        return lambda x: functional_call(self, weights, (x,))
