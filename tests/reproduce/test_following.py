"""Trajectories followed without halting tell what the engine would have found at every depth."""

import pytest
import torch

from equilibria.diagnostics.evaluation import correct
from equilibria.dynamics.halting import LearnedHead, Residual
from equilibria.pipeline import Pipeline
from equilibria.reproduce import following
from equilibria.reproduce.boards import FPRM, TRM, Variant, board
from equilibria.reproduce.following import Followed, first, follow


@pytest.fixture
def reasoner(monkeypatch):
    """A pipeline with fresh weights, and some problems, in parts that do not come out even."""
    monkeypatch.setattr(following, "BATCH", 5)

    def make(name):
        tiny = ("task.box=[2,2]", "reasoner.width=16", "reasoner.channel_inner=32", "reasoner.token_inner=16")
        recipe = board("cpu", 0, Variant("", name), tiny)
        task = recipe.build_task()
        torch.manual_seed(0)
        return Pipeline(recipe.build_reasoner(task).eval(), task, recipe), task.generate(12, seed=0)

    return make


@pytest.mark.parametrize(
    ("name", "rule"), [(FPRM, Residual(tolerance=0.3)), (TRM, LearnedHead(threshold=-5.1))]
)
def test_a_rule_asked_afterwards_stops_where_the_engine_stops(reasoner, name, rule):
    pipeline, problems = reasoner(name)
    followed = follow(pipeline, problems, 9)
    (pool,) = pipeline.engine.pools(problems.inputs, depths=(9,), breadth=1, halting=rule)
    rests = followed.residual < 0.3 if name == FPRM else followed.halt_logit > -5.1
    spent = torch.where(rests.any(dim=0), rests.int().argmax(dim=0) + 1, 9)
    assert torch.equal(spent, pool.evaluations[:, 0])
    right = followed.right.gather(0, spent[None] - 1)[0]
    assert torch.equal(right, correct(pool, problems.labels)[:, 0])


def test_every_iteration_of_every_problem_is_there(reasoner):
    pipeline, problems = reasoner(FPRM)
    followed = follow(pipeline, problems, 4)
    assert followed.right.shape == followed.residual.shape == followed.halt_logit.shape == (4, 12)
    assert len(followed.accuracy()) == 4
    assert followed.of(torch.tensor([1, 3])).residual.equal(followed.residual[:, [1, 3]])


def test_accuracy_is_in_percent_and_the_first_iteration_is_one():
    right = torch.tensor([[False, False], [True, False], [True, True]])
    assert Followed(right, right.float(), right.float()).accuracy() == [0.0, 50.0, 100.0]
    assert first(torch.tensor([False, True, True])) == 2
    assert first(torch.tensor([False, False])) is None
