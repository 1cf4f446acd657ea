"""Exponential moving average of the weights: what is evaluated and shipped."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class ExponentialAverage:
    """shadow ← μ · shadow + (1 − μ) · weight, after every optimizer step; μ = 0 follows the weights.

    Args:
        weights: the parameters to average, in a fixed order.
        decay: μ in [0, 1).
    """

    def __init__(self, weights: list[nn.Parameter], decay: float) -> None:
        self.weights = weights
        self.decay = decay
        self.shadow = [weight.detach().clone() for weight in weights]

    @torch.no_grad()
    def update(self, follow: bool = False) -> None:
        """Take in the current weights; all of them where the average is still to `follow`."""
        share = 1.0 if follow else 1.0 - self.decay
        torch._foreach_lerp_(self.shadow, [weight.detach() for weight in self.weights], share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the model computes with the averaged weights."""
        raw = [weight.detach().clone() for weight in self.weights]
        self.store(self.shadow)
        try:
            yield
        finally:
            self.store(raw)

    def store(self, values: list[Tensor]) -> None:
        """Give the model these weights."""
        torch._foreach_copy_([weight.detach() for weight in self.weights], values)
