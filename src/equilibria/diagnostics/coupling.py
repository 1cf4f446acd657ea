"""Whether what has settled is right: the residual of restarts against their errors (EqR Fig. 1)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from equilibria.diagnostics.metrics import auroc, interval
from equilibria.diagnostics.ranks import equal_groups, rank_correlation, ranks
from equilibria.errors import DataError


@dataclass(frozen=True)
class ResidualBin:
    """Restarts of similar residual.

    Attributes:
        count: of them.
        low: the least residual.
        high: the greatest.
        mean_residual: their mean.
        right: the share that is right.
        ci95: its 95% interval (Wilson), over the problems that they are restarts of: two restarts of one
            problem are right or wrong together more often than not.
    """

    count: int
    low: float
    high: float
    mean_residual: float
    right: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class Coupling:
    """How far a low residual and a right answer go together.

    Attributes:
        auroc: chance that of a right restart and a wrong one the right one has the lower residual; ½ is
            none, NaN where all are right or all wrong.
        rank_correlation: Spearman's ρ of the residual with the error (0 or 1); NaN likewise. It cannot reach
            1 (errors are ties), and is smaller the rarer errors are; compare reasoners by the AUROC.
        bins: by residual, equally many restarts each as far as may be, the most settled first.
        restarts: in all.
        diverged: of them, those whose residual is no finite number. They are in no bin, and count as the
            least settled elsewhere.
    """

    auroc: float
    rank_correlation: float
    bins: tuple[ResidualBin, ...]
    restarts: int
    diverged: int


def coupling(residual: Tensor, right: Tensor, bins: int = 10) -> Coupling:
    """What the residual tells of the error, over all restarts of all problems.

    Args:
        residual: `[problems, restarts]`, the mean over the last iterations (EqR App. D.3), as in a `Pool`.
        right: bool `[problems, restarts]`.
        bins: how many, at most; equal residuals are in one bin.

    Raises:
        DataError: the shapes differ, or no bin is asked for.
    """
    if residual.shape != right.shape or residual.ndim != 2:
        raise DataError(
            f"residuals {list(residual.shape)} and right answers {list(right.shape)} must have one shape, "
            "[problems, restarts]"
        )
    if bins < 1:
        raise DataError(f"{bins} bins of residuals: ask for at least one")
    flat, correct = residual.double().flatten(), right.bool().flatten()
    problem = torch.arange(len(residual)).repeat_interleave(residual.shape[1])
    settled = flat.isfinite()
    sizes, hits, owner = flat[settled], correct[settled], problem[settled]
    # Ranks in place of residuals, because infinite ones are refused where the AUROC is computed.
    return Coupling(
        auroc(ranks(flat), correct),
        rank_correlation(flat, (~correct).double()),
        tuple(_bin(sizes[rows], hits[rows], owner[rows]) for rows in equal_groups(sizes, bins)),
        len(flat),
        int((~settled).sum()),
    )


def _bin(residual: Tensor, right: Tensor, problem: Tensor) -> ResidualBin:
    share = right.double().mean().item()
    return ResidualBin(
        len(residual),
        residual.min().item(),
        residual.max().item(),
        residual.mean().item(),
        share,
        interval(share, len(problem.unique())),
    )
