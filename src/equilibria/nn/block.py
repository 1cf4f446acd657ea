"""The post-norm reasoning block of HRM, TRM and EqR: mix tokens, then channels."""

from torch import Tensor, nn

from equilibria.nn.attention import Attention
from equilibria.nn.norm import rms_norm
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
        x = rms_norm(x + self.token_mixing(x), dim=self.token_mixing.axis)
        return rms_norm(x + self.channel_mixing(x))
