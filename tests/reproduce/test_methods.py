"""EqR Tab. 1: what is compared, with what in common, and what is said of it."""

import pytest

from equilibria.reproduce import feedforward_rates, iterations, methods
from equilibria.reproduce.methods import FORWARD, ITERATIVE, attempts, run, verdict

FEW = ("data.count=20", "data.held_out_count=8")


def test_all_methods_share_puzzles_steps_and_rate_and_iterate_over_six_layers(setup):
    todo = attempts(setup(overrides=FEW))
    assert [one.way for one in todo[:3]] == [f"feed-forward, {n} layers" for n in (2, 6, 16)]
    assert [one.way for one in todo[3:]] == ["HRM", "TRM", "URM", "EqR"]
    same = {
        (one.training.steps, one.training.batch, one.training.optimizer.lr, one.task["box"] == [2, 3])
        for one in (attempt.recipe for attempt in todo)
    }
    assert same == {(700, 128, 0.003, True)}
    for attempt in todo[3:]:
        assert attempt.recipe.build_reasoner(attempt.recipe.build_task()).equivalent_layers == 6
        assert attempt.recipe.training.depth == 16
    assert todo[6].recipe.reasoner.initial == "gaussian" and todo[4].recipe.reasoner.initial == "fixed"


def test_published_recipes_are_run_as_published(setup):
    recipes = [one.recipe for one in attempts(setup(scale="paper"))]
    assert [recipe.name for recipe in recipes[3:]] == [f"{m}-sudoku" for m in ("hrm", "trm", "urm", "eqr")]
    assert [recipe.reasoner.layers for recipe in recipes[:3]] == [4, 16, 64]


def test_feed_forward_runs_are_those_of_the_other_reproductions(setup):
    here = setup(overrides=FEW)
    shallow, middle, deep = attempts(here)[:3]
    forward = iterations.attempts(here)[0]
    assert forward.run(here.cache).folder == middle.run(here.cache).folder
    rates = feedforward_rates.attempts(here)
    assert len(rates) == 6
    folders = [one.run(here.cache).folder for one in rates]
    assert folders[1] == shallow.run(here.cache).folder
    assert folders[4] == deep.run(here.cache).folder


def line(way, evaluation):
    return {"way": way, "evaluation": evaluation, "spread": 0.0, "seeds": 1}


def test_the_verdict_compares_the_worst_reasoner_with_the_best_network():
    table = [line("2", 1.0), line("6", 20.0), line("16", 5.0)]
    table += [line("HRM", 60.0), line("TRM", 90.0), line("URM", 10.0), line("EqR", 80.0), line("more", 95.0)]
    said = verdict(table, len(FORWARD))
    assert "(URM)" in said[0] and "(6): no, 20.0% and 10.0%." in said[0]
    assert "yes, 1.0% and 5.0%" in said[1]
    assert "URM 10.0 < HRM 60.0 < EqR 80.0 < TRM 90.0" in said[2]
    assert "yes, 80.0% and 95.0%" in said[3]


@pytest.mark.slow
def test_the_table_is_made(setup, board, monkeypatch):
    monkeypatch.setitem(methods.SCALED, "cpu", (4, 2, 8))
    findings = run(setup(overrides=board))
    table = findings.sheets[0].rows
    assert len(table) == len(FORWARD) + len(ITERATIVE) + 1
    assert table[-1]["way"] == "EqR at (4, 2)" and table[-1]["published"] == 99.8
    assert table[-2]["published"] is None
    assert findings.pictures[0].read_bytes().startswith(b"\x89PNG")
