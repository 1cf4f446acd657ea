"""Where rules stop easy and hard puzzles: on their own, as groups, and what is said of it."""

import pytest
import torch

from equilibria.reproduce import halting_by_difficulty
from equilibria.reproduce.following import Followed
from equilibria.reproduce.halting_by_difficulty import (
    ACT,
    FIXED,
    GROUPS,
    MODELS,
    REPRODUCTION,
    Stop,
    halted,
    rows_of,
    statements,
)

NAN = float("nan")


@pytest.fixture
def followed():
    """Two puzzles over four iterations: one rests at the second, one never; signals come one later."""
    right = torch.tensor([[0, 0], [1, 0], [1, 0], [0, 1]]).bool()
    residual = torch.tensor([[0.5, 0.9], [0.05, 0.3], [0.05, 0.14], [0.05, 0.11]])
    logit = torch.tensor([[-1.0, -1.0], [-1.0, -1.0], [1.0, -1.0], [1.0, 2.0]])
    return Followed(right, residual, logit)


def test_every_puzzle_stops_where_its_own_signal_comes_and_else_at_the_end(followed):
    spent, right, ever = halted(followed, Stop.of("FPRM", followed, 4).rests)
    assert (spent.tolist(), right.tolist(), ever.tolist()) == ([2, 4], [True, True], [True, False])
    spent, right, ever = halted(followed, Stop.of(ACT, followed, 4).rests)
    assert (spent.tolist(), right.tolist(), ever.tolist()) == ([3, 4], [True, True], [True, True])
    spent, right, _ = halted(followed, Stop.of(FIXED, followed, 3).rests)
    assert (spent.tolist(), right.tolist()) == ([3, 3], [True, False])


def test_a_group_stops_by_its_mean_residual_or_when_more_than_half_signal(followed):
    assert Stop.of("FPRM", followed, 4).together.tolist() == [False, False, True, True]
    assert Stop.of(ACT, followed, 4).together.tolist() == [False, False, False, True]
    assert Stop.of(FIXED, followed, 2).together.tolist() == [False, True, True, True]


def test_rows_count_blocks_and_say_where_no_group_stops(followed):
    where, empty = [torch.tensor([0]), torch.tensor([1])], torch.tensor([20.0, 25.0])
    easy, hard = rows_of("FPRM", followed, where, empty, 3, 4)
    assert (easy["group"], easy["empty_low"], easy["layers"], easy["group_layers"]) == ("easy", 20.0, 6.0, 6)
    assert (hard["group"], hard["layers"], hard["group_layers"], hard["halted"]) == (
        "medium",
        12.0,
        None,
        0.0,
    )
    assert hard["accuracy"] == hard["best_accuracy"] == 100.0


def test_both_are_trained_followed_and_drawn(setup, board, monkeypatch):
    monkeypatch.setattr(halting_by_difficulty, "BUDGET", {"cpu": 12})
    monkeypatch.setattr(halting_by_difficulty, "PROBLEMS", {"cpu": 24})
    surroundings = setup()
    places = {"out": surroundings.out, "cache": surroundings.cache, "device": "cpu", "say": str}
    findings = REPRODUCTION.make("cpu", (*board, "training.depth=4"), **places, jobs=1)
    rows = findings.sheets[0].rows
    assert list(dict.fromkeys(row["model"] for row in rows)) == list(MODELS)
    assert {row["layers"] for row in rows if row["model"] == FIXED} == {24.0}  # 4 iterations of 6 blocks
    assert all(row["layers"] <= 24.0 for row in rows)
    for name in ("halting-points.png", "adaptivity.png"):
        assert (surroundings.out / name).read_bytes()[:4] == b"\x89PNG"


def test_statements_compare_groups_and_models():
    def row(model, place, **changes):
        known = {
            "model": model,
            "group": GROUPS[place],
            "problems": 10,
            "accuracy": 80.0,
            "best_accuracy": 81.0,
        }
        spent = {"layers": 50.0 + 10 * place, "group_layers": 60.0, "group_accuracy": 80.0}
        return known | spent | changes

    cheap = {"accuracy": 90.0, "group_accuracy": 80.5}
    table = [row(model, place) | (cheap if model == "FPRM" else {}) for model in MODELS for place in range(3)]
    dear = [r | {"layers": 2 * r["layers"]} if r["model"] == ACT else r for r in table]
    follows = {"FPRM": [0.5, 0.7], FIXED: [NAN, NAN], ACT: [0.3, 0.3]}
    said = statements(dear, follows)
    assert all(one.holds for one in said)
    assert "ρ = 0.60" in said[0].ours
    flat = [r | {"layers": 50.0, "accuracy": 70.0, "group_layers": None} for r in table]
    said = statements(flat, follows)
    assert not any(one.holds for one in said)
    assert said[2].ours == "no group halts within the budget"
