"""One budget, spent on supervision steps or on cycles within them."""

import pytest

from equilibria.reproduce import supervision_steps
from equilibria.reproduce.supervision_steps import CYCLES, REPRODUCTION, iterations, statement


@pytest.mark.parametrize(("cycles", "steps"), [((3, 6), 25), ((1, 2), 173), ((6, 12), 7)])
def test_the_budget_of_the_paper_is_met_as_nearly_as_may_be(cycles, steps):
    assert iterations(cycles, 2, 1040) == steps
    assert abs(steps * cycles[0] * (cycles[1] + 1) * 2 - 1040) <= cycles[0] * (cycles[1] + 1)


def test_one_trained_reasoner_is_run_with_all_cycles(setup, board, monkeypatch):
    monkeypatch.setattr(supervision_steps, "BUDGET", {"cpu": 80})
    monkeypatch.setattr(supervision_steps, "PROBLEMS", {"cpu": 4})
    surroundings = setup()
    places = {"out": surroundings.out, "cache": surroundings.cache, "device": "cpu", "say": str}
    findings = REPRODUCTION.make("cpu", board, **places, jobs=1)
    rows = findings.sheets[0].rows
    assert {(r["H_cycles"], r["L_cycles"]) for r in rows} == {(2, 2), *CYCLES}
    assert [r["trained"] for r in rows] == [(r["H_cycles"], r["L_cycles"]) == (2, 2) for r in rows]
    for r in rows:
        assert r["layers"] == r["steps"] * r["H_cycles"] * (r["L_cycles"] + 1)
    assert (surroundings.out / "supervision-steps.png").read_bytes()[:4] == b"\x89PNG"
    assert len(list(surroundings.cache.glob("*/trained"))) == 1


def test_what_was_trained_with_another_ratio_is_left_out_of_the_statement():
    def row(cycles, steps, accuracy):
        about = {"H_cycles": cycles[0], "L_cycles": cycles[1], "steps": steps}
        return about | {"accuracy": accuracy, "low": accuracy - 3.0, "high": accuracy + 2.0}

    table = [row((1, 2), 100, 80.0), row((2, 2), 50, 99.0), row((2, 4), 30, 70.0)]
    assert statement(table).holds
    assert statement(table).ours == "30: 70.0%, 100: 80.0%, each ±2.5 by the number of puzzles"
    assert not statement([*table, row((3, 6), 15, 85.0)]).holds
