"""The engine: the same problem, seed and budget give the same answer, whatever else is in the call."""

import math
from dataclasses import fields

import pytest
import torch

from equilibria.dynamics.halting import FixedDepth, LearnedHead
from equilibria.dynamics.noise import NoiseSource, fingerprint
from equilibria.inference.budget import Budget
from equilibria.inference.engine import Engine
from equilibria.inference.pool import Pool
from equilibria.inference.slots import WINDOW
from equilibria.reasoners.feedforward import FeedForwardConfig, FeedForwardReasoner
from equilibria.reasoners.interface import ProblemShape
from equilibria.reasoners.recursive import RecursiveConfig, RecursiveReasoner

SHAPE = ProblemShape(vocabulary=6, tokens=16, board=(4, 4))
BLOCKS = {"width": 8, "heads": 2, "layers": 1, "channel_inner": 12, "token_inner": 10}


@pytest.fixture
def reasoner():
    """Random weights, damped so that it settles, and a halting head that is undecided."""
    config = RecursiveConfig(**BLOCKS, H_cycles=1, L_cycles=2, damping=0.5, noise=0.05)
    built = RecursiveReasoner(config, SHAPE).eval()
    torch.nn.init.normal_(built.halt_head.score.weight)
    torch.nn.init.constant_(built.halt_head.score.bias, -2.0)
    return built


@pytest.fixture
def boards():
    return torch.randint(0, 6, (12, 16), dtype=torch.uint8)


def pool(reasoner, boards, *, depth=6, breadth=3, learned=False, seed=0, **engine):
    (found,) = Engine(reasoner, **engine).pools(
        boards,
        depths=(depth,),
        breadth=breadth,
        halting=LearnedHead() if learned else FixedDepth(),
        seed=seed,
    )
    return found


def assert_same(got, expected):
    """Bit for bit."""
    assert torch.equal(got.answers, expected.answers)
    assert torch.equal(got.evaluations, expected.evaluations)
    assert torch.equal(got.halted, expected.halted)
    for name in ("residual", "logit_change", "halt_logit"):
        torch.testing.assert_close(
            getattr(got, name), getattr(expected, name), equal_nan=True, rtol=0.0, atol=0.0
        )


@pytest.mark.parametrize("learned", [False, True])
def test_other_problems_in_the_call_change_nothing(reasoner, boards, learned):
    """To the last bit, with as many slots: matrix products may round otherwise for another number of rows."""
    mine = pool(reasoner, boards[:4], learned=learned, slots=4, steady=True)
    order = torch.tensor([2, 9, 0, 7, 5, 3])
    beside_others = pool(reasoner, boards[order], learned=learned, slots=4, steady=True)
    assert_same(beside_others.problems(torch.tensor([0, 2, 5])), mine.problems(torch.tensor([2, 0, 3])))
    alone = pool(reasoner, boards[:1], breadth=4, learned=learned, slots=4, steady=True)
    assert_same(alone.restarts(3), mine.problems(torch.tensor([0])))


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("slots", [1, 5, 36, 100])
@pytest.mark.parametrize("every", [1, 3])
def test_slots_change_nothing(reasoner, boards, slots, every, learned):
    whole = pool(reasoner, boards, learned=learned)
    other = pool(reasoner, boards, learned=learned, slots=slots, every=every)
    assert torch.equal(other.answers, whole.answers)
    assert torch.equal(other.evaluations, whole.evaluations)
    assert torch.equal(other.halted, whole.halted)
    for name in ("residual", "logit_change", "halt_logit"):
        torch.testing.assert_close(
            getattr(other, name), getattr(whole, name), equal_nan=True, rtol=1e-4, atol=1e-4
        )


def test_there_is_one_slot_at_least(reasoner, boards):
    assert Engine(reasoner, memory=1).slots == 1
    assert len(pool(reasoner, boards, memory=1).answers) == 12


def test_the_same_call_gives_the_same_bits_and_another_seed_others(reasoner, boards):
    first = pool(reasoner, boards, seed=5)
    assert_same(pool(reasoner, boards, seed=5), first)
    other = pool(reasoner, boards, seed=6)
    assert not torch.isclose(other.residual, first.residual).any()


def test_a_problem_named_twice_gets_the_same_answer_twice(reasoner, boards):
    twice = pool(reasoner, boards[[0, 3, 0]])
    assert_same(twice.problems(torch.tensor([0])), twice.problems(torch.tensor([2])))


def test_restarts_are_nested(reasoner, boards):
    """The first restarts of a broad budget are those of a narrow one."""
    broad, narrow = pool(reasoner, boards, breadth=6), pool(reasoner, boards, breadth=2)
    assert_same(broad.restarts(2), narrow)
    flat = broad.residual
    assert (flat[:, :, None] != flat[:, None, :]).sum() == 12 * 6 * 5  # every restart is its own


def test_depths_are_nested(reasoner, boards):
    """One pass looked at on the way is as good as a pass to each depth."""
    looks = Engine(reasoner).pools(boards, depths=(1, 4, 6), breadth=2)
    for depth, look in zip((1, 4, 6), looks, strict=True):
        assert_same(look, pool(reasoner, boards, depth=depth, breadth=2))
    assert looks[0].logit_change.isnan().all()
    assert looks[0].evaluations.unique().tolist() == [1]


def test_depths_come_in_the_order_asked_for(reasoner, boards):
    looks = Engine(reasoner).pools(boards, depths=(4, 1, 4), breadth=1)
    assert [int(look.evaluations[0]) for look in looks] == [4, 1, 4]


@torch.no_grad()
def trajectories(reasoner, boards, breadth, depth, seed=0):
    """The plain loop, in which no row leaves: residuals, logits and halting scores, `[depth, rows, ...]`."""
    rows = boards.repeat_interleave(breadth, dim=0)
    restarts = torch.arange(breadth).repeat(len(boards))
    source = NoiseSource.trajectories(seed, fingerprint(rows), restarts)
    condition = reasoner.encode(rows)
    state, facts = reasoner.initial_state(condition, source), []
    for k in range(depth):
        step = reasoner.iterate(state, condition, noise=source.at(k))
        state, prediction = step.state, reasoner.decode(step.state)
        facts.append((step.residual, prediction.logits, prediction.halt_logit))
    return (torch.stack(fact) for fact in zip(*facts, strict=True))


@pytest.mark.parametrize("depth", [1, 2, 3, 7])
def test_the_scores_of_a_pool_are_those_of_the_plain_loop(reasoner, boards, depth):
    got = pool(reasoner, boards, depth=depth, breadth=2)
    residuals, logits, scores = trajectories(reasoner, boards, 2, depth)
    assert torch.equal(got.answers.flatten(0, 1), logits[-1].argmax(-1).to(torch.uint8))
    torch.testing.assert_close(got.residual.flatten(), residuals[-WINDOW:].mean(dim=0))
    torch.testing.assert_close(got.halt_logit.flatten(), scores[-1])
    changes = (logits[1:] - logits[:-1]).norm(dim=-1).mean(dim=-1)[-WINDOW:].mean(dim=0)
    torch.testing.assert_close(got.logit_change.flatten(), changes, equal_nan=True)


def test_a_trajectory_that_halts_keeps_what_it_had(reasoner, boards):
    depth = 8
    got = pool(reasoner, boards, depth=depth, breadth=4, learned=True)
    residuals, logits, scores = trajectories(reasoner, boards, 4, depth)
    confident = scores > 0
    last = torch.where(confident.any(dim=0), confident.int().argmax(dim=0), depth - 1)
    row = torch.arange(48)
    assert torch.equal(got.evaluations.flatten(), last + 1)
    assert torch.equal(got.halted.flatten(), confident.any(dim=0))
    assert torch.equal(got.answers.flatten(0, 1), logits[last, row].argmax(-1).to(torch.uint8))
    torch.testing.assert_close(got.halt_logit.flatten(), scores[last, row], rtol=1e-4, atol=1e-4)
    window = torch.stack([residuals[(last - back).clamp(min=0), row] for back in range(WINDOW)])
    window[torch.arange(WINDOW)[:, None] > last] = torch.nan
    torch.testing.assert_close(got.residual.flatten(), window.nanmean(dim=0), rtol=1e-4, atol=1e-4)
    assert not got.halted.all()
    assert last.unique().numel() > 2  # rows left at different times


def test_looks_after_every_row_has_halted_are_the_last_one(reasoner, boards):
    torch.nn.init.constant_(reasoner.halt_head.score.bias, 100.0)
    looks = Engine(reasoner).pools(boards, depths=(1, 5), breadth=2, halting=LearnedHead())
    assert_same(looks[1], looks[0])
    assert looks[1].evaluations.unique().tolist() == [1]
    assert looks[1].halted.all()


@pytest.mark.parametrize("halting", [FixedDepth(), LearnedHead()])
def test_an_outcome_says_what_it_cost_and_how_settled_it_is(reasoner, boards, halting):
    expected = pool(reasoner, boards, learned=halting == LearnedHead())
    tolerance = expected.residual.min(dim=1).values.median().item() / math.sqrt(2 * 16 * 8) * (1 + 1e-6)
    budget = Budget(depth=6, breadth=3, halting=halting, tolerance=tolerance)
    outcomes = sorted(Engine(reasoner).solve(boards, budget), key=lambda outcome: outcome.index)
    assert [outcome.index for outcome in outcomes] == list(range(12))
    for place, outcome in enumerate(outcomes):
        ended = expected.halted[place]
        among = expected.residual[place].masked_fill(~ended & ended.any(), math.inf)
        best = int(among.argmin())
        assert torch.equal(outcome.tokens, expected.answers[place, best])
        assert outcome.residual == expected.residual[place, best].item()
        assert outcome.relative_residual == pytest.approx(outcome.residual / math.sqrt(2 * 16 * 8))
        assert outcome.nfe == expected.evaluations[place].sum().item()
        halted = bool(expected.halted[place, best])
        assert outcome.settled == (halted or outcome.relative_residual <= tolerance)
        same = (expected.answers[place] == outcome.tokens).all(dim=-1).double().mean().item()
        assert outcome.agreement == pytest.approx(same)
        assert outcome.halting_score == pytest.approx(torch.sigmoid(expected.halt_logit[place, best]).item())
    assert halting == LearnedHead() or sum(outcome.settled for outcome in outcomes) == 6


def test_a_look_can_be_cut_and_joined_by_problem(reasoner, boards):
    whole = pool(reasoner, boards)
    parts = [whole.problems(torch.arange(12) < 5), whole.problems(torch.arange(5, 12))]
    for field in fields(Pool):
        joined = torch.cat([getattr(part, field.name) for part in parts])
        assert torch.equal(joined, getattr(whole, field.name))


def test_a_feed_forward_network_runs_once_however_deep_the_budget(boards):
    network = FeedForwardReasoner(FeedForwardConfig(**BLOCKS), SHAPE).eval()
    deep = list(Engine(network).solve(boards, Budget(depth=64)))
    shallow = list(Engine(network).solve(boards, Budget(depth=1)))
    assert [outcome.nfe for outcome in deep] == [1] * 12
    for a, b in zip(deep, shallow, strict=True):
        assert torch.equal(a.tokens, b.tokens)
    looks = Engine(network).pools(boards, depths=(1, 16), breadth=1)
    assert looks[0] is looks[1]


def test_no_problems_are_no_outcomes(reasoner, boards):
    assert list(Engine(reasoner).solve(boards[:0], Budget())) == []


def test_identities_go_with_their_problems(boards):
    config = RecursiveConfig(**BLOCKS | {"token_inner": 12}, prefix=2, initial="fixed", noise=0.0, L_cycles=1)
    shape = ProblemShape(vocabulary=6, tokens=16, board=(4, 4), identifiers=5)
    reasoner = RecursiveReasoner(config, shape).eval()
    torch.nn.init.normal_(reasoner.embedding.identity.weight)
    names = torch.tensor([4, 0, 3, 1])

    def residuals(rows, identifiers, memory=None):
        outcomes = Engine(reasoner, memory).solve(rows, Budget(depth=3, breadth=2), identifiers=identifiers)
        found = {outcome.index: outcome.residual for outcome in outcomes}
        return torch.tensor([found[index] for index in range(len(rows))])

    whole = residuals(boards[:4], names)
    torch.testing.assert_close(residuals(boards[:4], names, memory=1), whole, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(residuals(boards[1:2], names[1:2]), whole[1:2], rtol=1e-4, atol=1e-4)
    assert not torch.isclose(residuals(boards[:4], names.flip(0)), whole).any()


def test_running_leaves_no_graph_and_no_state_behind(reasoner, boards):
    before = {name: value.clone() for name, value in reasoner.state_dict().items()}
    Engine(reasoner).pools(boards, depths=(3,), breadth=1)
    assert all(weight.grad is None for weight in reasoner.parameters())
    assert all(torch.equal(before[name], value) for name, value in reasoner.state_dict().items())
