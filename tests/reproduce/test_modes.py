"""EqR Fig. 6 at toy size; pictures and statements of given landscapes."""

import pytest

from equilibria.reproduce import modes
from equilibria.reproduce.cells import CELLS, EQR, TRM
from equilibria.reproduce.modes import Size


def test_the_landscape_of_every_problem_is_found_in_each_cell(setup, tiny, monkeypatch):
    monkeypatch.setitem(modes.SIZES, "cpu", Size(4, 3))
    monkeypatch.setattr(modes, "MEMORY", 1)  # one problem at a time
    made = setup(overrides=tiny)
    findings = modes.run(made)
    table, _, problems = findings.sheets
    assert [row["method"] for row in table.rows] == [cell.label for cell in CELLS]
    assert len(problems.rows) == 4 * len(CELLS)
    for row in table.rows:
        assert sum(row[letter] for letter in "abcd") == pytest.approx(100)
        assert row["p_correct"] + row["p_wrong"] + row["p_unsettled"] == pytest.approx(100)
    assert len(findings.pictures) == 1 + len({row["mode"] for row in problems.rows})
    assert all(path.stat().st_size > 5000 for path in findings.pictures)


def row(method, mode, problem=0, p_correct=0.5, p_wrong=0.2, seed=0):
    about = {"method": method, "seed": seed, "mode": mode, "problem": problem}
    return about | {"p_correct": p_correct, "p_wrong": p_wrong}


def test_moves_between_modes_are_judged():
    rows = [row(TRM.label, "b"), row(TRM.label, "a"), row(EQR.label, "d", p_wrong=0.0), row(EQR.label, "d")]
    said = modes.statements(rows)
    assert [one.holds for one in said] == [True, True, True]
    assert said[1].ours == "50.0 → 0.0"


def test_an_example_is_typical_of_its_mode():
    done = [("first", [row("", "d", 3, 0.6), row("", "d", 5, 0.9), row("", "d", 7, 1.0)])]
    done.append(("second", [row("", "d", 1, 0.9), row("", "a", 2, 0.0)]))
    assert modes.examples(done) == {"a": ("second", 2), "d": ("first", 5)}
