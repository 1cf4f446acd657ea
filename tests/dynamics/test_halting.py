"""Halting rules: when they stop, what that costs, what they remember, and how they add up."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from pydantic import TypeAdapter, ValidationError
from torch.testing import assert_close

from equilibria.dynamics.halting import (
    AnyHalting,
    AnyOf,
    FixedDepth,
    LearnedHead,
    Oracle,
    QLearning,
    Residual,
    Signals,
    right_now,
)

DEVICE = torch.device("cpu")
RULES = TypeAdapter(AnyHalting)


def signals(residual, **others):
    residual = torch.tensor(residual)
    return Signals(torch.ones(len(residual), dtype=torch.int64), residual=residual, **others)


def test_a_state_rests_after_so_many_small_residuals_in_a_row():
    rule = Residual(tolerance=0.5, patience=2)
    memory = rule.init(3, DEVICE)
    seen = []
    for residual in ([0.1, 0.1, 0.9], [0.1, 0.9, 0.5], [0.9, 0.1, 0.4], [0.4, 0.1, 0.4]):
        halted, memory = rule.halts(signals(residual), memory)
        seen.append(halted.tolist())
    assert seen == [[False] * 3, [True, False, False], [False] * 3, [False, True, True]]


def test_without_patience_nothing_is_remembered():
    rule = Residual(tolerance=0.5)
    assert rule.init(3, DEVICE) == {}
    assert rule.halts(signals([0.4, 0.5, 0.6]), {})[0].tolist() == [True, False, False]


def test_a_collapsed_step_size_stops_a_row_too():
    rule = Residual(tolerance=0.1, least_step=1e-3, patience=3)
    steps = torch.tensor([1.0, 1e-3, 9e-4])
    halted, _ = rule.halts(signals([1.0, 1.0, 1.0], step_size=steps), rule.init(3, DEVICE))
    assert halted.tolist() == [False, False, True]


def test_memory_belongs_to_rows():
    """A row that leaves takes its count along; another in its place starts anew."""
    rule = Residual(tolerance=0.5, patience=2)
    _, memory = rule.halts(signals([0.1, 0.9, 0.1]), rule.init(3, DEVICE))
    kept = {name: value[torch.tensor([2, 1])] for name, value in memory.items()}
    assert rule.halts(signals([0.1, 0.1]), kept)[0].tolist() == [True, False]


def test_other_memory_passes_through_untouched():
    rule = Residual(tolerance=0.5, patience=2)
    other = torch.arange(2)
    _, memory = rule.halts(signals([0.1, 0.1]), rule.init(2, DEVICE) | {"best": other})
    assert memory["best"] is other


def test_the_value_of_going_on_is_the_better_of_what_comes():
    halt, go_on = torch.tensor([0.3, -1.0, 2.0]), torch.tensor([0.5, -2.0, 1.0])
    later_halt, later_on = torch.tensor([1.0, -3.0, -0.5]), torch.tensor([-1.0, 0.7, 4.0])
    now = Signals(
        torch.ones(3),
        halt_logit=halt,
        continue_logit=go_on.requires_grad_(),
        correct=torch.tensor([True, False, True]),
        final=torch.tensor([False, False, True]),
    )
    later = Signals(torch.ones(3) + 1, halt_logit=later_halt.requires_grad_(), continue_logit=later_on)
    rule = QLearning(weight=0.5)
    assert rule.halts(now, {})[0].tolist() == [False, True, True]
    target = torch.sigmoid(torch.tensor([1.0, 0.7, -0.5]))  # the last row may only halt
    worth = F.binary_cross_entropy_with_logits(go_on, target, reduction="none")
    expected = 0.5 * (right_now(halt, torch.tensor([1.0, 0.0, 1.0])) + worth)
    got = rule.loss(now, lambda: later)
    assert_close(got, expected)
    got.sum().backward()
    assert later_halt.grad is None  # the target is a constant


def test_an_oracle_stops_where_the_answer_is_right():
    right = torch.tensor([True, False])
    assert torch.equal(Oracle().halts(signals([1.0, 1.0], correct=right), {})[0], right)
    with pytest.raises(TypeError, match="needs labels"):
        Oracle().halts(signals([1.0]), {})


def test_a_head_that_does_not_act_costs_the_same_and_stops_nothing():
    now = signals([1.0, 1.0], halt_logit=torch.tensor([5.0, -5.0]), correct=torch.tensor([True, False]))
    acting, idle = LearnedHead(), LearnedHead(acts=False)
    assert torch.equal(acting.loss(now, lambda: now), idle.loss(now, lambda: now))
    assert acting.halts(now, {})[0].tolist() == [True, False]
    assert not idle.halts(now, {})[0].any()


def test_any_of_several_stops_and_their_losses_add_up():
    head, rest = LearnedHead(threshold=0.0), Residual(tolerance=0.5, patience=2)
    rule = AnyOf(of=(rest, head, FixedDepth()))
    now = signals(
        [0.1, 0.9, 0.9],
        halt_logit=torch.tensor([-1.0, 1.0, -1.0]),
        correct=torch.tensor([True, True, False]),
    )
    memory = rule.init(3, DEVICE)
    assert set(memory) == {"rested"}
    halted, memory = rule.halts(now, memory)
    assert halted.tolist() == [False, True, False]
    halted, memory = rule.halts(now, memory)
    assert halted.tolist() == [True, True, False]
    assert_close(rule.loss(now, lambda: now), head.loss(now, lambda: now))
    both = AnyOf(of=(head, QLearning()))
    full = replace(now, continue_logit=torch.zeros(3), final=torch.zeros(3, dtype=torch.bool))
    expected = head.loss(full, lambda: full) + QLearning().loss(full, lambda: full)
    assert_close(both.loss(full, lambda: full), expected)


def test_exploration_of_one_rule_withholds_halts_of_all():
    rule = AnyOf(of=(Residual(), LearnedHead(exploration=1.0)))
    halted, steps = torch.ones(2, dtype=torch.bool), torch.tensor([2, 2])
    uniform = torch.tensor([[0.5, 0.0], [0.5, 0.99]])  # must live to step 2, and to step 8
    assert rule.explore(halted, steps, 8, uniform).tolist() == [True, False]
    assert (
        AnyOf(of=(Residual(), LearnedHead(exploration=1.0, acts=False)))
        .explore(halted, steps, 8, uniform)
        .all()
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rule": "residual", "tolerance": 0.0}, "tolerance must be positive"),
        ({"rule": "residual", "patience": 0}, "patience must be from 1 up"),
        ({"rule": "learned", "exploration": 2.0}, "exploration must be between 0 and 1"),
        ({"rule": "any", "of": []}, "list at least one rule"),
        ({"rule": "any", "of": [{"rule": "fixed"}, {"rule": "fixed"}]}, "each kind at most once"),
        ({"rule": "oracle", "tolerance": 1.0}, "Unexpected keyword argument"),
    ],
)
def test_senseless_rules_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        RULES.validate_python(values)


def test_a_rule_of_rules_reads_as_it_is_written():
    written = {
        "rule": "any",
        "of": [{"rule": "residual", "tolerance": 0.2}, {"rule": "learned", "acts": False}],
    }
    rule = RULES.validate_python(written)
    assert rule == AnyOf(of=(Residual(tolerance=0.2), LearnedHead(acts=False)))
    assert RULES.validate_python(RULES.dump_python(rule)) == rule
