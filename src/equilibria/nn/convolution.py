"""Depth-wise convolutions: every channel mixes its own neighbourhood, along a sequence or on a board."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SequenceConvolution(nn.Module):
    """`y_t = Σ_j w_j ⊙ x_{t − look_back + j} (+ b)`, zeros beyond the ends.

    Args:
        width: channels, each with a filter of its own.
        kernel: taps of a filter.
        look_back: how many tokens before t the first tap sees; kernel − 1 makes it causal.
        bias: whether to add one number a channel.
    """

    def __init__(self, width: int, kernel: int, look_back: int, *, bias: bool = False) -> None:
        super().__init__()
        self.look_back = look_back
        bound = 1.0 / math.sqrt(kernel)  # PyTorch's own start of a filter with one input channel
        self.weight = nn.Parameter((2.0 * torch.rand(width, kernel) - 1.0) * bound)
        self.bias = nn.Parameter((2.0 * torch.rand(width) - 1.0) * bound) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, tokens, width]` → the same shape."""
        weight = self.weight.to(x.dtype)
        tokens, kernel = x.shape[1], weight.shape[1]
        padded = F.pad(x, (0, 0, self.look_back, kernel - 1 - self.look_back))
        # Shifted views instead of a convolution kernel: no transposed copy, and few taps.
        y = padded[:, :tokens] * weight[:, 0]
        for tap in range(1, kernel):
            y = torch.addcmul(y, padded[:, tap : tap + tokens], weight[:, tap])
        return y if self.bias is None else y + self.bias.to(x.dtype)


class BoardConvolution(nn.Module):
    """A square filter a channel on a board whose tokens are listed row by row, zeros beyond its edges.

    Args:
        board: height and width.
        width: channels.
        kernel: side of a filter, odd.
        bias: whether to add one number a channel.
    """

    def __init__(self, board: tuple[int, int], width: int, kernel: int, *, bias: bool = False) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"convolution_kernel: on a board it must be odd, not {kernel}")
        self.board = board
        bound = 1.0 / kernel
        self.weight = nn.Parameter((2.0 * torch.rand(width, kernel, kernel) - 1.0) * bound)
        self.bias = nn.Parameter((2.0 * torch.rand(width) - 1.0) * bound) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, height · width, channels]` → the same shape."""
        kernel = self.weight.shape[-1]
        planes = x.unflatten(1, self.board).permute(0, 3, 1, 2)
        weight = self.weight.to(x.dtype)[:, None]
        bias = None if self.bias is None else self.bias.to(x.dtype)
        y = F.conv2d(planes, weight, bias, padding=kernel // 2, groups=len(weight))
        return y.permute(0, 2, 3, 1).flatten(1, 2)
