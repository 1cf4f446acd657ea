"""Schedules against graphs unrolled by hand: where losses sit, and what gradient flows through."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from equilibria.dynamics.gradients import Implicit, Neumann, OneStep, Unrolled
from equilibria.dynamics.halting import FixedDepth, LearnedHead, QLearning, Residual
from equilibria.dynamics.noise import NoiseSource
from equilibria.dynamics.solvers import Anderson, PatienceDamped, Picard
from equilibria.inference.engine import Engine
from equilibria.reasoners import configure, family
from equilibria.reasoners.interface import EVERY, ProblemShape
from equilibria.training.carry import Batch, Carry, fresh_memory
from equilibria.training.losses import answer_loss
from equilibria.training.schedules import SegmentedOnline, Terminal, Trajectory
from equilibria.training.segment import Supervision, run_segment

SHAPE = ProblemShape(vocabulary=5, tokens=9, board=(3, 3))
SMALL = {"width": 16, "heads": 2, "layers": 1, "channel_inner": 32, "token_inner": 16}
DEPTH, ROWS = 4, 3


def build(name="recursive", **options):
    torch.manual_seed(0)
    cycles = {"H_cycles": 1, "L_cycles": 2} if name == "recursive" else {}
    return family(name)(configure({"family": name, **SMALL, **cycles, **options}), SHAPE)


def problems():
    torch.manual_seed(1)
    inputs, targets = torch.randint(0, 5, (2, ROWS, 9))
    return Batch(inputs, targets, torch.arange(ROWS), torch.zeros(ROWS, dtype=torch.int64))


def begin(reasoner, rules, batch=None):
    """A carry whose rows have just taken their problems."""
    batch = batch or problems()
    with torch.no_grad():
        condition = reasoner.encode(batch.inputs, batch.identifiers)
        state = reasoner.initial_state(condition, NoiseSource(batch.keys))
    carry = Carry.free(reasoner, rules.solver, rules.halting, ROWS, torch.device("cpu"))
    return carry.refill(batch, state, fresh_memory(rules.solver, rules.halting, state))


def gradients(loss, reasoner):
    own = dict(reasoner.named_parameters())
    found = torch.autograd.grad(loss, list(own.values()), allow_unused=True)
    return {n: torch.zeros_like(own[n]) if g is None else g for n, g in zip(own, found, strict=True)}


class ByHand:
    """Iterations of a batch, one by one, and the loss of a state."""

    def __init__(self, reasoner, carry):
        self.reasoner, self.carry = reasoner, carry
        self.condition = reasoner.encode(carry.batch.inputs, carry.batch.identifiers)

    def step(self, state, k, **how):
        noise = NoiseSource(self.carry.batch.keys, k)
        return self.reasoner.iterate(state, self.condition, noise=noise, **how).state

    def loss(self, state):
        logits = self.reasoner.decode(state, self.condition).logits
        return answer_loss(logits, self.carry.batch.targets, "stablemax").sum()


def compare(reasoner, rules, by_hand, state_after=None):
    carry = begin(reasoner, rules)
    segment = run_segment(reasoner, carry, rules)
    expected = by_hand(ByHand(reasoner, carry), carry.state)
    assert_close(segment.loss, expected)
    got, wanted = gradients(segment.loss, reasoner), gradients(expected, reasoner)
    for name in wanted:
        assert_close(got[name], wanted[name], msg=lambda m, name=name: f"{name}: {m}")
    assert any(gradient.any() for gradient in wanted.values())
    assert not segment.carry.state.requires_grad
    return segment


def rules(schedule, halting=FixedDepth(), **others):
    return Supervision(schedule, halting, DEPTH, **others)


@pytest.mark.parametrize("window", [1, 2, 4])
def test_a_segment_is_as_many_iterations_as_it_says_all_with_gradient(window):
    def by_hand(hand, state):
        for k in range(window):
            state = hand.step(state, k)
        return hand.loss(state)

    segment = compare(build(), rules(SegmentedOnline(iterations=window)), by_hand)
    assert segment.carry.steps.tolist() == [window] * ROWS


def test_the_next_segment_goes_on_detached_and_with_later_draws():
    reasoner, online = build(), rules(SegmentedOnline())
    first = run_segment(reasoner, begin(reasoner, online), online).carry
    second = run_segment(reasoner, first, online)
    hand = ByHand(reasoner, first)
    expected = hand.loss(hand.step(first.state, 1))
    assert_close(second.loss, expected)
    got, wanted = gradients(second.loss, reasoner), gradients(expected, reasoner)
    assert all(torch.equal(got[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("first", [1, 3, 9])
def test_a_trajectory_is_the_mean_of_its_anchors_each_with_a_graph_of_its_own(first):
    def by_hand(hand, state):
        losses = []
        for k in range(DEPTH):
            state = hand.step(state.detach(), k)
            if k + 1 >= min(first, DEPTH):
                losses.append(hand.loss(state))
        return torch.stack(losses).mean()

    segment = compare(build(), rules(Trajectory(first=first)), by_hand)
    assert segment.carry.halted.all()


@pytest.mark.parametrize("last", [None, 3, 1])
def test_terminal_supervision_unrolls_all_iterations_or_the_last(last):
    def by_hand(hand, state):
        for k in range(DEPTH):
            if last is not None and k == DEPTH - last:
                state = state.detach()  # "detached carry"
            state = hand.step(state, k)
        return hand.loss(state)

    segment = compare(build(), rules(Terminal(gradient=Unrolled(last=last))), by_hand)
    assert segment.carry.halted.all()


def at_rest(hand, state):
    with torch.no_grad():
        for k in range(DEPTH):
            state = hand.step(state, k)
    return state


def test_one_step_from_an_equilibrium_is_one_more_iteration_through_all_its_updates():
    def by_hand(hand, state):
        return hand.loss(hand.step(at_rest(hand, state), DEPTH, tracked=EVERY))

    compare(build(H_cycles=2), rules(Terminal(gradient=OneStep(), tolerance=0.0)), by_hand)


@pytest.mark.parametrize("gradient", [Implicit(tolerance=1e-7), Neumann(terms=200)], ids=lambda g: g.name)
def test_an_implicit_gradient_is_that_of_the_whole_trajectory_at_rest(gradient):
    """On a contraction: after many iterations, unrolled and implicit gradients are the same."""
    found = {}
    for rule in (gradient, Unrolled()):
        reasoner = build("looped", norm="pre", residual_scale="channel", alpha_1=0.5, alpha_2=0.25)
        with torch.no_grad():
            for weight in reasoner.blocks.parameters():
                weight.mul_(0.5)
        deep = Supervision(Terminal(gradient=rule, tolerance=0.0), FixedDepth(), 60)
        segment = run_segment(reasoner, begin(reasoner, deep), deep)
        found[rule.name] = gradients(segment.loss, reasoner)
    for name, expected in found["unrolled"].items():
        scale = expected.abs().max().clamp(min=1e-6)
        assert_close(found[gradient.name][name] / scale, expected / scale, atol=1e-3, rtol=0)


def test_what_is_decoded_is_the_damped_state_and_what_is_carried_too():
    solver = PatienceDamped(step_size=0.5)
    damped = rules(SegmentedOnline(), solver=solver)
    reasoner = build("fprm")

    def by_hand(hand, state):
        return hand.loss(0.5 * hand.step(state, 0) + 0.5 * state)

    compare(reasoner, damped, by_hand)


def test_anderson_is_read_off_its_last_value_and_goes_on_from_its_mix():
    mixed = rules(SegmentedOnline(iterations=3), solver=Anderson(window=2))
    reasoner = build("looped")
    carry = begin(reasoner, mixed)
    segment = run_segment(reasoner, carry, mixed)
    hand = ByHand(reasoner, carry)
    value = segment.carry.memory["value"]
    assert_close(segment.loss, hand.loss(value))
    assert not torch.equal(value, segment.carry.state)


class Remembered(QLearning):
    """A rule that keeps what it was shown."""

    heard: list = []  # noqa: RUF012 - emptied by the test

    def loss(self, signals, peek):
        later = peek()
        self.heard.append((signals, later))
        return super().loss(signals, lambda: later)


def test_going_on_from_an_anchor_leads_to_the_next_one():
    Remembered.heard.clear()
    reasoner = build()
    torch.nn.init.normal_(reasoner.halt_head.score.weight)
    supervised = rules(Trajectory(), Remembered())
    run_segment(reasoner, begin(reasoner, supervised), supervised)
    heard = Remembered.heard
    assert [signals.steps.tolist() for signals, _ in heard] == [[k + 1] * ROWS for k in range(DEPTH)]
    assert [signals.final.all().item() for signals, _ in heard] == [False, False, False, True]
    for (_, later), (following, _) in pairwise(heard):
        assert torch.equal(later.halt_logit, following.halt_logit)
    assert heard[-1][1].steps.tolist() == [2 * DEPTH] * ROWS


@pytest.mark.parametrize("schedule", [SegmentedOnline(iterations=2), Trajectory(), Terminal()])
def test_a_penalty_is_averaged_over_anchors_as_losses_are(schedule):
    options = {"H_cycles": 1, "max_iterations": 3, "min_iterations": 1, "prefix": 1}
    losses, penalties = {}, []
    for jacobian in (0.0, 2.0):
        reasoner = build("attractor", jacobian=jacobian, **options).train()
        iterate = reasoner.iterate

        def listen(*given, iterate=iterate, **named):
            step = iterate(*given, **named)
            if step.penalty is not None:
                penalties.append(step.penalty.detach())
            return step

        reasoner.iterate = listen
        regularized = rules(schedule)
        losses[jacobian] = run_segment(reasoner, begin(reasoner, regularized), regularized).loss.detach()
    counted = penalties if isinstance(schedule, Trajectory) else penalties[-1:]
    assert_close(losses[2.0] - losses[0.0], torch.stack(counted).mean().double(), rtol=1e-4, atol=1e-6)


def test_a_learned_start_gets_gradient_in_rows_that_have_just_begun():
    reasoner = build(initial="learned", tracked=3, H_cycles=1)
    online = rules(SegmentedOnline())
    carry = begin(reasoner, online)
    fresh = run_segment(reasoner, carry, online)
    found = gradients(fresh.loss, reasoner)
    assert all(found[f"initial_map.{n}.weight"].any() for n in (0, 2))
    # What the carry was given is drawn without gradient; the segment starts these rows again, with it.
    hand = ByHand(reasoner, carry)
    start = reasoner.initial_state(hand.condition, None)
    assert_close(fresh.loss, hand.loss(hand.step(start, 0)))
    later = run_segment(reasoner, fresh.carry, online)
    assert not gradients(later.loss, reasoner)["initial_map.0.weight"].any()


def test_learned_noise_gets_gradient_channel_by_channel_and_scales_draws():
    reasoner = build(noise=0.1, noise_learned=True)
    online = rules(SegmentedOnline())
    carry = begin(reasoner, online)
    segment = run_segment(reasoner, carry, online)
    assert gradients(segment.loss, reasoner)["log_noise"].all()
    same = build(noise=0.1)
    assert_close(reasoner.log_noise.exp(), torch.full((16,), 0.1))
    assert_close(run_segment(same, carry, online).loss, segment.loss)
    with torch.no_grad():
        reasoner.log_noise[0] = 1.0
    assert not torch.equal(run_segment(reasoner, carry, online).loss, segment.loss)


def test_memory_of_solver_and_rule_follows_its_rows():
    reasoner = build("fprm")
    rested = rules(
        SegmentedOnline(), Residual(tolerance=50.0, patience=2), solver=PatienceDamped(patience=1, decay=0.5)
    )
    carry = run_segment(reasoner, begin(reasoner, rested), rested).carry
    assert set(carry.memory) == {"residual", "best", "patience", "step_size", "rested"}
    order = torch.tensor([2, 0])
    some = carry.rows(order)
    for name, value in carry.memory.items():
        assert torch.equal(some.memory[name], value[order])
    parts = Carry.join([carry.rows(slice(0, 1)), carry.rows(slice(1, ROWS))])
    assert all(torch.equal(value, parts.tensors()[name]) for name, value in carry.tensors().items())
    # A row that is free takes fresh memory; the others keep theirs.
    halted = torch.tensor([True, False, False])
    state = torch.zeros_like(carry.state)
    fresh = fresh_memory(rested.solver, rested.halting, state)
    refilled = carry.next(carry.state, carry.memory, halted).refill(problems(), state, fresh)
    for name, value in refilled.memory.items():
        assert torch.equal(value[0], fresh[name][0])
        assert torch.equal(value[1:], carry.memory[name][1:])


@pytest.mark.parametrize(
    "solver", [Picard(), PatienceDamped(patience=1), Anderson(window=2)], ids=lambda s: s.name
)
def test_trajectories_in_a_pool_end_as_they_would_alone(solver):
    reasoner, batch = build("fprm", alpha_1=0.9, alpha_2=0.9), problems()  # slow to settle
    tolerance = {"picard": 1.0, "patience-damped": 0.05, "anderson": 0.02}[solver.name]
    halting = Residual(tolerance=tolerance, patience=2)
    engine = Engine(reasoner, solver=solver)
    (together,) = engine.pools(batch.inputs, depths=(30,), breadth=4, halting=halting)
    assert len(together.evaluations.unique()) > 1, "all rows ended at once: this shows nothing"
    for row in range(ROWS):
        (alone,) = engine.pools(batch.inputs[row : row + 1], depths=(30,), breadth=4, halting=halting)
        assert torch.equal(alone.answers[0], together.answers[row])
        assert torch.equal(alone.evaluations[0], together.evaluations[row])


def test_a_head_that_does_not_act_is_trained_all_the_same():
    reasoner, rules_ = build(), rules(SegmentedOnline(), LearnedHead(acts=False, weight=0.5))
    segment = run_segment(reasoner, begin(reasoner, rules_), rules_)
    assert not segment.carry.halted.any()
    # Biases start at −5: certain of "wrong", which is what these answers are.
    bias = gradients(segment.loss, reasoner)["halt_head.score.bias"]
    assert_close(bias[0], 0.5 * ROWS * F.sigmoid(torch.tensor(-5.0)), rtol=1e-3, atol=0)
