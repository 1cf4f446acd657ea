"""Statements of a paper, judged by numbers."""

import math

import pytest

from equilibria.reproduce.statements import rises, sheet, spread, told


def test_a_spread_is_students():
    found = spread([1.0, 2.0, 3.0])
    assert (found.mean, found.sd, found.runs) == (2.0, 1.0, 3)
    assert found.half == pytest.approx(4.302653 / math.sqrt(3))  # t of 2 degrees of freedom
    assert found.low == pytest.approx(2 - found.half)
    alone = spread([5.0])
    assert alone.mean == 5.0 and math.isnan(alone.sd) and math.isnan(alone.half)


def test_a_rise_is_judged_by_the_differences_of_the_same_seeds():
    clear = rises("it rises", "1 → 2", [10.0, 50.0, 90.0], [11.0, 51.1, 90.9])
    assert clear.holds and clear.sure and clear.verdict == "holds"
    assert clear.ours == "50.0 → 51.0 (+1.0 ± 0.2)"
    unsure = rises("it rises", "", [10.0, 50.0], [11.0, 50.5])
    assert unsure.holds and unsure.sure is False
    assert unsure.verdict == "holds, within the spread of the seeds"
    falls = rises("it falls", "", [10.0, 50.0, 90.0], [11.0, 51.1, 90.9], falls=True)
    assert (falls.holds, falls.sure, falls.verdict) == (False, True, "does not hold")
    alone = rises("it rises", "", [1.0], [1.0])
    assert not alone.holds and alone.sure is None and alone.verdict == "does not hold"


def test_a_seed_without_a_number_is_left_out():
    some = rises("it rises", "", [1.0, math.nan], [2.0, 5.0], ".2f")
    assert (some.ours, some.holds, some.sure) == ("1.00 → 2.00", True, None)
    assert rises("it rises", "", [math.nan], [1.0]).ours == "nothing to compare"


def test_what_does_not_hold_is_told_with_its_numbers():
    said = [rises("a", "", [1.0, 1.0], [2.0, 2.1]), rises("b", "", [2.0, 2.0], [1.0, 1.5])]
    text = told(said)
    assert text.startswith(
        "1 of 2 statements of the paper hold here, 1 of them beyond the spread of the seeds."
    )
    assert "b (2.0 → 1.2" in text and "a (" not in text
    assert told(said[:1]).endswith("of the seeds.")
    assert told([rises("a", "", [1.0], [2.0])]) == "1 of 1 statements of the paper hold here."
    assert [row["holds"] for row in sheet(said).rows] == [True, False]
    assert sheet(said).shown()[1][-1] == "does not hold, within the spread of the seeds"
