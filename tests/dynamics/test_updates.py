"""Relaxation, residuals and halting."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equilibria.dynamics.halting import FixedDepth, LearnedHead, Signals
from equilibria.dynamics.noise import NoiseSource
from equilibria.dynamics.relaxation import Relaxation
from equilibria.dynamics.residual import distance


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 0.999), st.floats(0, 2))
def test_relaxation_is_eqr_equation_2(damping, noise):
    generator = torch.Generator().manual_seed(1)
    z, f, draw = torch.randn(3, 2, 4, dtype=torch.float64, generator=generator)
    got = Relaxation(damping, noise)(z, f, draw)
    torch.testing.assert_close(got, z + (1 - damping) * (f - z) + noise * draw)


def test_without_damping_the_new_state_is_taken_as_it_is():
    z, f = torch.full((2, 3), torch.inf), torch.randn(2, 3)
    assert torch.equal(Relaxation(0.0, 0.5)(z, f, None), f)  # not 0 · old + new: old may be anything


def test_relaxation_leaves_its_arguments_alone():
    z, f, draw = torch.randn(3, 2, 4)
    kept = z.clone(), f.clone(), draw.clone()
    for damping in (0.0, 0.5):
        Relaxation(damping, 0.1)(z, f, draw)
    assert all(torch.equal(a, b) for a, b in zip((z, f, draw), kept, strict=True))


def test_noise_is_not_scaled_by_the_damping():
    z = f = torch.zeros(1, 5)
    draw = torch.randn(1, 5)
    assert torch.equal(Relaxation(0.9, 0.1)(z, f, draw), Relaxation(0.0, 0.1)(z, f, draw))


def test_distance_is_the_euclidean_norm_over_all_but_the_batch():
    after, before = torch.randn(4, 2, 3, 5), torch.randn(4, 2, 3, 5)
    expected = (after - before).square().sum(dim=(1, 2, 3)).sqrt()
    torch.testing.assert_close(distance(after, before), expected)
    assert torch.equal(distance(after, after), torch.zeros(4))


def test_distance_adds_up_in_float32():
    ones, zeros = torch.ones(1, 10_000, dtype=torch.bfloat16), torch.zeros(1, 10_000, dtype=torch.bfloat16)
    got = distance(ones, zeros)
    assert got.dtype == torch.float32
    assert got.item() == pytest.approx(100.0)


def test_a_fixed_depth_never_halts_and_learns_nothing():
    steps = torch.arange(5)
    signals = Signals(steps, halt_logit=torch.full((5,), 9.0), correct=torch.ones(5))
    assert not FixedDepth().halts(signals, {})[0].any()
    assert not FixedDepth().loss(signals, peek=None).any()


def test_a_learned_head_halts_above_its_threshold():
    logits = torch.tensor([-1.0, 0.0, 0.1, 3.0])
    signals = Signals(torch.ones(4), halt_logit=logits)
    assert LearnedHead().halts(signals, {})[0].tolist() == [False, False, True, True]
    assert LearnedHead(threshold=1.0).halts(signals, {})[0].tolist() == [False, False, False, True]
    assert not LearnedHead(acts=False).halts(signals, {})[0].any()


def test_a_learned_head_needs_a_head():
    signals = Signals(torch.ones(2), correct=torch.ones(2))
    with pytest.raises(TypeError, match="needs a halting head"):
        LearnedHead().halts(signals, {})
    with pytest.raises(TypeError, match="needs a halting head"):
        LearnedHead().loss(signals, peek=None)


def test_the_halting_loss_is_weighted_cross_entropy_with_being_right():
    logit = torch.tensor([2.0, 2.0, -1.0], requires_grad=True)
    right = torch.tensor([True, False, False])
    signals = Signals(torch.ones(3), halt_logit=logit, correct=right)
    loss = LearnedHead(weight=0.25).loss(signals, peek=None)
    chance = torch.sigmoid(logit)
    torch.testing.assert_close(loss, -0.25 * torch.where(right, chance, 1 - chance).log())
    (gradient,) = torch.autograd.grad(loss.sum(), logit)
    torch.testing.assert_close(gradient, 0.25 * (chance - right.float()))


def least_steps(depth, exploration, rows=40_000):
    """The step each row may first halt at, found by asking at every step with the same draws."""
    uniform = NoiseSource(torch.arange(rows)).uniform(0, 2)
    halting, always = LearnedHead(exploration=exploration), torch.ones(rows, dtype=torch.bool)
    may = [halting.explore(always, torch.full((rows,), s), depth, uniform) for s in range(1, depth + 1)]
    return torch.stack(may), torch.stack(may).int().argmax(dim=0) + 1


@pytest.mark.parametrize("depth", [2, 3, 7, 16])
def test_exploring_rows_live_to_a_step_uniform_from_two_to_the_depth(depth):
    may, least = least_steps(depth, 1.0)
    counts = torch.bincount(least, minlength=depth + 1)[2:].double()
    assert counts.sum() == len(least)
    expected = len(least) / (depth - 1)
    assert (counts - expected).abs().max() < 4.5 * expected**0.5
    # Never before its step, and always from it on.
    steps = torch.arange(1, depth + 1)[:, None]
    assert torch.equal(may, steps >= least)


def test_as_many_rows_explore_as_asked():
    _, least = least_steps(16, 0.1)
    assert (least > 1).double().mean().item() == pytest.approx(0.1, abs=0.01)
    assert (least_steps(16, 0.0)[1] == 1).all()


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 4096), st.integers(1, 2**24 - 1))
def test_every_row_halts_at_its_depth_whatever_it_draws(depth, word):
    uniform = torch.tensor([[2.0**-25, word * 2.0**-24]])
    at_depth = LearnedHead(exploration=1.0).explore(
        torch.tensor([True]), torch.tensor([depth]), depth, uniform
    )
    assert at_depth.all()


def test_exploring_only_withholds_halts():
    uniform = NoiseSource(torch.arange(100)).uniform(0, 2)
    nobody = torch.zeros(100, dtype=torch.bool)
    assert not LearnedHead(exploration=1.0).explore(nobody, torch.full((100,), 16), 16, uniform).any()
