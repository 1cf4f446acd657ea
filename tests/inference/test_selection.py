"""Which restart is believed, on pools made by hand."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equilibria.errors import EquilibriaError
from equilibria.inference.budget import Budget
from equilibria.inference.pool import Pool
from equilibria.inference.selection import SELECTIONS, votes

NAN = math.nan


def pool(answers, residual=None, change=None, halt=None):
    answers = torch.tensor(answers, dtype=torch.uint8)
    shape = answers.shape[:2]
    zeros = torch.zeros(shape)

    def scores(given):
        return zeros if given is None else torch.tensor(given)

    return Pool(answers, scores(residual), scores(change), scores(halt), zeros.long(), zeros.bool())


@pytest.mark.parametrize(
    ("rule", "field"), [("convergence", "residual"), ("logit-convergence", "change"), ("halting", "halt")]
)
def test_a_score_picks_the_best_restart_of_every_problem(rule, field):
    scores = [[3.0, 1.0, 2.0], [0.5, 4.0, 0.1]]
    if rule == "halting":
        scores = [[-score for score in row] for row in scores]
    made = pool([[[1], [2], [3]]] * 2, **{field: scores})
    assert SELECTIONS[rule](made).tolist() == [1, 2]


@pytest.mark.parametrize("rule", ["convergence", "logit-convergence", "halting", "majority"])
def test_the_first_of_equals_answers(rule):
    made = pool([[[4], [3], [3], [4]]])
    assert SELECTIONS[rule](made).tolist() == [0]


@pytest.mark.parametrize(
    ("rule", "field"), [("convergence", "residual"), ("logit-convergence", "change"), ("halting", "halt")]
)
def test_a_restart_without_a_score_is_taken_last(rule, field):
    """A trajectory that halted at once has no change of logits; one that diverged has no residual."""
    made = pool([[[1], [2], [3]], [[1], [2], [3]]], **{field: [[NAN, 2.0, 2.0], [NAN, NAN, NAN]]})
    assert SELECTIONS[rule](made).tolist() == [1, 0]


def test_infinite_scores_lose_and_win_as_they_should():
    made = pool([[[1], [2], [3]]], residual=[[math.inf, 3.4e38, 2.0]], halt=[[-math.inf, math.inf, 0.0]])
    assert SELECTIONS["convergence"](made).item() == 2
    assert SELECTIONS["halting"](made).item() == 1


def test_the_majority_is_counted_over_whole_answers():
    # Cell by cell, [1, 1] would win; no restart but the first gave it.
    made = pool([[[1, 1], [1, 2], [2, 1], [1, 2]]])
    assert SELECTIONS["majority"](made).item() == 1
    assert votes(made.answers).tolist() == [[1, 2, 1, 2]]


def test_beside_restarts_that_a_rule_ended_the_others_rested_in_vain():
    made = pool([[[1], [2], [3]]] * 2, residual=[[0.1, 3.0, 2.0]] * 2, change=[[0.1, 3.0, 2.0]] * 2)
    some = replace(made, halted=torch.tensor([[False, True, True], [False, False, False]]))
    for rule in ("convergence", "logit-convergence", "agreement"):
        assert SELECTIONS[rule](some).tolist() == [2, 0]


def test_an_agreement_weighs_votes_by_how_well_they_have_settled():
    # 2 has two votes of weight 1/4, 1 one vote of weight 1; then 2 gets a third and a fourth that settled.
    few = pool([[[1], [2], [2]]], residual=[[1.0, 4.0, 4.0]])
    assert SELECTIONS["agreement"](few).tolist() == [0]
    many = pool([[[1], [2], [2], [2], [2]]], residual=[[1.0, 4.0, 4.0, 3.0, 2.0]])
    assert SELECTIONS["agreement"](many).tolist() == [4], "of the winners, the most converged"
    lost = pool([[[1], [2], [2]]], residual=[[NAN, 4.0, 5.0]])
    assert SELECTIONS["agreement"](lost).tolist() == [1]
    rest = pool([[[1], [2]]], residual=[[0.0, 0.5]])
    assert SELECTIONS["agreement"](rest).tolist() == [0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=2), min_size=1, max_size=7))
def test_the_majority_is_the_answer_given_most_often_and_first(answers):
    counts = [answers.count(answer) for answer in answers]
    chosen = SELECTIONS["majority"](pool([answers])).item()
    assert chosen == counts.index(max(counts))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depth": 0}, "depth must be a whole number from 1 up, not 0"),
        ({"breadth": -2}, "breadth must be a whole number from 1 up, not -2"),
        ({"depth": 2.0}, "depth must be a whole number"),
        ({"halting": "never"}, "halting must be a rule such as FixedDepth\\(\\), not 'never'"),
        ({"selection": "best"}, "selection must be one of convergence, .*, not 'best'"),
        ({"tolerance": 0.0}, "tolerance must be positive"),
        ({"tolerance": NAN}, "tolerance must be positive"),
    ],
)
def test_a_budget_that_makes_no_sense_says_why(fields, message):
    with pytest.raises(EquilibriaError, match=message):
        Budget(**fields)
