"""Which optimizer moves which parameter, and how fast."""

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from equilibria.reasoners.interface import Reasoner
from equilibria.training.adam_atan2 import AdamAtan2
from equilibria.training.sign_sgd import SparseSignSGD


class OptimizerConfig(BaseModel):
    """Optimizer and learning-rate schedule."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["adam-atan2", "adamw", "muon"] = "adam-atan2"
    lr: float = Field(default=1e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = Field(default=1.0, ge=0)
    muon_lr: float = Field(default=0.02, gt=0)
    """Muon only: learning rate of the hidden matrices; `lr` is AdamW's, for everything else."""
    muon_momentum: float = 0.95
    warmup: int = Field(default=2000, ge=0)
    """Steps of linear warm-up."""
    min_ratio: float = Field(default=1.0, ge=0, le=1)
    """Share of the learning rate left at the end of a cosine decay; 1: constant."""
    clip: float | None = Field(default=None, gt=0)
    """Largest global gradient norm; None: not clipped."""
    identity_lr: float = Field(default=1e-4, gt=0)
    """Learning rate of puzzle-identity tables (sparse sign-SGD)."""
    identity_weight_decay: float = Field(default=1.0, ge=0)


def is_hidden_matrix(name: str, weight: nn.Parameter) -> bool:
    """Whether Muon should move it: a matrix between the embedding and the heads (Jordan et al. 2024).

    Filters of a depth-wise convolution are rows of numbers, not a matrix.
    """
    return weight.ndim == 2 and not any(part in name for part in ("embedding", "head", "convolution"))


def build_optimizers(reasoner: Reasoner[Any], config: OptimizerConfig) -> list[Optimizer]:
    """Sparse sign-SGD for identity tables first, as published, then the optimizer of everything else."""
    optimizers: list[Optimizer] = []
    if tables := reasoner.identity_parameters():
        optimizers.append(SparseSignSGD(tables, config.identity_lr, config.identity_weight_decay))
    dense = {id(weight) for weight in reasoner.dense_parameters()}
    named = [(name, weight) for name, weight in reasoner.named_parameters() if id(weight) in dense]
    spared = {id(weight) for weight in reasoner.undecayed_parameters()}

    def groups(weights: list[nn.Parameter]) -> list[dict[str, Any]]:
        """Those that are decayed, then those that are not, where there are any."""
        decayed = [weight for weight in weights if id(weight) not in spared]
        others = [weight for weight in weights if id(weight) in spared]
        kept = [{"params": others, "weight_decay": 0.0}] if others else []
        return [{"params": decayed}, *kept]

    weights = groups([weight for _, weight in named])
    if config.name == "adam-atan2":
        optimizers.append(AdamAtan2(weights, config.lr, config.betas, config.weight_decay))
    elif config.name == "adamw":
        optimizers.append(AdamW(weights, config.lr, config.betas, weight_decay=config.weight_decay))
    else:
        matrices = [weight for name, weight in named if is_hidden_matrix(name, weight)]
        rest = groups([weight for name, weight in named if not is_hidden_matrix(name, weight)])
        optimizers.append(Muon(matrices, config.muon_lr, config.weight_decay, config.muon_momentum))
        optimizers.append(AdamW(rest, config.lr, config.betas, weight_decay=config.weight_decay))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return optimizers


def rate(step: int, steps: int, config: OptimizerConfig, restarted: int = 0) -> float:
    """Share of the base rate at `step` (the first is 1): linear warm-up, then cosine to `min_ratio`.

    An optimizer that `restarted` with no memory after so many steps is warmed up once more.
    """
    warm = min(1.0, (step - restarted) / config.warmup) if config.warmup else 1.0
    if step < config.warmup:
        return warm
    progress = (step - config.warmup) / max(1, steps - config.warmup)
    half_cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return warm * (config.min_ratio + max(0.0, (1.0 - config.min_ratio) * half_cosine))


def set_rate(optimizers: list[Optimizer], ratio: float) -> None:
    """Scale every learning rate from its base."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * ratio
