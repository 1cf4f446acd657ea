"""EqR Tab. 5 at toy size: the same trajectories stopped in different ways."""

import pytest

from equilibria.reproduce import act
from equilibria.reproduce.act import ACT, ADAPTIVE, FIXED, OWN


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(act.SCALES, "cpu", ("sudoku-6x6", (act.Part((4, 8), (1, 2), 24),)))


def test_every_budget_has_its_rows_and_stopping_early_costs_less(small, setup):
    made = setup()
    (sheet,) = act.run(made).sheets
    rows = {(row["depth"], row["breadth"], row["rule"]): row for row in sheet.rows}
    rules = {FIXED, ACT, OWN}
    assert {key for key in rows if key[1] == 1} == {(depth, 1, rule) for depth in (4, 8) for rule in rules}
    assert {rule for _, breadth, rule in rows if breadth == 2} == rules | {ADAPTIVE}
    for depth, breadth, rule in rows:
        row, fixed = rows[depth, breadth, rule], rows[depth, breadth, FIXED]
        assert fixed["nfe"] == depth * breadth
        assert row["nfe"] <= fixed["nfe"]
        assert row["saved"] == pytest.approx(fixed["nfe"] / row["nfe"])
    # At depth 8 nearly all are settled, so the second restart is hardly ever begun.
    assert rows[8, 2, ADAPTIVE]["nfe"] < rows[8, 2, OWN]["nfe"] < rows[8, 2, FIXED]["nfe"]
    assert rows[8, 2, ADAPTIVE]["accuracy"] > 90
    assert (made.out / "act.png").read_bytes().startswith(b"\x89PNG")


def test_published_numbers_stand_beside_ours_only_where_they_belong():
    right, nfe = [True, False], [3, 5]
    assert act.row(64, 128, FIXED, right, nfe)["published_accuracy"] == 97.9
    assert act.row(64, 128, ACT, right, nfe)["published_nfe"] == 1400.6
    assert act.row(64, 128, ADAPTIVE, right, nfe)["published_nfe"] is None
    assert act.row(64, 16, FIXED, right, nfe)["published_nfe"] is None
    found = act.row(16, 1, OWN, right, nfe)
    assert (found["accuracy"], found["nfe"], found["published_accuracy"]) == (50.0, 4.0, None)
