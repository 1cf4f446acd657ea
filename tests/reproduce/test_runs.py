"""Runs are trained once, go on where they were cut off, and are told apart by what determines them."""

import json
import os
import time

import pytest
import torch

from equilibria.errors import TrainingError
from equilibria.recipes import parse_recipe
from equilibria.reproduce import runs
from equilibria.reproduce.runs import CachedRun, Remaining, side_by_side


def changed(recipe, *overrides):
    return parse_recipe(recipe.to_yaml(), overrides)


def weights(pipeline):
    return pipeline.reasoner.state_dict()


def refuse(*arguments, **options):
    raise AssertionError("this was to be read from the cache")


def test_a_finished_run_is_read_and_not_trained_again(recipe, tmp_path, monkeypatch):
    first, seconds = CachedRun.of(recipe, tmp_path).trained("cpu")
    assert seconds > 0
    monkeypatch.setattr(runs, "train", refuse)
    again, same = CachedRun.of(recipe, tmp_path).trained("cpu")
    assert same == seconds
    torch.testing.assert_close(weights(again), weights(first), rtol=0, atol=0)


@pytest.mark.parametrize(
    "change", ["training.seed=1", "training.steps=5", "training.optimizer.lr=1e-2", "data.count=41"]
)
def test_whatever_changes_the_weights_changes_the_folder(recipe, tmp_path, change):
    assert CachedRun.of(recipe, tmp_path).folder != CachedRun.of(changed(recipe, change), tmp_path).folder


def test_how_a_run_is_watched_does_not_change_the_folder(recipe, tmp_path):
    watched = changed(recipe, "training.log_every=7", "training.save_every=3")
    assert CachedRun.of(recipe, tmp_path).folder == CachedRun.of(watched, tmp_path).folder


def test_a_run_that_was_cut_off_goes_on_and_ends_as_if_it_had_not_been(recipe, tmp_path, monkeypatch):
    whole, _ = CachedRun.of(recipe, tmp_path / "whole").trained("cpu")
    train = runs.train
    monkeypatch.setattr(runs, "train", lambda *a, **o: train(*a, **o, minutes=1e-9))
    run = CachedRun.of(recipe, tmp_path / "cut")
    for _ in range(2):  # without time it saves, and stops before the next step
        with pytest.raises(TrainingError, match="the same command goes on"):
            run.trained("cpu")
    monkeypatch.setattr(runs, "train", train)
    resumed, _ = run.trained("cpu")
    torch.testing.assert_close(weights(resumed), weights(whole), rtol=0, atol=0)


def test_a_result_is_kept_with_the_question_it_answers(recipe, tmp_path):
    run = CachedRun.of(recipe, tmp_path)
    assert run.once("score", {"depth": 1}, lambda: {"accuracy": 0.5}) == {"accuracy": 0.5}
    assert run.once("score", {"depth": 1}, refuse) == {"accuracy": 0.5}
    assert run.once("score", {"depth": 2}, lambda: {"accuracy": 0.7}) == {"accuracy": 0.7}


def test_a_write_that_is_cut_off_leaves_the_old_result(recipe, tmp_path, monkeypatch):
    run = CachedRun.of(recipe, tmp_path)
    run.once("score", {"depth": 1}, lambda: {"accuracy": 0.5})

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        run.once("score", {"depth": 2}, lambda: {"accuracy": 0.7})
    assert json.loads((run.folder / "score.json").read_text())["found"] == {"accuracy": 0.5}
    assert [file.name for file in run.folder.iterdir()] == ["score.json"]


def test_one_job_works_here_and_in_order():
    assert list(side_by_side(os.getenv, ["HOME", "PATH"], 1)) == [
        ("HOME", os.getenv("HOME")),
        ("PATH", os.getenv("PATH")),
    ]


@pytest.mark.slow
def test_several_jobs_work_beside_each_other():
    began = time.perf_counter()
    done = list(side_by_side(time.sleep, [1.5, 0.5], 2))
    assert [seconds for seconds, _ in done] == [0.5, 1.5]
    assert time.perf_counter() - began > 1.5


def test_what_remains_is_told_by_what_was_worked_on():
    remaining = Remaining(4)
    assert remaining.finish(0.1, 2) == "1 of 4"  # it was cached, and says nothing
    assert remaining.finish(600, 2) == "2 of 4, about 10 min to go"
    remaining.finish(600, 2)
    assert remaining.finish(600, 2) == "4 of 4"
