"""Accuracy of restarts: pure functions on "which restart was right" and "what each scored" (EqR App. D.3)."""

import math

import torch
from torch import Tensor


def exactly_right(answers: Tensor, labels: Tensor) -> Tensor:
    """Whether all cells of `[..., tokens]` that have a label (not 0) are right: bool `[...]`."""
    return ((answers == labels) | (labels == 0)).all(dim=-1)


def averaged(correct: Tensor) -> Tensor:
    """Share of restarts exactly right (EqR Eq. 19): `[problems, restarts]` → `[problems]`."""
    return correct.double().mean(dim=1)


def pass_at(correct: Tensor, k: int) -> Tensor:
    """Chance that at least one of k restarts, drawn without return, is right: 1 − C(n−c, k) / C(n, k).

    `correct [problems, restarts]` → `[problems]`; k from 1 to the number of restarts.
    """
    n = correct.shape[1]
    if not 1 <= k <= n:
        raise ValueError(f"pass@{k} needs 1 to {n} restarts")
    # A restart short of n − c wrong ones cannot miss; comb(a, k) is 0 for a < k.
    missed = [math.comb(n - right, k) / math.comb(n, k) for right in correct.sum(dim=1).tolist()]
    return 1.0 - torch.tensor(missed, dtype=torch.float64)


def chosen(correct: Tensor, which: Tensor) -> Tensor:
    """Whether the restart `which [problems]` of each problem is right, as 0 or 1: → `[problems]`."""
    return correct.gather(1, which[:, None]).squeeze(1).double()


def most_converged(correct: Tensor, score: Tensor, k: int) -> Tensor:
    """Whether the k restarts of least score are right, best first: → `[problems, k]`."""
    return correct.gather(1, score.argsort(dim=1, stable=True)[:, :k])


def path_independence(correct: Tensor) -> float:
    """Δ_PI(B) = E |mean accuracy over B restarts − accuracy of one| (EqR Eq. 22); lower is steadier."""
    return (averaged(correct) - correct[:, 0].double()).abs().mean().item()


def auroc(residual: Tensor, correct: Tensor) -> float:
    """How well a low residual tells right from wrong: 1 perfectly, ½ not at all, NaN if all are alike."""
    right = correct.flatten()
    if right.all() or not right.any():
        return math.nan
    from sklearn.metrics import roc_auc_score  # slow to import, and only this needs it

    return float(roc_auc_score(right.numpy(), -residual.flatten().double().numpy()))


def interval(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95% confidence interval of a share over `count` independent problems."""
    if count == 0:
        return (0.0, 1.0)
    z2 = 1.959963984540054**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    spread = math.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count * count))) / (1 + z2 / count)
    return (max(0.0, centre - spread), min(1.0, centre + spread))
