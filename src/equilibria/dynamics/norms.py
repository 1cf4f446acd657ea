"""How far a state is from rest, in one of four norms; each names what it is relative to."""

from typing import Literal

import torch
from torch import Tensor

Norm = Literal["l2", "relative-l2", "relative-linf", "token-linf"]


def residual(after: Tensor, before: Tensor, norm: Norm) -> Tensor:
    """How far f(z) = `after` is from z = `before`, both `[batch, ...]`: `[batch]`, detached.

    - `l2`: `‖after − before‖₂` over everything but the batch.
    - `relative-l2`: the same, divided by `‖before‖₂` (Attractor's solvers).
    - `relative-linf`: `‖after − before‖∞ / ‖after‖∞` over the whole sample (FPRM Alg. 1).
    - `token-linf`: that ratio token by token, over the channels of the last axis, and of those the largest
      (FPRM's code: a stricter test).

    float32, or float64 where the states are.
    """
    after, before = (z.detach() if z.dtype == torch.float64 else z.detach().float() for z in (after, before))
    moved = after - before
    if norm == "token-linf":
        ratio = moved.abs().amax(dim=-1) / (after.abs().amax(dim=-1) + 1e-8)
        return ratio.reshape(len(ratio), -1).amax(dim=1)
    moved = moved.flatten(1)
    if norm == "relative-linf":
        return moved.abs().amax(dim=1) / (after.flatten(1).abs().amax(dim=1) + 1e-8)
    distance = torch.linalg.vector_norm(moved, dim=1)
    if norm == "l2":
        return distance
    return distance / torch.linalg.vector_norm(before.flatten(1), dim=1).clamp(min=1e-9)


def across(row: Tensor, like: Tensor) -> Tensor:
    """`[batch]` shaped so that it broadcasts over `like [batch, ...]`."""
    return row.view(-1, *(1,) * (like.ndim - 1))
