"""Random initial states: drawn per trajectory, element by element (EqR's RI; FPRM)."""

import torch
from torch import Tensor

from equilibria.dynamics.noise import NoiseSource

_INITIAL_STREAM = 1 << 20  # draws of initial states, far from the update numbers that key path noise


def draw_states(
    noise: NoiseSource, shape: tuple[int, ...], sigmas: tuple[float, ...], dtype: torch.dtype
) -> Tensor:
    """Truncated normal states, one stream for each standard deviation: `[batch, streams, *shape]`."""
    draws = [
        noise.truncated_normal(_INITIAL_STREAM + stream, shape, sigma, dtype)
        for stream, sigma in enumerate(sigmas)
    ]
    return torch.stack(draws, dim=1)
