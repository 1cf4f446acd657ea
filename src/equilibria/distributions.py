"""The truncated normal that initialises weights and draws initial states (spec of the published code)."""

import math

import torch
from torch import Tensor

_CUT = 2.0  # the unit normal is cut at two standard deviations ...
_MASS = math.erf(_CUT / math.sqrt(2.0))  # ... which keeps this share of it ...
_DENSITY_AT_CUT = math.exp(-0.5 * _CUT * _CUT) / math.sqrt(2.0 * math.pi)
_VARIANCE = 1.0 - 2.0 * _CUT * _DENSITY_AT_CUT / _MASS  # ... and leaves this variance, which we undo.


def truncated_normal(uniform: Tensor, std: float) -> Tensor:
    """Map uniform draws to a truncated normal whose standard deviation is exactly `std`.

    Args:
        uniform: draws in (0, 1), any shape.
        std: standard deviation of the result; 0 gives zeros.

    Returns:
        Draws of the same shape, within ±2.2737 · std.
    """
    scale = std / math.sqrt(_VARIANCE)
    symmetric = (2.0 * uniform - 1.0) * _MASS
    draws = torch.erfinv(symmetric) * (math.sqrt(2.0) * scale)
    return draws.clamp_(-_CUT * scale, _CUT * scale)
