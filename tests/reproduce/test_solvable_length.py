"""The longest word problem solved: what is trained, how it is counted, what is said of it."""

import pytest
import torch

from equilibria.errors import TrainingError
from equilibria.pipeline import Pipeline
from equilibria.reproduce import solvable_length
from equilibria.reproduce.runs import CachedRun
from equilibria.reproduce.signal_propagation import SCALED, SCHEMES
from equilibria.reproduce.solvable_length import (
    BEYOND,
    LENGTHS,
    REPRODUCTION,
    final_states,
    measure,
    solved,
    statements,
    summary,
    trials,
)

TINY = (
    *("task.group=S3", "reasoner.width=16", "reasoner.heads=2", "reasoner.channel_inner=32"),
    *("data.count=100", "data.held_out_count=16", "training.steps=1", "training.batch=8"),
)


def row(scheme, length, reached):
    accuracy = [99.0] * reached + [10.0] * (2 * length - reached)
    return summary(scheme, length, [{"solved": reached, "accuracy": accuracy, "diverged": False}])


@pytest.mark.parametrize("scale", ["cpu", "paper"])
def test_loops_are_tied_to_the_length(setup, scale):
    todo = trials(setup(scale=scale))
    assert len(todo) == len(SCHEMES) * len(LENGTHS[scale])
    for trial in todo:
        length = trial.recipe.task["length"]
        assert trial.recipe.training.depth == trial.recipe.inference.depth == length
    assert {trial.recipe.reasoner.model_dump()["norm"] for trial in todo} == {"post", "pre"}


@pytest.mark.parametrize(
    ("accuracy", "longest"), [([100.0, 91.0, 90.0, 95.0], 2), ([99.0, 99.0], 2), ([20.0, 99.0], 0)]
)
def test_the_longest_solved_is_the_last_before_a_failure(accuracy, longest):
    assert solved(accuracy) == longest


def test_states_on_the_way_are_the_last_states_of_shorter_problems(setup):
    recipe = trials(setup(overrides=TINY))[0].recipe
    task = recipe.build_task()
    torch.manual_seed(0)
    reasoner = recipe.build_reasoner(task).eval()
    found = final_states(Pipeline(reasoner, task, recipe), task, 8, 4)
    assert len(found) == 8
    problems = task.at_length(8).generate(20, seed=1)

    def answers(inputs):
        condition = reasoner.encode(inputs)
        state = reasoner.initial_state(condition, torch.zeros(20, 1, inputs.shape[1], 16))
        return reasoner.decode(reasoner.iterate(state, condition).state, condition).logits

    with torch.no_grad():
        assert torch.allclose(answers(problems.inputs)[:, :5], answers(problems.inputs[:, :5]), atol=1e-5)


def test_a_run_that_diverged_solves_nothing(setup, monkeypatch):
    surroundings = setup(overrides=TINY)
    trial = trials(surroundings)[0]

    def diverge(self, device):
        raise TrainingError("the loss is nan at step 3 (batch 0): try a lower rate")

    monkeypatch.setattr(CachedRun, "trained", diverge)
    found = measure(trial, CachedRun.of(trial.recipe, surroundings.cache), "cpu")
    assert (found["solved"], found["diverged"], len(found["accuracy"])) == (0, True, BEYOND * found["length"])


def test_all_are_trained_tested_and_drawn(setup, monkeypatch):
    monkeypatch.setattr(solvable_length, "LENGTHS", {"cpu": (4, 8)})
    monkeypatch.setattr(solvable_length, "PROBLEMS", 8)
    surroundings = setup()
    places = {"out": surroundings.out, "cache": surroundings.cache, "device": "cpu", "say": str}
    findings = REPRODUCTION.make("cpu", TINY, **places, jobs=1)
    assert [(r["scheme"], r["length"]) for r in findings.sheets[0].rows] == [
        (scheme, length) for scheme in SCHEMES for length in (4, 8)
    ]
    assert (surroundings.out / "solvable-length.png").read_bytes()[:4] == b"\x89PNG"


def test_statements_look_at_the_greatest_depth():
    reached = {"post": (4, 6), "pre": (4, 0), SCALED: (4, 9)}
    table = [
        row(scheme, n, value)
        for scheme, values in reached.items()
        for n, value in zip((4, 8), values, strict=True)
    ]
    assert all(one.holds for one in statements(table))
    other = [row(scheme, n, n - (scheme == SCALED)) for scheme in SCHEMES for n in (4, 8)]
    assert not any(one.holds for one in statements(other))
