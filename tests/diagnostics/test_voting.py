"""Votes over the variants of a puzzle: who comes first, what counts as right, and a whole vote."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equilibria.diagnostics import voting
from equilibria.diagnostics.metrics import interval
from equilibria.diagnostics.voting import (
    attempts,
    first_puzzles,
    passes,
    rank,
    score,
    submission,
    vote,
    voters,
)
from equilibria.errors import DataError
from equilibria.inference.engine import Engine
from equilibria.recipes import load_recipe
from equilibria.tasks import Problems
from equilibria.tasks.arc.canvas import decode
from equilibria.tasks.sudoku import Sudoku


def grid(*rows):
    return np.array(rows, dtype=np.uint8)


A, B, C = grid([1]), grid([1, 1]), grid([1], [1])  # B and C have the same bytes


def ranked(*answers):
    found = rank([cells for cells, _ in answers], [sure for _, sure in answers])
    return [(one.grid.tolist(), one.votes, round(one.score, 6)) for one in found]


def test_the_most_frequent_grid_comes_first():
    assert ranked((A, 0.9), (B, 0.1), (B, 0.2)) == [([[1, 1]], 2, 0.15), ([[1]], 1, 0.9)]
    assert ranked() == []


def test_of_equally_frequent_grids_the_surer_comes_first_on_the_average():
    assert [cells for cells, _, _ in ranked((A, 0.6), (B, 0.9), (A, 0.6), (B, 0.2))] == [[[1]], [[1, 1]]]
    assert [cells for cells, _, _ in ranked((A, 0.1), (B, 0.9), (A, 0.1), (B, 0.2))] == [[[1, 1]], [[1]]]


def test_of_equal_ones_the_first_comes_first():
    assert [cells for cells, _, _ in ranked((C, 0.5), (A, 0.5), (B, 0.5))] == [[[1], [1]], [[1]], [[1, 1]]]


def test_no_grid_is_no_vote_and_no_halting_head_is_no_score():
    assert ranked((None, 0.9), (A, math.nan), (None, 0.9)) == [([[1]], 1, 0.0)]


@given(st.lists(st.tuples(st.sampled_from([A, B, C, None]), st.floats(0, 1)), max_size=30))
def test_a_ranking_is_sorted_and_loses_no_vote(answers):
    found = rank([cells for cells, _ in answers], [sure for _, sure in answers])
    assert sum(one.votes for one in found) == sum(cells is not None for cells, _ in answers)
    keys = [(-one.votes, -one.score) for one in found]
    assert keys == sorted(keys)
    assert len({(one.grid.shape, one.grid.tobytes()) for one in found}) == len(found)


def test_right_is_among_the_first_k():
    found = rank([A, A, B], [0.5] * 3)
    assert [passes(found, B, k) for k in (1, 2)] == [False, True]
    assert not passes(found, C, 9)  # the same cells in another shape


def test_there_are_always_two_attempts():
    assert [cells.tolist() for cells in attempts(rank([A, A, B], [0.5] * 3))] == [[[1]], [[1, 1]]]
    assert [cells.tolist() for cells in attempts(rank([A], [0.5]))] == [[[1]], [[1]]]
    assert [cells.tolist() for cells in attempts([])] == [[[0]], [[0]]]


def test_a_submission_has_the_tests_of_every_puzzle_in_order():
    ranked = [rank([A, A, B], [0.5] * 3), rank([C], [0.5]), []]
    handed = submission(ranked, ("corpus/two", "corpus/one", "corpus/two"))
    assert json.loads(json.dumps(handed)) == {
        "two": [
            {"attempt_1": [[1]], "attempt_2": [[1, 1]]},
            {"attempt_1": [[0]], "attempt_2": [[0]]},
        ],
        "one": [{"attempt_1": [[1], [1]], "attempt_2": [[1], [1]]}],
    }
    with pytest.raises(DataError, match="a/two and b/two have the same name"):
        submission(ranked, ("a/two", "a/one", "b/two"))


def test_a_limit_counts_puzzles_with_all_their_tests():
    inputs = torch.arange(5, dtype=torch.uint8)[:, None]
    problems = Problems(inputs, inputs, ("b", "a", "b", "c", "a"))
    assert first_puzzles(problems, 1).inputs.flatten().tolist() == [0, 2]
    assert first_puzzles(problems, 2).inputs.flatten().tolist() == [0, 1, 2, 4]
    assert len(first_puzzles(problems, 9)) == 5


def test_only_arc_votes(tiny):
    _, task, _ = tiny
    assert voters(task) is task
    with pytest.raises(DataError, match="no vote on the task sudoku"):
        voters(Sudoku())


def test_credit_is_given_by_test_and_by_puzzle():
    right, wrong, second = rank([A], [1]), rank([B], [1]), rank([B, B, A], [1] * 3)
    puzzles = ("one", "one", "two", "three")
    fractions, wholes = score([right, wrong, right, second], [A] * 4, puzzles, (1, 2))
    assert fractions == {1: pytest.approx((0.5 + 1 + 0) / 3), 2: pytest.approx((0.5 + 1 + 1) / 3)}
    assert wholes == {1: pytest.approx(1 / 3), 2: pytest.approx(2 / 3)}
    with pytest.raises(DataError, match="no test to score"):
        score([], [], (), (1,))


@pytest.fixture
def tiny(tmp_path):
    """A reasoner with random weights, its task, and two tests to vote on."""
    for name in ("one", "two"):
        pairs = [{"input": [[1, 2], [number, 0]], "output": [[2, number]]} for number in range(3, 6)]
        (tmp_path / f"{name}.json").write_text(json.dumps({"train": pairs[:1], "test": pairs[1:]}))
    recipe = load_recipe(
        "eqr-mini-arc",
        [
            f"task.corpora=[{tmp_path}]",
            "task.puzzles=2",
            "task.variants=6",
            "task.canvas=3",
            "reasoner.width=16",
            "reasoner.layers=1",
        ],
    )
    task = recipe.build_task()
    _, held, _ = task.own_splits("corpora")
    return recipe.build_reasoner(task).eval(), task, held


class Asked(Engine):
    """An engine that remembers what it was asked."""

    def pools(self, tokens, **how):
        self.seen = [*getattr(self, "seen", []), (tokens, how["identifiers"])]
        return super().pools(tokens, **how)


def standing(voting):
    return [[(c.grid.tolist(), c.votes, round(c.score, 5)) for c in test] for test in voting.ranked]


@pytest.mark.parametrize("rows", [1, 10_000])
def test_every_variant_votes_once_a_restart(tiny, monkeypatch, rows):
    monkeypatch.setattr(voting, "ROWS", rows)
    reasoner, task, held = tiny
    engine = Asked(reasoner)
    seen = []
    (found,) = vote(engine, task, held, depths=(2,), breadths=(3,), watch=seen.append)
    assert (found.depth, found.breadth) == (2, 3)
    assert (found.puzzles, found.votes, len(found.ranked)) == (2, 4 * 7 * 3, 4)
    assert len(engine.seen) == (4 if rows == 1 else 1)
    identifiers = torch.cat([names for _, names in engine.seen])
    assert identifiers.tolist() == [*range(1, 8)] * 2 + [*range(8, 15)] * 2
    done = [report.done for report in seen]
    assert done == sorted(done)
    assert (seen[-1].done, {report.problems for report in seen}) == (28, {28})
    (few,) = vote(engine, task, held, depths=(2,), variants=1)
    assert few.votes == 4


def test_a_vote_does_not_depend_on_its_batches(tiny, monkeypatch):
    reasoner, task, held = tiny
    (whole,) = vote(Engine(reasoner), task, held, depths=(2,))
    monkeypatch.setattr(voting, "ROWS", 8)
    (parts,) = vote(Engine(reasoner), task, held, depths=(2,))
    assert standing(parts) == standing(whole)


def test_smaller_budgets_are_read_off_one_pass(tiny):
    reasoner, task, held = tiny
    engine = Asked(reasoner)
    all_at_once = vote(engine, task, held, depths=(3, 1), breadths=(2, 1))
    assert [(one.depth, one.breadth) for one in all_at_once] == [(1, 1), (1, 2), (3, 1), (3, 2)]
    assert len(engine.seen) == 1
    for one in all_at_once:
        (alone,) = vote(Engine(reasoner), task, held, depths=(one.depth,), breadths=(one.breadth,))
        assert standing(one) == standing(alone)
        assert (one.votes, one.pass_at) == (alone.votes, alone.pass_at)
    assert len({str(standing(one)) for one in all_at_once}) == 4  # budgets make a difference
    seconds = [one.seconds for one in all_at_once]
    assert [value / seconds[-1] for value in seconds] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 1])


def test_a_reasoner_that_copies_is_right_where_the_answer_is_the_problem(tiny, monkeypatch):
    """Whatever the variant, a copy turned back is the problem itself: all votes go to it."""
    reasoner, task, held = tiny
    engine = Engine(reasoner)
    pools = Engine.pools

    def copying(self, tokens, **how):
        (pool,) = pools(self, tokens, **how)
        pool.answers.copy_(tokens[:, None])
        return [pool]

    monkeypatch.setattr(Engine, "pools", copying)
    copied = Problems(held.inputs, held.inputs, held.sources, None, held.identifiers)
    (found,) = vote(engine, task, copied, depths=(1,), ks=(1, 2))
    assert found.pass_at == found.whole_at == {1: 1.0, 2: 1.0}
    assert [test[0].votes for test in found.ranked] == [7] * 4
    originals = decode(held.inputs, 3)
    assert all(np.array_equal(test[0].grid, own) for test, own in zip(found.ranked, originals, strict=True))
    summary = json.loads(json.dumps(found.summary()))
    assert summary["pass_at"] == summary["whole_at"] == {"1": 1.0, "2": 1.0}
    assert (summary["puzzles"], summary["tests"], summary["votes"]) == (2, 4, 28)
    assert summary["pass_ci95"]["1"] == pytest.approx(interval(1.0, 2))
    (wrong,) = vote(engine, task, held, depths=(1,))
    assert wrong.pass_at == {1: 0.0, 2: 0.0}


def test_a_vote_needs_answers_and_identities(tiny):
    reasoner, task, held = tiny
    for missing in (
        Problems(held.inputs, None, held.sources, None, held.identifiers),
        Problems(held.inputs, held.labels, held.sources),
        held[:0],
    ):
        with pytest.raises(DataError, match="needs problems with answers and puzzle identities"):
            vote(Engine(reasoner), task, missing, depths=(1,))
