"""How far an answer depends on where a trajectory starts: path independence at any breadth (EqR Eq. 22)."""

import torch
from torch import Tensor

from equilibria.errors import DataError


def path_independence_at(right: Tensor, count: int) -> float:
    """Δ_PI(B) = E |mean accuracy over B restarts − accuracy of one of them| (EqR Eq. 22); lower is steadier.

    The expectation is over problems, over which B of the pool's N restarts make the mean, and over which of
    these is the single one. If k of the B are right, the single one is right k times in B and then differs by
    1 − k/B, and by k/B otherwise: 2·k/B·(1 − k/B) on average. With c of N right and B of them drawn,
    E[k(B − k)] = B(B − 1)·c(N − c) / (N(N − 1)), so that

        Δ_PI(B) = mean over problems of 2·(B − 1)/B · c(N − c) / (N(N − 1)).

    This is unbiased for B fresh restarts. For B = N it is 2p(1 − p) with p = c/N, the expectation of
    `metrics.path_independence` (the first restart against all) over the order of the restarts; that one is a
    single draw of it.

    Args:
        right: bool `[problems, restarts]`.
        count: B, from 1 (where it is 0) to the number of restarts.

    Raises:
        DataError: there are fewer restarts than that, or no problems.
    """
    problems, restarts = right.shape
    if not problems:
        raise DataError("path independence needs at least one problem")
    if not 1 <= count <= restarts:
        raise DataError(f"path independence over {count} restarts: the pool has 1 to {restarts}")
    if count == 1:
        return 0.0
    hits = right.sum(dim=1).to(torch.float64)
    apart = hits * (restarts - hits) / (restarts * (restarts - 1))  # a right and a wrong one, in this order
    return (2 * (count - 1) / count * apart.mean()).item()
