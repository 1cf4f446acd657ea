"""Numbers by their order alone: ranks, rank correlation, and groups of equally many."""

import math

import torch
from torch import Tensor


def ranks(values: Tensor) -> Tensor:
    """The place of each of `values [count]`, from 1, equal ones sharing the mean of theirs: float64.

    A value that is no number counts as infinite.
    """
    known = values.double().nan_to_num(nan=math.inf, posinf=math.inf, neginf=-math.inf)
    _, which, counts = known.unique(return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts.double() - 1) / 2)[which]


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Spearman's ρ of two `[count]`: the correlation of their ranks; NaN where either is all alike."""
    one, other = (ranked - ranked.mean() for ranked in (ranks(first), ranks(second)))
    spread = (one.square().sum() * other.square().sum()).sqrt().item()
    return (one * other).sum().item() / spread if spread else math.nan


def equal_groups(values: Tensor, groups: int) -> list[Tensor]:
    """Where `values [count]` stand, in at most so many groups by size, equally large as far as may be.

    Equal values are never split over groups, so that a value says which group it is in: there may be fewer.
    """
    place = ((ranks(values) - 0.5) * groups / max(1, len(values))).floor().long()
    return [torch.nonzero(place == number)[:, 0] for number in place.unique().tolist()]
