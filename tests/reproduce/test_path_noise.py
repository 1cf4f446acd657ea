"""EqR Tab. 12, 13 at toy size."""

import pytest

from equilibria.reproduce import path_noise
from equilibria.reproduce.cells import EQR
from equilibria.reproduce.path_noise import CELLS, LEARNED, LOUDER, LOUDEST, Size


def test_every_noise_is_trained_tried_and_drawn(setup, tiny, monkeypatch):
    monkeypatch.setitem(path_noise.SIZES, "cpu", Size(8, 4, 4, 2))
    made = setup(overrides=tiny)
    findings = path_noise.run(made)
    noise, restarts, changed, _, breadth = findings.sheets
    assert len(noise.rows) == len(CELLS)
    assert [row["restarts"] for row in restarts.rows] == [1, 2, 4]
    settings = {(row["noise"], row["damping"]) for row in changed.rows}
    assert len(settings) == len(changed.rows) == len(path_noise.BETAS) + len(path_noise.LAMBDAS) - 1
    assert sum(row["own"] for row in changed.rows) == 1
    loud = {row["noise"]: row["residual"] for row in changed.rows if row["damping"] == 0.05}
    assert loud[0.0] < loud[0.2]
    assert len(breadth.rows) == 3 * len(CELLS)
    assert findings.pictures[0].stat().st_size > 5000


def row(cell, exact, top):
    points = [{"restarts": 1, "convergence": exact}, {"restarts": 4, "convergence": top}]
    return {"method": cell.label, "exact": exact, "breadth": points}


def test_each_statement_is_judged_by_its_own_numbers():
    found = [row(EQR, 80.0, 90.0), row(LOUDER, 79.0, 0.0), row(LOUDEST, 81.0, 0.0), row(LEARNED, 82.0, 91.0)]
    changed = [
        {"own": True, "noise": 0.01, "damping": 0.05, "convergence": 88.0, "oracle": 90.0},
        {"own": False, "noise": 0.1, "damping": 0.05, "convergence": 87.0, "oracle": 92.0},
        {"own": False, "noise": 0.01, "damping": 0.5, "convergence": 99.0, "oracle": 99.0},
    ]
    said = path_noise.statements(found, changed, Size(8, 4, 4, 2))
    assert [one.holds for one in said] == [False, True, True, True, False]
    assert said[2].ours == "10.0 → 9.0"
    assert said[3].ours == "90.0 → 92.0 at β = 0.1"


@pytest.mark.parametrize("count", [16, 2048])
def test_published_numbers_stand_beside_the_same_number_of_restarts(count):
    points = [{"restarts": count, "convergence": 50.0}]
    found = [{"method": cell.label, "breadth": points} for cell in (EQR, LEARNED)]
    (line,) = path_noise.over_restarts(found)
    assert (line["published_learned"], line["published_fixed"]) == path_noise.RESTARTS[count]
