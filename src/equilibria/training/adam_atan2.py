"""Adam-atan2 (Everett et al. 2024) as the published reasoners were trained with it."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class AdamAtan2(Optimizer):
    """Adam whose quotient m / (√v + ε) is atan2(m, √v): no ε, updates bounded by π/2 · lr.

    The published kernel corrects the bias of the first moment in the step size instead of inside atan2,
    so the very first step is ≈ lr, not lr · π/4. Decay is decoupled and comes first.

    Args:
        params: parameters, or groups of them with settings of their own.
        lr: learning rate.
        betas: decay of the first and second moment.
        weight_decay: share of lr by which parameters shrink at each step.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.95),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "count": 0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            for weight in weights:
                if not self.state[weight]:
                    self.state[weight] = {"m": torch.zeros_like(weight), "v": torch.zeros_like(weight)}
            gradients = [weight.grad for weight in weights]
            first = [self.state[weight]["m"] for weight in weights]
            second = [self.state[weight]["v"] for weight in weights]
            beta1, beta2 = group["betas"]
            group["count"] += 1
            correction1 = 1.0 - beta1 ** group["count"]
            correction2 = 1.0 - beta2 ** group["count"]

            torch._foreach_mul_(weights, 1.0 - group["lr"] * group["weight_decay"])
            torch._foreach_lerp_(first, gradients, 1.0 - beta1)
            torch._foreach_lerp_(second, torch._foreach_mul(gradients, gradients), 1.0 - beta2)
            spread = torch._foreach_sqrt(second)
            torch._foreach_div_(spread, math.sqrt(correction2))
            for m, root in zip(first, spread, strict=True):
                torch.atan2(m, root, out=root)
            torch._foreach_add_(weights, spread, alpha=-group["lr"] / correction1)
