"""EqR Tab. 7, Fig. 11: where anchors are, and what is said of accuracies and residuals."""

from equilibria.reproduce.anchors import END, FULL, WAYS, run, verdict
from equilibria.reproduce.training_dynamics import TERMINAL, TRAJECTORY, attempts


def test_anchors_are_those_of_the_paper(setup):
    by_way = {one.way: one.recipe.training for one in attempts(WAYS, setup())}
    assert by_way["terminal loss"].schedule.name == "terminal"
    firsts = {way: training.schedule.first for way, training in by_way.items() if way != "terminal loss"}
    assert firsts == {"full anchors 1:16": 1, "late anchors 8:16": 8, "late anchors 12:16": 12}
    assert {(training.depth, training.batch) for training in by_way.values()} == {(16, 8)}


def test_two_rows_are_runs_of_the_training_dynamics(setup):
    ours = [one.recipe for one in attempts((END, FULL), setup())]
    assert ours == [one.recipe for one in attempts((TERMINAL, TRAJECTORY), setup())]


def test_the_verdict_holds_of_the_papers_own_numbers():
    rows = {
        way.name: {"way": way.name, "evaluation": way.accuracy, "spread": 0.0, "seeds": 1} for way in WAYS
    }
    flat = [{"iteration": place, "residual": max(20.0 - 2 * place, 4.0)} for place in range(1, 17)]
    said = verdict(rows, flat)
    assert all(": yes, " in one for one in said[:3])
    assert "full anchors 1:16 47.1% < late anchors 8:16 51.4%" in said[3]
    assert "falls by 12.00 from iteration 2 to 8 and by 0.00 from 8 to 12 (to 4.00)" in said[4]
    assert said[4].endswith("yes.")
    assert verdict(rows, [row | {"residual": 20.0 - row["iteration"]} for row in flat])[4].endswith("no.")


def test_it_is_made_with_the_residual_of_every_iteration(setup, board):
    findings = run(setup(overrides=(*board, "training.optimizer.lr=1e-3")))
    assert [row["way"] for row in findings.sheets[0].rows] == [way.name for way in WAYS]
    residuals = [row["residual"] for row in findings.sheets[1].rows]
    assert len(residuals) == 16 and min(residuals) > 0
    assert findings.pictures[0].read_bytes().startswith(b"\x89PNG")
