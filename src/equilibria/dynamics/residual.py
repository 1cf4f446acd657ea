"""How far a state is from rest."""

import torch
from torch import Tensor


def distance(after: Tensor, before: Tensor) -> Tensor:
    """`‖after − before‖₂` over everything but the batch, in float32: `[batch, ...]` twice → `[batch]`.

    Between consecutive states this is the residual of the earlier one, up to the path noise drawn in
    between, at no extra evaluation (EqR Sec. 4.1).
    """
    return torch.linalg.vector_norm((after - before).flatten(1).float(), dim=1)
