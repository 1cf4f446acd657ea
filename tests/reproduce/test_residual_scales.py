"""The sweep of residual scales: what is trained, what is read off it, what is said of it."""

import pytest

from equilibria.reproduce import residual_scales
from equilibria.reproduce.boards import board, trials
from equilibria.reproduce.residual_scales import (
    OWN,
    PAIRS,
    PUBLISHED,
    REPRODUCTION,
    statements,
    summary,
    variant,
)
from equilibria.reproduce.runs import CachedRun


def found(accuracy, first=(0.4, 0.7, 0.9), second=(0.1, 0.2, 0.3)):
    spent = {"layers": 20.0, "iterations": 20.0, "parameters": 1000}
    return {"accuracy": accuracy, "alpha_1": list(first), "alpha_2": list(second)} | spent


def test_nine_reasoners_begin_at_nine_pairs():
    recipes = [board("paper", 0, variant(pair)).reasoner.model_dump() for pair in PAIRS.values()]
    assert len(PAIRS) == 9
    assert [(own["alpha_1"], own["alpha_2"]) for own in recipes] == list(PAIRS.values())
    assert variant(OWN).changes == ()


def test_a_run_tells_its_accuracy_and_what_scales_it_learned(setup, board):
    (trial,) = trials([variant((0.5, 0.75))], setup(overrides=board))
    row = residual_scales.measure(trial, CachedRun.of(trial.recipe, setup().cache), "cpu", "cpu")
    assert 0.0 <= row["accuracy"] <= 100.0
    assert len(row["alpha_1"]) == len(row["alpha_2"]) == 16
    assert row["alpha_1"] == sorted(row["alpha_1"])
    assert row["alpha_1"][0] == pytest.approx(0.5, abs=0.05)
    assert row["alpha_2"][0] == pytest.approx(0.75, abs=0.05)
    assert row["alpha_2"][0] != row["alpha_2"][-1]  # they are learned


def test_statements_hold_of_the_published_table():
    table = [summary(pair, [found(accuracy)]) for pair, accuracy in PUBLISHED.items()]
    said = statements(table, found(94.2))
    assert all(one.holds for one in said)
    assert "90.4% and 87.4%" in said[1].ours


def test_statements_fail_where_the_numbers_say_otherwise():
    table = [summary(pair, [found(100.0 - accuracy)]) for pair, accuracy in PUBLISHED.items()]
    other = found(1.0, first=(0.3, 0.31, 0.32), second=(0.3, 0.6, 0.9))
    assert not any(one.holds for one in statements(table, other))


def test_table_pictures_and_files_are_made(setup, board, monkeypatch):
    monkeypatch.setattr(residual_scales, "measure", lambda trial, run, device, scale: found(50.0))
    surroundings = setup()
    places = {"out": surroundings.out, "cache": surroundings.cache, "device": "cpu", "say": str}
    findings = REPRODUCTION.make("cpu", board, **places, seeds=2, jobs=1)
    assert len(findings.sheets[0].rows) == 9
    assert findings.sheets[0].rows[0]["seeds"] == 2
    for name in ("residual-scales.png", "distribution.png"):
        assert (surroundings.out / name).read_bytes()[:4] == b"\x89PNG"
    assert len((surroundings.out / "scales.csv").read_text(encoding="utf-8").splitlines()) == 1 + 9 * 2 * 2
