"""Evaluations for a matched accuracy, on curves that are known at every point."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equilibria.diagnostics.efficiency import Matched, evaluations_for, matched_accuracy
from equilibria.errors import DataError


@given(st.floats(0.1, 1.0), st.floats(0.01, 0.2), st.floats(0.0, 1.0))
def test_between_points_accuracy_grows_with_the_logarithm(start, slope, share):
    """On accuracy = a + b·log2(NFE) any target is met at 2^((target − a)/b), wherever the points are."""
    curve = [(2.0**exponent, start + slope * exponent) for exponent in (7, 0, 3, 4)]
    target = start + slope * 7 * share
    assert evaluations_for(curve, target) == pytest.approx(2.0 ** (7 * share), rel=1e-6)


def test_the_first_crossing_counts():
    curve = [(1, 0.1), (4, 0.5), (16, 0.3), (64, 0.9)]
    assert evaluations_for(curve, 0.3) == pytest.approx(2.0)
    assert evaluations_for(curve, 0.5) == 4
    assert evaluations_for(curve, 0.6) == pytest.approx(16 * 2.0)
    assert evaluations_for(curve, 0.9) == 64
    assert evaluations_for(curve, 0.05) == 1  # nothing is known below the first point
    assert evaluations_for(curve, 0.91) == math.inf


def test_a_reasoner_that_is_four_times_quicker():
    baseline = [(nfe, 0.2 + 0.1 * math.log2(nfe)) for nfe in (1, 8, 64)]
    other = [(nfe, 0.4 + 0.1 * math.log2(nfe)) for nfe in (1, 16)]  # the same at a quarter of the NFE
    found = matched_accuracy(baseline, other, 0.65)
    assert found.ratio == pytest.approx(4.0)
    assert found.baseline_nfe == pytest.approx(4 * found.other_nfe)
    whole = matched_accuracy(baseline, other)  # the best that both reach
    assert whole == Matched(pytest.approx(0.8), pytest.approx(64.0), pytest.approx(16.0), pytest.approx(4.0))
    assert matched_accuracy(other, baseline).ratio == pytest.approx(0.25)


def test_what_is_never_reached():
    weak, strong = [(1, 0.1), (8, 0.2)], [(1, 0.3), (8, 0.9)]
    assert matched_accuracy(weak, strong, 0.8).ratio == math.inf
    assert matched_accuracy(strong, weak, 0.8).ratio == 0.0
    assert math.isnan(matched_accuracy(weak, strong, 0.95).ratio)
    assert matched_accuracy(weak, strong) == Matched(0.2, 8, 1, 8.0)


def test_what_cannot_be_asked():
    with pytest.raises(DataError, match="at least one point"):
        matched_accuracy([], [(1, 0.5)])
    with pytest.raises(DataError, match="a point at 0 evaluations"):
        evaluations_for([(0, 0.1), (1, 0.5)], 0.3)
