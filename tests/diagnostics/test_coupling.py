"""Residual against error, on restarts whose coupling is known."""

import math

import pytest
import torch
from scipy.stats import spearmanr

from equilibria.diagnostics.coupling import coupling
from equilibria.diagnostics.metrics import auroc, interval
from equilibria.errors import DataError

NAN, INF = math.nan, math.inf


def test_where_only_the_settled_are_right_coupling_is_perfect():
    residual = torch.arange(40.0).view(4, 10)
    right = residual < 20
    found = coupling(residual, right, bins=4)
    assert found.auroc == 1.0
    assert found.rank_correlation == pytest.approx(spearmanr(range(40), [r >= 20 for r in range(40)])[0])
    assert [b.right for b in found.bins] == [1.0, 1.0, 0.0, 0.0]
    assert [(b.count, b.low, b.high, b.mean_residual) for b in found.bins] == [
        (10, 10.0 * start, 10.0 * start + 9, 10.0 * start + 4.5) for start in range(4)
    ]
    assert (found.restarts, found.diverged) == (40, 0)
    assert coupling(residual, ~right).auroc == 0.0


def test_a_known_law_is_found_again():
    """Right with chance exp(−r): bins show the law, and the AUROC is the integral of it."""
    torch.manual_seed(0)
    residual = torch.rand(2000, 10) * 3
    right = torch.rand(2000, 10) < torch.exp(-residual)
    found = coupling(residual, right, bins=5)
    inside = [abs(b.right - math.exp(-b.mean_residual)) < 0.04 for b in found.bins]
    assert all(inside)
    # P(r_right < r_wrong) = ∫ p_right(r) S_wrong(r) dr over [0, 3]; on a fine grid
    grid = (torch.arange(30000, dtype=torch.float64) + 0.5) / 10000
    hit = torch.exp(-grid)
    tail = (1 - hit).flip(0).cumsum(0).flip(0)
    expected = ((hit * tail).sum() / (hit.sum() * (1 - hit).sum())).item()
    assert found.auroc == pytest.approx(expected, abs=0.01)


def test_an_interval_counts_problems_not_restarts():
    """A hundred restarts of two problems are not a hundred witnesses."""
    found = coupling(torch.ones(2, 50), torch.tensor([[True], [False]]).expand(2, 50), bins=3)
    assert len(found.bins) == 1
    assert (found.bins[0].count, found.bins[0].right) == (100, 0.5)
    assert found.bins[0].ci95 == interval(0.5, 2)


@pytest.mark.parametrize("value", [True, False])
def test_restarts_all_alike_say_nothing(value):
    found = coupling(torch.rand(3, 4), torch.full((3, 4), value))
    assert math.isnan(found.auroc)
    assert math.isnan(found.rank_correlation)
    assert all(b.right == value for b in found.bins)


def test_a_diverged_restart_is_the_least_settled():
    residual = torch.tensor([[0.1, NAN, 0.3], [0.2, 0.4, INF]])
    right = torch.tensor([[True, False, True], [True, False, False]])
    found = coupling(residual, right, bins=2)
    assert found.auroc == 1.0
    assert found.auroc == auroc(residual.nan_to_num(9, posinf=9), right)
    assert (found.restarts, found.diverged) == (6, 2)
    assert [b.count for b in found.bins] == [2, 2]
    nothing = coupling(torch.full((1, 2), NAN), torch.tensor([[True, False]]))
    assert (nothing.bins, nothing.auroc, nothing.diverged) == ((), 0.5, 2)


def test_fewer_restarts_than_bins():
    found = coupling(torch.tensor([[1.0, 2.0, 2.0]]), torch.tensor([[True, False, True]]), bins=10)
    assert [(b.count, b.low, b.high, b.right) for b in found.bins] == [(1, 1.0, 1.0, 1.0), (2, 2.0, 2.0, 0.5)]


def test_what_cannot_be_asked():
    with pytest.raises(DataError, match=r"residuals \[2, 3\] and right answers \[2\] must have one shape"):
        coupling(torch.rand(2, 3), torch.ones(2).bool())
    with pytest.raises(DataError, match="0 bins"):
        coupling(torch.rand(2, 3), torch.ones(2, 3).bool(), bins=0)
