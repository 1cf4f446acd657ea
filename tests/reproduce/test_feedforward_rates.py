"""EqR App. D.2: what is said of curves at several rates, and that they are drawn."""

from equilibria.reproduce import feedforward_rates
from equilibria.reproduce.feedforward_rates import ends, run, verdict


def point(way, rate, step, train, held_out):
    return {"way": way, "rate": rate, "step": step, "train": train, "held_out": held_out}


def test_the_end_and_the_best_of_a_curve_are_told_apart():
    points = [
        *(point("2", 1e-3, 50, 10.0, 8.0), point("2", 1e-3, 100, 95.0, 3.0)),
        *(point("16", 1e-3, 50, 50.0, 1.0), point("16", 1e-3, 100, 80.0, 2.0)),
    ]
    table = ends(points)
    assert [(row["train"], row["held_out"], row["best"], row["best_step"]) for row in table] == [
        (95.0, 3.0, 8.0, 50),
        (80.0, 2.0, 2.0, 100),
    ]
    said = verdict(table)
    assert "fits (at least 90%) at 1 of 1" in said[0] and "at 0 of 1" in said[1]
    assert "8.0% (2, rate 0.001, step 50)" in said[2] and "does not make" in said[2]
    assert "other than published" in verdict([table[0] | {"best": 60.0}])[-1]


def test_curves_are_made(setup, board, monkeypatch):
    monkeypatch.setitem(feedforward_rates.DEPTHS, "cpu", (1, 2))
    findings = run(setup(overrides=(*board, "training.optimizer.lr=1e-3")))
    assert [(row["way"], row["step"]) for row in findings.sheets[0].rows] == [
        ("1 layers", 2),
        ("2 layers", 2),
    ]
    assert findings.pictures[0].read_bytes().startswith(b"\x89PNG")
