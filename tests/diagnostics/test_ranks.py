"""Ranks, their correlation and groups, against SciPy and by counting."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from equilibria.diagnostics.ranks import equal_groups, rank_correlation, ranks

NAN, INF = math.nan, math.inf
numbers = st.lists(st.integers(0, 6), min_size=2, max_size=30)


@given(numbers)
def test_ranks_and_their_correlation_are_those_of_scipy(values):
    first = torch.tensor(values)
    second = (first * 7) % 5
    assert ranks(first).numpy().tolist() == rankdata(values).tolist()
    found = rank_correlation(first, second)
    if len(first.unique()) == 1 or len(second.unique()) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(first.numpy(), second.numpy()).statistic, abs=1e-12)


@given(numbers, st.integers(1, 8))
def test_groups_hold_everything_once_in_order_and_split_no_value(values, groups):
    found = [{values[row] for row in rows.tolist()} for rows in equal_groups(torch.tensor(values), groups)]
    rows = torch.cat(equal_groups(torch.tensor(values), groups)).tolist()
    assert sorted(rows) == list(range(len(values)))
    assert len(found) <= groups
    for low, high in pairwise(found):
        assert max(low) < min(high)


@pytest.mark.parametrize(("count", "groups"), [(100, 6), (7, 7), (3, 10), (0, 4)])
def test_groups_of_distinct_values_are_equally_large(count, groups):
    sizes = [len(rows) for rows in equal_groups(torch.randperm(count), groups)]
    assert len(sizes) == min(count, groups)
    assert not sizes or max(sizes) - min(sizes) <= 1


def test_what_is_no_number_is_infinite():
    assert ranks(torch.tensor([NAN, 1.0, INF, -INF])).tolist() == [3.5, 2.0, 3.5, 1.0]


def test_many_ranks_are_exact():
    """Single precision would lose digits here, in the sums of squares."""
    values = torch.arange(100_000).flip(0)
    assert rank_correlation(values, -values) == pytest.approx(-1.0, abs=1e-12)
