"""Metrics over restarts against counting them out, and against numbers from textbooks."""

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equilibria.diagnostics.metrics import (
    auroc,
    averaged,
    interval,
    most_converged,
    pass_at,
    path_independence,
)

rows_of_restarts = st.integers(1, 7).flatmap(
    lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1, max_size=5)
)


@settings(max_examples=60, deadline=None)
@given(rows_of_restarts, st.data())
def test_pass_at_k_is_the_share_of_draws_with_a_right_one(correct, data):
    k = data.draw(st.integers(1, len(correct[0])))
    expected = []
    for row in correct:
        draws = list(combinations(row, k))
        expected.append(sum(any(draw) for draw in draws) / len(draws))
    assert pass_at(torch.tensor(correct), k).tolist() == pytest.approx(expected, abs=1e-12)


def test_pass_at_k_needs_as_many_restarts():
    for k in (0, 4):
        with pytest.raises(ValueError, match=f"pass@{k} needs 1 to 3 restarts"):
            pass_at(torch.ones(2, 3, dtype=torch.bool), k)


def test_pass_at_k_is_exact_for_many_restarts():
    correct = torch.zeros(1, 128, dtype=torch.bool)
    correct[0, 5] = True
    assert pass_at(correct, 64).item() == pytest.approx(0.5, abs=1e-15)


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_are_the_published_ones(right, count, low, high):
    assert interval(right / count, count) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 500), st.integers(1, 500))
def test_an_interval_holds_its_share_and_solves_the_score_equation(right, count):
    share = min(right, count) / count
    low, high = interval(share, count)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1
    for end in (low, high):
        if 1e-9 < end < 1 - 1e-9:
            assert abs(share - end) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / count), rel=1e-5)


def test_an_interval_over_nothing_says_nothing():
    assert interval(math.nan, 0) == (0.0, 1.0)


def test_path_independence_is_the_mean_gap_between_one_restart_and_all():
    correct = torch.tensor([[1, 1, 1, 1], [0, 1, 1, 1], [1, 0, 0, 0]]).bool()
    assert path_independence(correct) == pytest.approx((0 + 0.75 + 0.75) / 3)
    assert path_independence(correct[:, :1]) == 0.0


def test_auroc_is_the_chance_that_a_right_restart_has_the_lower_residual():
    residual = torch.tensor([[1.0, 2.0, 3.0], [2.0, 5.0, 0.5]])
    correct = torch.tensor([[True, False, True], [True, False, False]])
    pairs = [(r, w) for r in (1.0, 3.0, 2.0) for w in (2.0, 5.0, 0.5)]
    expected = sum(1.0 if r < w else 0.5 if r == w else 0.0 for r, w in pairs) / len(pairs)
    assert auroc(residual, correct) == pytest.approx(expected)


@pytest.mark.parametrize("value", [True, False])
def test_auroc_of_restarts_all_alike_is_not_a_number(value):
    assert math.isnan(auroc(torch.rand(2, 3), torch.full((2, 3), value)))


def test_averaged_and_most_converged():
    correct = torch.tensor([[True, False, True, False]])
    assert averaged(correct).tolist() == [0.5]
    score = torch.tensor([[2.0, 1.0, 1.0, 3.0]])
    assert most_converged(correct, score, 3).tolist() == [[False, True, True]]
