"""Rows of word problems, drawn as the published state-tracking data are, and their prefix products."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equilibria.errors import DataError
from equilibria.tasks.permutations.group import Group

CHUNK = 65_536  # rows drawn at a time; the generator's stream does not depend on it


def draw_rows(group: Group, length: int, count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """`count` distinct rows of `length` random elements, as tokens: uint8 [count, length].

    In the published order: as many rows as are missing are drawn at once, and those not seen before are kept,
    until none is missing. So a smaller count gives the first rows of a larger one. Raises DataError where
    there are not as many rows.
    """
    there = group.size**length
    if count > there:
        raise DataError(
            f"{group.name} has {there:,} different problems of length {length}, not {count:,}: "
            f"ask for fewer, or for a greater length"
        )
    rows: dict[bytes, None] = {}  # a dict keeps the order in which rows first came
    while missing := count - len(rows):
        for start in range(0, missing, CHUNK):
            block = rng.integers(0, group.size, size=(min(CHUNK, missing - start), length))
            tokens = (block + 1).astype(np.uint8)  # no zeros, which bytes of this type would drop at the end
            rows.update(dict.fromkeys(tokens.view(f"S{length}")[:, 0].tolist()))
    return np.array(list(rows), f"S{length}").view(np.uint8).reshape(count, length)


def draw_mixed(
    group: Group, lengths: range, count: int, rng: np.random.Generator, width: int
) -> NDArray[np.uint8]:
    """`count` distinct rows of all `lengths` in random order, padded with 0: uint8 [count, width].

    The count is divided equally; what a length has no different rows for goes to the greater ones.
    """
    parts: list[NDArray[np.uint8]] = []
    missing = count
    for position, length in enumerate(lengths):
        share = missing // (len(lengths) - position)
        if length != lengths[-1]:
            share = min(share, group.size**length)
        part = draw_rows(group, length, share, rng)
        parts.append(np.pad(part, ((0, 0), (0, width - length))))
        missing -= share
    return rng.permutation(np.concatenate(parts))


def products(group: Group, inputs: Tensor) -> Tensor:
    """The product up to each position, s_j = s_{j-1}·g_j, as tokens like `inputs` [count, tokens].

    A pad multiplies by nothing, and has the label 0.
    """
    cayley = torch.from_numpy(group.cayley).to(inputs.device).flatten()
    state = torch.zeros(len(inputs), dtype=torch.int32, device=inputs.device)  # element 0 is the identity
    result = torch.empty_like(inputs)
    for position in range(inputs.shape[1]):
        element = inputs[:, position].int().sub_(1).clamp_(min=0)
        state = cayley[state * group.size + element].int()
        result[:, position] = (state + 1).to(inputs.dtype)
    return result.mul_(inputs > 0)
