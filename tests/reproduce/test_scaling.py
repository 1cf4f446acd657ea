"""EqR Tab. 4, Fig. 1, 3, 7 at toy size, and what is said of given numbers."""

from itertools import combinations

import pytest
import torch

from equilibria.reproduce import scaling
from equilibria.reproduce.scaling import ACT, BASELINE, FIXED, Size

SMALL = Size(8, 4, 4, 2)


def test_depths_and_breadths_are_run_and_drawn(setup, tiny, monkeypatch):
    monkeypatch.setitem(scaling.SIZES, "cpu", SMALL)
    made = setup(overrides=tiny)
    findings = scaling.run(made)
    sheets = {found.name: found for found in findings.sheets}
    depths = {(row["curve"], row["depth"]): row for row in sheets["depths"].rows}
    assert {depth for _, depth in depths} == {1, 2, 3, 4, 8, 12}  # trained at 3
    assert depths[FIXED, 12]["nfe"] == 12 >= depths[ACT, 12]["nfe"]
    grid = {(row["depth"], row["breadth"]): row for row in sheets["grid"].rows}
    assert grid[12, 1]["accuracy"] == pytest.approx(grid[12, 1]["average"])
    assert grid[12, 2]["residual"] <= grid[12, 1]["residual"]
    assert [(row["depth"], row["breadth"]) for row in sheets["scaling"].rows] == [
        (3, 1),
        (12, 1),
        (12, 1),
        *[(12, 2)] * 3,
    ]
    assert all(path.stat().st_size > 5000 for path in findings.pictures)


def test_the_least_residual_is_expected_over_all_subsets():
    residual = torch.tensor([[3.0, 1.0, 2.0, 5.0], [2.0, 2.0, 8.0, 4.0]])
    for count in (1, 2, 3, 4):
        least = [min(chosen) for line in residual.tolist() for chosen in combinations(line, count)]
        assert scaling.least_of(residual, count) == pytest.approx(sum(least) / len(least))


def given(seed=0, far=97.0, top=99.0):
    """Runs in which each of the paper's statements holds, but for what is changed."""
    reached = {BASELINE: (80.0, 85.0, 90.0), FIXED: (85.0, 93.0, far), ACT: (85.0, 92.0, 96.0)}
    used = {BASELINE: (16, 64, 256), FIXED: (16, 64, 256), ACT: (6, 10, 20)}
    depths = [
        {"curve": name, "seed": seed, "depth": depth, "nfe": nfe, "accuracy": accuracy, "residual": 1.0}
        for name, values in reached.items()
        for depth, nfe, accuracy in zip((16, 64, 256), used[name], values, strict=True)
    ]
    cells = [
        {
            "seed": seed,
            "depth": depth,
            "breadth": 4,
            "average": average,
            "accuracy": chosen,
            "majority": chosen,
        }
        | {"error": 100 - chosen, "residual": 10.0 / depth}
        for depth, average, chosen in ((2, 10.0, 11.0), (64, 93.0, top))
    ]
    return depths, cells


def test_each_statement_is_judged_by_its_own_numbers():
    def said(depths, cells):
        curves = scaling.over_seeds(depths, ("curve", "depth"))
        return scaling.statements(depths, cells, curves, 16, Size(8, 16, 4, 4))

    assert all(one.holds for one in said(*given()))
    worse = {one.claim: one for one in said(*given(far=92.0, top=93.5))}
    assert [claim for claim, one in worse.items() if not one.holds] == [
        "and on (16 times)",
        "breadth gains more at 64 than at 2 iterations",
    ]
    assert worse["EqR needs fewer evaluations than TRM for the same accuracy"].ours.endswith("at 90.0%")


def test_seeds_are_averaged_cell_by_cell():
    first, second = given()[0], given(seed=1, far=91.0)[0]
    rows = {
        (row["curve"], row["depth"]): row for row in scaling.over_seeds([*first, *second], ("curve", "depth"))
    }
    assert rows[FIXED, 256]["accuracy"] == 94.0
    assert rows[FIXED, 256]["seeds"] == 2
    assert "seed" not in rows[FIXED, 256]
