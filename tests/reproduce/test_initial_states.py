"""EqR Tab. 10 and App. A.3 at toy size."""

import pytest

from equilibria.reproduce import initial_states
from equilibria.reproduce.cells import TRM, WITH_RI
from equilibria.reproduce.initial_states import Size, starts, sweep_cell
from equilibria.reproduce.small import variant

SWEEP = {sigma: initial_states.SWEEP[sigma] for sigma in ((1, 1), (1, 0), (0, 1))}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(initial_states.SIZES, "cpu", Size(10, 4, 2))
    monkeypatch.setattr(initial_states, "SWEEP", SWEEP)
    monkeypatch.setattr(initial_states, "SIGMAS", (0, 1, 4))


def test_every_start_and_spread_is_trained_and_drawn(small, setup, tiny):
    made = setup(overrides=tiny)
    findings = initial_states.run(made)
    first, sigmas, _, runs = findings.sheets
    assert [row["start"] for row in first.rows[:4]] == [
        "TRM",
        "TRM, all tracked",
        "+ RI, all tracked",
        "learned, all tracked",
    ]
    assert len(runs.rows) == 4 + len(SWEEP)
    assert len({row["folder"] for row in runs.rows}) == len(runs.rows)  # no two of them are one
    assert [row["sigma"] for row in sigmas.rows] == [0, 1, 4]
    assert sigmas.rows[0]["residual"] != sigmas.rows[2]["residual"]
    assert findings.pictures[0].stat().st_size > 5000


@pytest.mark.parametrize(("scale", "every"), [("cpu", 6), ("paper", 21)])
def test_a_learned_start_is_in_reach_of_gradients(scale, every):
    tracked = starts(variant(scale, 0))
    recipe = variant(scale, 0, tracked["learned"].changes)
    assert recipe.reasoner.model_dump()["tracked"] == every
    assert {cell.changes[-1] for cell in tracked.values() if "learned" not in cell.label} == {
        f"reasoner.tracked={every}"
    }


def test_a_spread_of_one_is_the_cell_that_other_reproductions_train():
    assert sweep_cell(1, 1) == WITH_RI
    assert "reasoner.sigma_L=8" in sweep_cell(1, 8).changes


def test_each_statement_is_judged_by_its_own_numbers(small):
    tracked = starts(variant("cpu", 0))
    exact = {TRM.label: 80.0, WITH_RI.label: 82.0, sweep_cell(1, 0).label: 81.0, sweep_cell(0, 1).label: 79.0}
    exact |= dict(zip((cell.label for cell in tracked.values()), (80.0, 83.0, 79.0), strict=True))
    found = [{"method": method, "exact": value} for method, value in exact.items()]
    sigmas = [{"sigma": 0.5, "average": 84.0}, {"sigma": 1.0, "average": 82.0}]
    said = initial_states.statements(found, sigmas, tracked)
    assert [one.holds for one in said] == [True, True, True, True, False, False, False]
    assert said[-1].ours == "82.0 at 1, 84.0 at 0.5"
