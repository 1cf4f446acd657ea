"""The published reasoners, made fast, are still the plain ones of `benchmarks/plain.py`."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from equilibria.dynamics.halting import LearnedHead, Signals
from equilibria.dynamics.noise import NoiseSource
from equilibria.interop import our_name
from equilibria.nn import int8
from equilibria.reasoners.interface import ProblemShape
from equilibria.reasoners.recursive import RecursiveConfig, RecursiveReasoner
from equilibria.recipes import load_recipe
from equilibria.training.losses import answer_loss, is_correct

ROOT = Path(__file__).resolve().parents[2]


def load_plain():
    spec = importlib.util.spec_from_file_location("plain", ROOT / "benchmarks" / "plain.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


plain = load_plain()
SUDOKU = plain.SUDOKU
# As the published maze model, on a board of 4 x 4.
MAZE = plain.Model(vocabulary=6, tokens=16, width=32, layers=1, heads=4, H_cycles=3, L_cycles=4)


def error(got, expected):
    """Largest difference, relative to the largest magnitude expected."""
    return ((got.double() - expected.double()).abs().max() / expected.double().abs().max()).item()


def spread(got, expected):
    """Root-mean-square difference, relative to the root-mean-square expected."""
    return ((got.double() - expected.double()).norm() / expected.double().norm()).item()


def both(shape, config, board):
    """Both paths on one set of weights, with a state and a problem of two rows."""
    torch.manual_seed(0)
    weights = plain.weights(shape)
    with torch.no_grad():
        weights["inner.q_head.weight"].normal_(std=0.05)  # zero as published: nothing would flow through it
    reasoner = RecursiveReasoner(config, ProblemShape(shape.vocabulary, shape.tokens, board))
    reasoner.load_state_dict({our_name(name): weight.detach() for name, weight in weights.items()})
    state = torch.randn(2, 2, shape.tokens, shape.width).clamp(-2.27, 2.27).bfloat16().float()
    tokens = torch.randint(1, shape.vocabulary, (2, shape.tokens))
    targets = torch.randint(2, shape.vocabulary, (2, shape.tokens))
    return weights, reasoner, state, tokens, targets


@pytest.fixture(scope="module")
def model():
    return both(SUDOKU, load_recipe("eqr-sudoku").reasoner, (9, 9))


@pytest.fixture(scope="module")
def maze():
    config = RecursiveConfig(
        width=32, heads=4, layers=1, mixing="attention", positions="rope", H_cycles=3, L_cycles=4
    )
    return both(MAZE, config, (4, 4))


def plain_iteration(model, dtype, shape=SUDOKU):
    weights, _, state, tokens, _ = model
    streams = tuple(state.to(dtype).unbind(1))
    streams, logits, halt = plain.iteration(streams, tokens, weights, shape, noise=0.0)
    return torch.stack(streams, dim=1), logits, halt


@torch.no_grad()
def our_iteration(model, dtype):
    _, reasoner, state, tokens, _ = model
    condition = reasoner.compute_in(dtype).encode(tokens)
    after = reasoner.iterate(state.to(dtype), condition).state
    prediction = reasoner.decode(after, condition)
    return after, prediction.logits, prediction.halt_logit


def plain_segment(model, dtype, shape=SUDOKU):
    """Loss, and gradients by our names."""
    weights, _, state, tokens, targets = model
    for weight in weights.values():
        weight.grad = None
    streams = tuple(state.to(dtype).unbind(1))
    _, loss, _ = plain.segment(streams, tokens, targets, weights, shape, noise=0.0)
    loss.backward()
    return loss.detach(), {our_name(name): weight.grad for name, weight in weights.items()}


def our_segment(model, dtype):
    _, reasoner, state, tokens, targets = model
    reasoner.zero_grad()
    condition = reasoner.compute_in(dtype).encode(tokens)
    prediction = reasoner.decode(reasoner.iterate(state.to(dtype), condition).state, condition)
    answer = answer_loss(prediction.logits, targets, "stablemax").sum()
    correct = is_correct(prediction.logits, targets)
    signals = Signals(torch.ones(len(correct)), halt_logit=prediction.halt_logit, correct=correct)
    loss = answer + LearnedHead(weight=0.5).loss(signals, peek=None).sum()
    loss.backward()
    return loss.detach(), {name: weight.grad for name, weight in reasoner.named_parameters()}


def test_the_plain_path_has_the_published_number_of_weights():
    assert sum(weight.numel() for weight in plain.weights(SUDOKU).values()) == 4_855_298
    assert sum(weight.numel() for weight in plain.weights(plain.MAZE).values()) == 263_938


def test_an_iteration_is_the_plain_one(model):
    ours, theirs = our_iteration(model, torch.float32), plain_iteration(model, torch.float32)
    for mine, expected in zip(ours, theirs, strict=True):
        assert error(mine, expected) < 2e-4


def test_an_iteration_with_attention_is_the_plain_one(maze):
    ours, theirs = our_iteration(maze, torch.float32), plain_iteration(maze, torch.float32, MAZE)
    for mine, expected in zip(ours, theirs, strict=True):
        assert error(mine, expected) < 2e-4


def test_a_training_segment_with_attention_is_the_plain_one(maze):
    expected_loss, expected_gradients = plain_segment(maze, torch.float32, MAZE)
    loss, gradients = our_segment(maze, torch.float32)
    torch.testing.assert_close(loss, expected_loss, rtol=1e-5, atol=0)
    for name, expected in expected_gradients.items():
        assert error(gradients[name], expected) < 1e-3, name


@pytest.fixture(scope="module")
def exact(model):
    """Loss and gradients of the plain segment in float32."""
    loss, gradients = plain_segment(model, torch.float32)
    return loss, {name: gradient.clone() for name, gradient in gradients.items()}


def test_a_training_segment_is_the_plain_one(model, exact):
    loss, gradients = our_segment(model, torch.float32)
    torch.testing.assert_close(loss, exact[0], rtol=1e-5, atol=0)
    assert gradients.keys() == exact[1].keys()
    for name, expected in exact[1].items():
        assert expected.abs().max() > 0, name
        assert error(gradients[name], expected) < 1e-3, name


@torch.no_grad()
def test_the_map_in_bfloat16_is_as_far_from_float32_as_the_plain_one_is(model):
    weights, reasoner, state, _, _ = model
    x = state[:, 0]
    expected = plain.module(x, weights, SUDOKU)
    ours = reasoner.blocks.cast(torch.bfloat16)(x.bfloat16())
    theirs = plain.module(x.bfloat16(), weights, SUDOKU)
    assert spread(ours, expected) < 0.01
    assert spread(ours, expected) < 1.1 * spread(theirs, expected)


def test_an_iteration_in_bfloat16_is_as_far_from_float32_as_the_plain_one_is(model):
    """Random weights amplify rounding from update to update, so the bound on both is loose."""
    expected = plain_iteration(model, torch.float32)[0]
    ours, theirs = our_iteration(model, torch.bfloat16)[0], plain_iteration(model, torch.bfloat16)[0]
    assert ours.dtype == torch.bfloat16
    assert spread(ours, expected) < 0.3
    assert spread(ours, expected) < 1.25 * spread(theirs, expected)


def test_bfloat16_gradients_are_as_far_from_float32_as_the_plain_path_is(model, exact):
    _, ours = our_segment(model, torch.bfloat16)
    _, theirs = plain_segment(model, torch.bfloat16)
    for name, expected in exact[1].items():
        assert spread(ours[name], expected) < 1.5 * spread(theirs[name], expected) + 1e-3, name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler's own modules
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiled_updates_are_the_eager_ones(dtype):
    torch.manual_seed(0)
    config = RecursiveConfig(width=32, layers=1, token_inner=16, channel_inner=32, H_cycles=2, L_cycles=2)
    reasoner = RecursiveReasoner(config, ProblemShape(vocabulary=7, tokens=9)).compute_in(dtype)
    tokens, state = torch.randint(0, 7, (3, 9)), torch.randn(3, 2, 9, 32).to(dtype)
    draws = torch.randn(len(reasoner.updates), 3, 9, 32)

    def run():
        reasoner.zero_grad()
        with torch.no_grad():
            free = reasoner.iterate(state, reasoner.encode(tokens), noise=draws).state
        tracked = reasoner.iterate(state, reasoner.encode(tokens), noise=draws).state
        tracked.float().cos().sum().backward()
        gradients = [weight.grad.clone() for weight in reasoner.blocks.parameters()]
        return [free, tracked.detach(), reasoner.embedding.weight.grad.clone(), *gradients]

    eager = run()
    assert reasoner.compiled() is reasoner
    for got, expected in zip(run(), eager, strict=True):
        assert spread(got, expected) < (1e-4 if dtype == torch.float32 else 0.15)  # fused: fewer roundings


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler's own modules
def test_deferred_draws_make_the_same_updates():
    """As on a GPU, where the compiler draws the noise inside an update."""
    torch.manual_seed(0)
    config = RecursiveConfig(width=32, layers=1, token_inner=16, channel_inner=32, H_cycles=2, L_cycles=1)
    reasoner = RecursiveReasoner(config, ProblemShape(vocabulary=7, tokens=9))
    tokens, state = torch.randint(0, 7, (3, 9)), torch.randn(3, 2, 9, 32)
    noise = NoiseSource.trajectories(1, torch.arange(3), 0)

    @torch.no_grad()
    def run():
        return reasoner.iterate(state, reasoner.encode(tokens), noise=noise).state

    eager = run()
    reasoner._defers = True
    torch.testing.assert_close(run(), eager, rtol=0, atol=0)
    reasoner.compiled()
    reasoner._defers = True
    torch.testing.assert_close(run(), eager, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler's own modules
@pytest.mark.skipif(not int8.available(), reason="needs an x86 build of PyTorch with oneDNN")
def test_an_int8_reasoner_is_near_the_exact_one():
    torch.manual_seed(0)
    config = RecursiveConfig(width=64, layers=1, token_inner=16, channel_inner=64, H_cycles=1, L_cycles=1)
    reasoner = RecursiveReasoner(config, ProblemShape(vocabulary=7, tokens=9)).compute_in(torch.bfloat16)
    tokens, state = torch.randint(0, 7, (3, 9)), torch.randn(3, 2, 9, 64).bfloat16()

    @torch.no_grad()
    def run():
        return reasoner.iterate(state, reasoner.encode(tokens)).state

    eager = run()
    assert reasoner.frozen(int8=True) is reasoner
    assert 1e-4 < spread(run(), eager) < 0.1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler's own modules
def test_a_frozen_reasoner_infers_as_before_and_keeps_the_weights_it_was_frozen_with():
    torch.manual_seed(0)
    config = RecursiveConfig(width=32, layers=1, token_inner=16, channel_inner=32, H_cycles=2, L_cycles=1)
    reasoner = RecursiveReasoner(config, ProblemShape(vocabulary=7, tokens=9))
    tokens, state = torch.randint(0, 7, (3, 9)), torch.randn(3, 2, 9, 32)
    draws = torch.randn(len(reasoner.updates), 3, 9, 32)

    @torch.no_grad()
    def run():
        return reasoner.iterate(state, reasoner.encode(tokens), noise=draws).state

    eager = run()
    assert reasoner.frozen() is reasoner
    assert spread(run(), eager) < 1e-4
    with torch.no_grad():
        for weight in reasoner.blocks.parameters():
            weight.zero_()
    assert spread(run(), eager) < 1e-4
