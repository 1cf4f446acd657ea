"""Word problems at lengths never trained on: what is trained, what is tested, what is said of it."""

import csv
from functools import partial

import pytest

from equilibria.pipeline import Pipeline
from equilibria.recipes import load_recipe
from equilibria.reproduce import state_tracking
from equilibria.reproduce.state_tracking import (
    MODELS,
    REPRODUCTION,
    attempts,
    lengths,
    summary,
    verdict,
)

TINY = (
    *("task.group=S3", "task.length=4", "reasoner.width=16", "reasoner.heads=2", "reasoner.channel_inner=32"),
    *("data.count=60", "data.held_out_count=16", "training.steps=2", "training.batch=8"),
    *("training.evaluate_every=100", "training.save_every=100"),
)


def row(model, length, **changes):
    return {
        **{
            "model": model,
            "group": "Z60",
            "trained_length": 8,
            "length": length,
            "problems": 10,
            "seconds": 60.0,
        },
        **{"final_state": 50.0, "whole_sequence": 40.0, "iterations": float(length), "layers": 2.0 * length},
        **{"halted": 100.0},
    } | changes


def test_lengths_double_up_to_four_times_the_trained_one():
    assert lengths(8) == (2, 4, 8, 16, 32)
    assert lengths(16) == (2, 4, 8, 16, 32, 64)
    assert lengths(4)[-1] == 16


@pytest.mark.parametrize("scale", ["cpu", "paper"])
def test_both_reasoners_are_trained_on_the_same_problems_for_every_seed(setup, scale):
    todo = attempts(setup(scale=scale, seeds=2))
    assert [attempt.name for attempt in todo[:2]] == [MODELS[0].recipe[scale], MODELS[1].recipe[scale]]
    assert [attempt.recipe.training.seed for attempt in todo] == [0, 0, 1, 1]
    assert len({attempt.recipe.data for attempt in todo}) == 1
    assert len({str(attempt.recipe.task) for attempt in todo}) == 1
    assert len({attempt.recipe.training.batch for attempt in todo}) == 1


def test_a_run_is_trained_once_tested_every_way_and_drawn(setup, monkeypatch):
    monkeypatch.setattr(state_tracking, "PROBLEMS", 8)
    surroundings = setup(overrides=TINY)
    places = {"out": surroundings.out, "cache": surroundings.cache}
    make = partial(REPRODUCTION.make, "cpu", TINY, **places, seeds=1, jobs=1, device="cpu", say=str)
    findings = make()
    text = (surroundings.out / "state-tracking.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == len(MODELS) * len(lengths(4)) == len(findings.sheets[0].rows)
    assert {r["model"] for r in rows} == {model.label for model in MODELS}
    fixed = [r for r in rows if r["model"] == "TRM + conv"]
    assert {float(r["iterations"]) for r in fixed} == {16.0}
    assert all(float(r["layers"]) <= state_tracking.LAYERS for r in rows)
    assert (surroundings.out / "state-tracking.png").read_bytes()[:4] == b"\x89PNG"
    monkeypatch.setattr("equilibria.reproduce.runs.train", None)  # a second call trains nothing
    assert make().sheets[0].rows == findings.sheets[0].rows


def test_a_reasoner_that_halts_spends_less_than_its_budget(setup):
    recipe = load_recipe(
        "fprm-words-cpu", [*TINY, "training.solver.threshold=1e9", "inference.halting.tolerance=1e9"]
    )
    task = recipe.build_task()
    pipeline = Pipeline(recipe.build_reasoner(task).eval(), task, recipe)
    found = state_tracking.tested(pipeline, task, 4, MODELS[0])
    assert found["iterations"] == 1.0
    assert found["halted"] == 100.0
    assert 0.0 <= found["final_state"] <= 100.0


def test_seeds_are_summed_up_and_the_verdict_says_whether_compute_follows_length():
    both = summary([row("FPRM", 8, final_state=100.0), row("FPRM", 8, final_state=98.0)])
    assert both["final_state"] == 99.0
    assert both["spread"] == 1.0
    assert both["seeds"] == 2
    table = [summary([row("FPRM", length)]) for length in (2, 4, 8, 16, 32)]
    assert "iterations grow with length (2.0, 4.0, 8.0)" in verdict(table)
    assert "50.0% at 16, 50.0% at 32" in verdict(table)
    table[1]["iterations"] = 1.0
    assert "do not grow throughout" in verdict(table)
