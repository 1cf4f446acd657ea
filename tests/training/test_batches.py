"""Which problem is where at which step: the sampler and the rolling batch."""

import pytest
import torch

from equilibria.dynamics.halting import FixedDepth, LearnedHead
from equilibria.dynamics.solvers import Picard
from equilibria.tasks import load_task
from equilibria.tasks.interface import Problems
from equilibria.training.carry import Batch, Carry
from equilibria.training.losses import IGNORE
from equilibria.training.rolling import backward
from equilibria.training.sampler import Sampler
from equilibria.training.schedules import SegmentedOnline
from equilibria.training.segment import Supervision, run_segment

SUDOKU = load_task({"name": "sudoku", "box": [2, 2]})
PLACES = torch.tensor([64, 16, 4, 1])


def numbered(count):
    """Boards that spell their number in the last four cells, in base four."""
    inputs = torch.zeros(count, 16, dtype=torch.uint8)
    inputs[:, 12:] = 2 + torch.arange(count)[:, None] // PLACES % 4
    labels = torch.full_like(inputs, 2)
    labels[:, 3] = 0
    return Problems(inputs, labels, ("made",) * count)


def sampler(count=50, batch=8, share=None, **options):
    options = {"seed": 0, "augment": False} | options
    return Sampler(
        numbered(count),
        SUDOKU,
        batch=batch,
        share=share or slice(0, batch),
        device=torch.device("cpu"),
        **options,
    )


def numbers(batch):
    return ((batch.inputs[:, 12:] - 2) * PLACES).sum(dim=1).tolist()


def test_an_epoch_visits_every_problem_once_up_to_the_partial_batch():
    batches, orders = sampler(50, 8), []
    for epoch in range(3):
        seen = [number for place in range(6) for number in numbers(batches.at(epoch * 6 + place))]
        assert len(seen) == len(set(seen)) == 48
        orders.append(seen)
    assert orders[0] != orders[1] != orders[2]
    assert {*orders[0]} | {*orders[1]} | {*orders[2]} == set(range(50))  # who is left out changes


def test_a_batch_that_divides_the_data_leaves_no_one_out():
    batches = sampler(32, 8)
    assert sorted(n for step in range(4) for n in numbers(batches.at(step))) == list(range(32))
    assert sorted(numbers(sampler(8, 8).at(3))) == list(range(8))


@pytest.mark.parametrize("augment", [False, True])
def test_a_batch_is_a_function_of_its_step_alone(augment):
    forward, jumping = sampler(augment=augment), sampler(augment=augment)
    expected = [forward.at(step) for step in range(15)]
    for step in (14, 3, 7, 3, 0, 11):
        got = jumping.at(step)
        for name in ("inputs", "targets", "keys", "identifiers"):
            assert torch.equal(getattr(got, name), getattr(expected[step], name))


def test_another_seed_is_another_order_and_other_draws():
    first, second = sampler(seed=0).at(0), sampler(seed=1).at(0)
    assert numbers(first) != numbers(second)
    assert not (first.keys == second.keys).any()


def test_every_arrival_has_a_key_of_its_own():
    batches = sampler(50, 8)
    keys = torch.cat([batches.at(step).keys for step in range(100)])
    assert keys.unique().numel() == 800


def test_a_batch_larger_than_the_data_repeats_it_evenly():
    batches = sampler(10, 25)
    for step in range(3):
        counts = torch.bincount(torch.tensor(numbers(batches.at(step))), minlength=10)
        assert counts.min() >= 2
        assert counts.max() <= 3
        assert counts.sum() == 25
    assert numbers(batches.at(0)) != numbers(batches.at(1))


@pytest.mark.parametrize(("count", "batch"), [(50, 8), (5, 8)])
def test_shares_of_processes_make_up_the_batch(count, batch):
    whole = sampler(count, batch, augment=True).at(5)
    parts = [sampler(count, batch, augment=True, share=slice(s, s + 4)).at(5) for s in (0, 4)]
    for name in ("inputs", "targets", "keys"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))


def test_cells_without_a_label_are_not_asked_for():
    targets = sampler().at(0).targets
    assert (targets[:, 3] == IGNORE).all()
    assert (targets[:, :3] == 2).all()
    assert targets.dtype == torch.int64


def test_augmentation_varies_a_problem_every_time_and_keeps_it_solvable():
    problems = SUDOKU.generate(6, seed=0)
    varied = Sampler(
        problems, SUDOKU, batch=6, share=slice(0, 6), seed=0, augment=True, device=torch.device("cpu")
    )
    seen = torch.cat([varied.at(step).inputs for step in range(20)])
    assert len(seen.unique(dim=0)) > 60
    for step in range(3):
        batch = varied.at(step)
        assert SUDOKU.valid(batch.inputs.to(torch.uint8), batch.targets.to(torch.uint8)).all()


@pytest.fixture
def reasoner(tiny):
    return tiny().build_reasoner(SUDOKU)


def free_carry(reasoner, rows):
    return Carry.free(reasoner, Picard(), LearnedHead(), rows, torch.device("cpu"))


def filled(reasoner, rows=6, first=0):
    batch = sampler(50, rows, seed=first).at(0)
    carry = free_carry(reasoner, rows)
    return carry.refill(batch, torch.randn(rows, *reasoner.state_shape), {})


def test_a_free_carry_takes_everything_that_arrives(reasoner):
    batch, fresh = sampler(50, 6).at(0), torch.randn(6, *reasoner.state_shape)
    free = free_carry(reasoner, 6)
    assert free.halted.all()
    carry = free.refill(batch, fresh, {})
    assert torch.equal(carry.state, fresh)
    assert torch.equal(carry.batch.inputs, batch.inputs)
    assert not carry.halted.any()
    assert not carry.steps.any()


def test_halted_rows_take_what_arrives_at_their_place_and_others_keep_theirs(reasoner):
    halted = torch.tensor([True, False, False, True, False, True])
    before = filled(reasoner).next(torch.randn(6, *reasoner.state_shape), {}, halted)
    before = before.next(before.state, {}, halted)
    arriving, fresh = sampler(50, 6, seed=9).at(0), torch.randn(6, *reasoner.state_shape)
    after = before.refill(arriving, fresh, {})
    assert torch.equal(after.state[halted], fresh[halted])
    assert torch.equal(after.state[~halted], before.state[~halted])
    for name in ("inputs", "targets", "keys", "identifiers"):
        new, old, got = (getattr(b, name) for b in (arriving, before.batch, after.batch))
        assert torch.equal(got[halted], new[halted])
        assert torch.equal(got[~halted], old[~halted])
    assert after.steps.tolist() == [0, 2, 2, 0, 2, 0]
    assert not after.halted.any()


def test_rows_can_be_taken_apart_and_joined(reasoner):
    carry = filled(reasoner)
    joined = Carry.join([carry.rows(slice(0, 2)), carry.rows(slice(2, 6))])
    back = Carry.of(joined.tensors())
    assert carry.tensors().keys() == {"state", "steps", "halted", "inputs", "targets", "keys", "identifiers"}
    assert all(torch.equal(value, back.tensors()[name]) for name, value in carry.tensors().items())


def test_a_row_lives_at_most_its_depth(reasoner):
    carry = filled(reasoner)
    for step in range(1, 4):
        segment = run_segment(reasoner, carry, Supervision(SegmentedOnline(), FixedDepth(), 3))
        carry = segment.carry
        assert not carry.state.requires_grad
        assert carry.steps.tolist() == [step] * 6
        assert carry.halted.all() == (step == 3)
        assert carry.halted.any() == (step == 3)
        assert segment.metrics["finished"] == (6 if step == 3 else 0)


def test_a_confident_head_frees_its_row_at_once_and_never_beyond_exploration(reasoner):
    torch.nn.init.constant_(reasoner.halt_head.score.bias, 9.0)
    ends = []
    for exploration in (0.0, 1.0):
        carry, lives = filled(reasoner), torch.zeros(6, dtype=torch.int64)
        for step in range(1, 6):
            halting = LearnedHead(exploration=exploration)
            carry = run_segment(reasoner, carry, Supervision(SegmentedOnline(), halting, 5)).carry
            lives = torch.where((lives == 0) & carry.halted, step, lives)
        ends.append(lives)
    assert ends[0].tolist() == [1] * 6
    assert ends[1].min() >= 2
    assert ends[1].max() <= 5


def test_rows_without_targets_are_not_counted(reasoner):
    carry = filled(reasoner)
    nothing = torch.full_like(carry.batch.targets, IGNORE)
    blank = Batch(carry.batch.inputs, nothing, carry.batch.keys, carry.steps)
    segment = run_segment(
        reasoner,
        Carry(carry.state, carry.steps, carry.halted, blank, {}),
        Supervision(SegmentedOnline(), FixedDepth(), 1, "softmax"),
    )
    assert segment.metrics["finished"] == 0
    assert segment.metrics["exact"] == 0
    assert segment.loss == 0


@pytest.mark.parametrize("parts", [2, 3, 6])
def test_accumulated_gradients_are_those_of_one_batch(tiny, reasoner, parts):
    carry = filled(reasoner)
    whole = tiny("training.batch=6").training
    after, metrics = backward(reasoner, carry, whole)
    expected = {name: weight.grad.clone() for name, weight in reasoner.named_parameters()}
    reasoner.zero_grad()
    cut = tiny("training.batch=6", f"training.accumulate={parts}").training
    after_parts, metrics_parts = backward(reasoner, carry, cut)
    for name, weight in reasoner.named_parameters():
        scale = expected[name].abs().max().item()
        torch.testing.assert_close(weight.grad, expected[name], rtol=1e-3, atol=1e-3 * scale)
    torch.testing.assert_close(after_parts.state, after.state, rtol=1e-3, atol=1e-3)
    assert torch.equal(after_parts.batch.keys, after.batch.keys)
    torch.testing.assert_close(metrics_parts["loss"], metrics["loss"], rtol=1e-5, atol=1e-5)
    assert metrics_parts["rows"] == 6


def test_the_gradient_is_that_of_the_mean_over_the_global_batch(tiny, reasoner):
    """A process that holds half of the rows divides by all of them."""
    carry = filled(reasoner)
    backward(reasoner, carry, tiny("training.batch=6").training)
    own = reasoner.answer_head.weight.grad.clone()
    reasoner.zero_grad()
    backward(reasoner, carry, tiny("training.batch=12").training)
    torch.testing.assert_close(reasoner.answer_head.weight.grad, own / 2)
