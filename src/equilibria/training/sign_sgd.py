"""Sign descent on the rows of a table that a batch touched (TRM's and HRM's puzzle identities)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class SparseSignSGD(Optimizer):
    """w ← w · (1 − lr · decay) − lr · sign(Σ g), on touched rows only; gradients of one row are summed.

    Args:
        params: tables with sparse gradients (`nn.Embedding(sparse=True)`).
        lr: learning rate.
        weight_decay: share of lr by which a touched row shrinks.
    """

    def __init__(self, params: Iterable[Tensor], lr: float = 1e-2, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every touched row."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is None:
                    continue
                gradient = table.grad.coalesce()
                rows = gradient.indices()[0]
                kept = table[rows] * (1.0 - group["lr"] * group["weight_decay"])
                table[rows] = kept.add_(gradient.values().sign(), alpha=-group["lr"])
