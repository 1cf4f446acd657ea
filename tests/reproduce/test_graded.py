"""Ways of training: which runs there are, what is chosen on what, and what is read off a log."""

import json

import pytest

from equilibria.reproduce import runs
from equilibria.reproduce.graded import (
    FEEDFORWARD,
    Attempt,
    best_of_each,
    compared,
    grade,
    grade_all,
    logged,
    rates,
    recipe_of,
)
from equilibria.reproduce.small import variant


def row(**changes):
    return {
        **{
            "way": "SOT",
            "recipe": "path-sot",
            "rate": 1e-3,
            "seed": 0,
            "steps": 700,
            "batch": 128,
            "depth": 16,
        },
        **{"train": 90.0, "validation": 50.0, "evaluation": 60.0, "steps_lived": 16.0, "seconds": 60.0},
        **{"parameters": 10, "layers": 96},
    } | changes


def test_a_rate_is_chosen_by_validation_and_not_by_what_is_reported():
    rows = [
        row(validation=40.0, evaluation=99.0),
        row(rate=3e-3, validation=41.0, evaluation=50.0),
        row(rate=3e-3, seed=1, validation=41.0, evaluation=60.0),
        row(way="oracle", evaluation=1.0),
    ]
    found = best_of_each(rows)
    assert list(found) == ["SOT", "oracle"]
    best = found["SOT"]
    assert (best["rate"], best["evaluation"], best["spread"]) == (3e-3, 55.0, 5.0)
    assert (best["seeds"], best["rates"], best["minutes"]) == (2, 2, 1.0)


def test_a_comparison_says_what_holds_and_what_seeds_leave_open():
    low, high = ({"evaluation": value, "spread": 0.4, "seeds": 1} for value in (50.0, 50.5))
    assert compared("More helps", low, high) == "More helps: yes, 50.0% and 50.5%."
    assert "no, 50.5% and 50.0%." in compared("More helps", high, low)
    assert "within the spread" in compared("More helps", low | {"seeds": 2}, high | {"seeds": 2})


def test_feed_forward_recipes_are_cut_down_without_cycles_and_others_as_everywhere():
    forward = recipe_of(FEEDFORWARD, "cpu", 1, ("reasoner.layers=3",), ())
    assert (forward.reasoner.layers, forward.reasoner.width, forward.training.seed) == (3, 64, 1)
    assert recipe_of(FEEDFORWARD, "paper", 0, (), ()).reasoner.layers == 42
    assert recipe_of("path-sot", "cpu", 0, (), ()) == variant("cpu", 0, base="path-sot")


def test_a_rate_that_is_asked_for_is_the_only_one():
    assert rates((1e-3, 3e-3), ()) == ["training.optimizer.lr=0.001", "training.optimizer.lr=0.003"]
    assert rates((1e-3, 3e-3), ("training.optimizer.lr=5e-4", "training.steps=2")) == [
        "training.optimizer.lr=5e-4"
    ]


def test_lines_of_one_step_are_one_row(tmp_path):
    lines = [{"step": 50, "exact": 0.1}, {"step": 50, "held_out_exact": 0.2}, {"step": 100, "exact": 0.3}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert logged(tmp_path) == [
        {"step": 50, "exact": 0.1, "held_out_exact": 0.2},
        {"step": 100, "exact": 0.3},
    ]


def test_a_run_is_trained_once_and_graded_in_the_order_asked_for(recipe, setup, monkeypatch):
    todo = [Attempt("one", recipe), Attempt("two", recipe, within="apart")]
    said = []
    first = grade_all(todo, setup(say=said.append))
    assert [line["way"] for line in first] == ["one", "two"]
    assert said[-1].startswith("2 of 2: two")
    assert first[0]["layers"] == recipe.training.depth * 2
    assert first[0]["steps_lived"] <= recipe.training.depth
    assert (setup().cache / "apart" / first[1]["folder"] / "accuracy.json").is_file()
    monkeypatch.setattr(runs, "train", lambda *a, **o: pytest.fail("trained again"))
    again = grade(todo[0], setup().cache, "cpu")
    assert again["evaluation"] == first[0]["evaluation"]
