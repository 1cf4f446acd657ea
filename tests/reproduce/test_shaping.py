"""EqR Tab. 3, 11, Fig. 8, App. A.6 at toy size, and what is said of given numbers."""

import pytest

from equilibria.reproduce import shaping
from equilibria.reproduce.cells import CELLS, EQR, TRM, WITH_NI, WITH_RI
from equilibria.reproduce.shaping import Size

SMALL = Size(20, 8, 4)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(shaping.SIZES, "cpu", SMALL)


def test_all_cells_are_trained_tried_and_drawn(small, setup, tiny):
    told: list[str] = []
    made = setup(overrides=tiny, say=told.append)
    findings = shaping.run(made)
    sheets = {found.name: found for found in findings.sheets}
    assert [row["method"] for row in sheets["shaping"].rows] == [cell.label for cell in CELLS]
    assert len(told) == 4 + 2 * shaping.MORE_SEEDS
    assert [row["seeds"] for row in sheets["stability"].rows] == [3, 3]
    by_method = {row["method"]: row for row in sheets["shaping"].rows}
    assert by_method[TRM.label]["path_independence_own"] is None  # its restarts would be one
    assert by_method[WITH_NI.label]["path_independence_own"] is not None
    rules = {row["rule"] for row in sheets["breadth"].rows}
    assert {"average", "majority", "convergence", "oracle"} <= rules
    assert {row["restarts"] for row in sheets["breadth"].rows} == {1, 2, 4}
    assert all(path.stat().st_size > 5000 for path in findings.pictures)
    assert all(found.csv() and (not found.columns or found.shown()) for found in findings.sheets)


def row(method, seed, **changes):
    points = [
        {"rule": rule, "restarts": count, "accuracy": 50.0 + place}
        for place, rule in enumerate(shaping.RULES)
        for count in SMALL.counts
    ]
    base = {
        "method": method,
        "seed": seed,
        "exact": 50.0 + seed,
        "path_independence": 1.0,
        "auroc": 0.5,
        "auroc_logits": 0.5,
    }
    return base | {"breadth": points} | changes


def test_each_statement_is_judged_by_its_own_numbers():
    better = {"exact": 60.0, "path_independence": 0.1, "auroc": 0.9}
    found = [row(TRM.label, seed) for seed in range(2)]
    found += [row(WITH_RI.label, seed, exact=55.0 + seed) for seed in range(2)]
    found += [row(EQR.label, seed, **better) for seed in range(2)]
    said = {one.claim: one for one in shaping.statements(found, found, SMALL)}
    assert said["RI raises accuracy"].sure and said["RI raises accuracy"].holds
    assert said["EqR is above TRM over 2 seeds"].ours.startswith("50.5 → 60.0")
    assert said["seeds of EqR spread less than those of TRM (sd)"].ours == "0.71 → 0.00"
    assert said["RI + NI lowers ΔPI(4)"].holds and not said["RI lowers ΔPI(4)"].holds
    assert said["EqR: Top-1 of 4 is above the majority"].holds
    assert not said["TRM: Top-1 of 4 is below the majority"].holds
    assert not said["EqR's best rule is above TRM's, of 4"].holds
