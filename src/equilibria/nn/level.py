"""A level: the module F that recursion applies again and again."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from equilibria.nn.block import ReasoningBlock
from equilibria.nn.convolution import BoardConvolution, SequenceConvolution
from equilibria.nn.norm import rms_norm
from equilibria.nn.residual_scale import ResidualScale

Placement = Literal["none", "input", "output"]
Module = Callable[[Tensor, Tensor | None], Tensor]


class Level(nn.Module):
    """`F(z, i)`: convolve z, mix in the injection i, apply the blocks one after the other.

    Without residual scaling the mix is `z + i` (HRM, TRM, EqR); with it, `α₂ z + β₂ i` (FPRM).

    Args:
        blocks: in order, each with its own weights.
        convolution: replaces the tokens of z, never those of i or of the prefix, before anything else.
        scale: residual scaling of all blocks and of the mix.
        placement: where one more norm goes: on the convolved z, on the output, or nowhere.
        normalize_injection: normalise i first.
        prefix: slots before the first token.
    """

    def __init__(
        self,
        blocks: Iterable[ReasoningBlock],
        *,
        convolution: SequenceConvolution | BoardConvolution | None = None,
        scale: ResidualScale | None = None,
        placement: Placement = "none",
        normalize_injection: bool = False,
        prefix: int = 0,
    ) -> None:
        super().__init__()
        for place, block in enumerate(blocks):
            self.add_module(str(place), block)
        self.convolution = convolution
        self.scale = scale
        self.placement = placement
        self.normalize_injection = normalize_injection
        self.prefix = prefix

    def __iter__(self) -> Iterator[ReasoningBlock]:
        """The blocks, in order."""
        return (block for block in self.children() if isinstance(block, ReasoningBlock))

    def forward(self, z: Tensor, injection: Tensor | None = None) -> Tensor:
        """`z [batch, prefix + tokens, width]`, `injection` of its shape or None → z's shape and dtype."""
        if injection is not None and self.normalize_injection:
            injection = rms_norm(injection)
        if self.convolution is not None:
            z = torch.cat([z[:, : self.prefix], self.convolution(z[:, self.prefix :])], dim=1)
        if self.placement == "input":
            z = rms_norm(z)
        if self.scale is None:
            x = z if injection is None else z + injection
            for block in self:
                x = block(x)
        else:
            scales = self.scale(z)
            x = scales.alpha_2 * z
            if injection is not None:
                x = x + scales.beta_2 * injection
            for block in self:
                x = block(x, scales, z.dtype)
        return (rms_norm(x) if self.placement == "output" else x).to(z.dtype)

    def cast(self, dtype: torch.dtype) -> Module:
        """This map with its weights cast to `dtype` once, for many applications; gradients flow through.

        Residual scales stay in float32: β₁ is a quotient of small differences.
        """
        if dtype == torch.float32:
            return self
        weights = {
            name: weight if name.startswith("scale.") else weight.to(dtype)
            for name, weight in self.named_parameters()
        }
        return lambda z, injection=None: functional_call(self, weights, (z, injection))
