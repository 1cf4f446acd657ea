"""Path independence at any breadth against drawing all subsets and all single restarts."""

from itertools import combinations
from statistics import mean

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equilibria.diagnostics.metrics import path_independence
from equilibria.diagnostics.stability import path_independence_at
from equilibria.errors import DataError


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6).flatmap(
        lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1, max_size=4)
    ),
    st.data(),
)
def test_it_is_the_mean_over_subsets_and_over_the_single_one(rows, data):
    count = data.draw(st.integers(1, len(rows[0])))
    expected = mean(
        mean(abs(mean(few) - one) for few in combinations(row, count) for one in few) for row in rows
    )
    assert path_independence_at(torch.tensor(rows), count) == pytest.approx(expected, abs=1e-12)


def test_over_all_restarts_it_is_what_the_first_restart_has_on_average():
    torch.manual_seed(0)
    right = torch.rand(50, 8) < torch.rand(50, 1)
    share = right.double().mean(dim=1)
    found = path_independence_at(right, 8)
    assert found == pytest.approx((2 * share * (1 - share)).mean().item())
    turns = [path_independence(right.roll(turn, dims=1)) for turn in range(8)]  # each is first once
    assert found == pytest.approx(mean(turns))


def test_it_is_unbiased_in_the_size_of_the_pool():
    """Right with chance 0.3: B fresh restarts have 2(B − 1)/B · 0.21, from pools of any size."""
    torch.manual_seed(1)
    for restarts in (4, 32):
        right = torch.rand(100_000, restarts) < 0.3
        assert path_independence_at(right, 4) == pytest.approx(1.5 * 0.21, abs=0.003)


def test_what_depends_on_no_start_is_steady():
    right = torch.tensor([[True] * 5, [False] * 5])
    assert path_independence_at(right, 5) == 0.0
    assert path_independence_at(torch.tensor([[True], [False]]), 1) == 0.0


def test_what_cannot_be_asked():
    for count in (0, 4):
        with pytest.raises(DataError, match=f"over {count} restarts: the pool has 1 to 3"):
            path_independence_at(torch.ones(2, 3).bool(), count)
    with pytest.raises(DataError, match="at least one problem"):
        path_independence_at(torch.ones(0, 3).bool(), 2)
