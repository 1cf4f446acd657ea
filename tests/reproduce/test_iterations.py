"""EqR Fig. 9, Tab. 6: one budget of layers for all, and what is said of how it is spent."""

import pytest
import torch

from equilibria.reproduce.iterations import SPLITS, at_best, attempts, run, verdict


@pytest.mark.parametrize(("scale", "budget"), [("cpu", 6), ("paper", 42)])
def test_every_split_applies_equally_many_layers_and_is_wholly_differentiated(setup, scale, budget):
    for split, attempt in zip(SPLITS[scale], attempts(setup(scale=scale)), strict=True):
        with torch.device("meta"):
            reasoner = attempt.recipe.build_reasoner(attempt.recipe.build_task())
        assert split.iterations * split.layers == budget
        assert reasoner.equivalent_layers == reasoner.tracked_layers == budget
        assert attempt.recipe.training.depth == 1


def test_a_network_is_judged_where_it_is_best_held_out():
    split = SPLITS["cpu"][1]
    points = [
        {"way": split.label, "step": step, "train": train, "held_out": held_out, "gap": held_out - train}
        for step, train, held_out in ((50, 40.0, 30.0), (100, 90.0, 20.0))
    ]
    found = at_best(split, points)
    assert (found["step"], found["held_out_error"], found["train_error"]) == (50, 70.0, 60.0)
    assert (found["budget"], found["published_as"]) == ("2×3", "2×21")


def test_the_verdict_follows_the_numbers():
    table = [
        {"held_out": held_out, "train_error": error, "gap": 0.0}
        for held_out, error in ((2.6, 6.2), (3.3, 1.8), (4.8, 3.6), (32.6, 3.8))
    ]
    said = verdict(table)  # the paper's own numbers
    assert all(": yes, " in one for one in said[:3])
    said = verdict([table[3], *table[1:3], table[0]])
    assert ": no, 32.6 → 3.3" in said[0] and ": no, " in said[1]


def test_it_is_drawn_even_where_nothing_is_learned(setup, board):
    findings = run(setup(overrides=board))
    assert len(findings.sheets[0].rows) == 4
    assert findings.pictures[0].read_bytes().startswith(b"\x89PNG")
