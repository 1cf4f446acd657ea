"""The recursive family: its order of updates, where gradient flows, and where its noise comes from."""

import pytest
import torch
from pydantic import ValidationError

from equilibria.dynamics.noise import NoiseSource
from equilibria.reasoners.feedforward import FeedForwardConfig, FeedForwardReasoner
from equilibria.reasoners.interface import ProblemShape
from equilibria.reasoners.recursive import RecursiveConfig, RecursiveReasoner
from equilibria.recipes import load_recipe

SHAPE = ProblemShape(vocabulary=6, tokens=5)
SMALL = {
    "width": 8,
    "heads": 2,
    "layers": 2,
    "channel_inner": 12,
    "token_inner": 10,
    "H_cycles": 2,
    "L_cycles": 3,
}


def build(**options):
    """In float64: small recursive maps are chaotic, and rounding alone would blur what is compared."""
    reasoner = RecursiveReasoner(RecursiveConfig(**SMALL | options), SHAPE)
    return reasoner.double().compute_in(torch.float64)


def start(reasoner, rows=3):
    tokens = torch.arange(rows * 5).view(rows, 5) % 6
    condition = reasoner.encode(tokens)
    return condition, reasoner.initial_state(condition, NoiseSource(torch.arange(rows)))


def by_hand(reasoner, state, x, draws=None):
    """EqR Alg. 1, written out: every update tracked."""
    config, module = reasoner.config, reasoner.blocks
    damping, noise, index = config.damping, config.noise, 0

    def update(z, injected):
        nonlocal index
        new = damping * z + (1 - damping) * module(injected)
        index += 1
        return new if draws is None else new + noise * draws[index - 1]

    slow, fast = state.unbind(1)
    for _ in range(config.H_cycles):
        for _ in range(config.L_cycles):
            fast = update(fast, fast + slow + x)
        slow = update(slow, slow + fast)
    return torch.stack([slow, fast], dim=1)


def gradients(reasoner, state):
    reasoner.zero_grad()
    state.cos().sum().backward()
    return [weight.grad.clone() for weight in reasoner.blocks.parameters()] + [reasoner.embedding.weight.grad]


def test_an_iteration_is_the_published_schedule():
    reasoner = build()
    condition, state = start(reasoner)
    draws = torch.randn(8, 3, 5, 8, dtype=torch.float64)
    torch.testing.assert_close(
        reasoner.iterate(state, condition, noise=draws).state, by_hand(reasoner, state, condition.x, draws)
    )
    plain = reasoner.iterate(state, condition)
    torch.testing.assert_close(plain.state, by_hand(reasoner, state, condition.x))
    expected = (plain.state - state).flatten(1).norm(dim=1)
    torch.testing.assert_close(plain.residual, expected.float())
    assert not plain.residual.requires_grad


def test_tracking_every_update_gives_the_whole_gradient():
    reasoner = build()
    condition, state = start(reasoner)
    got = gradients(reasoner, reasoner.iterate(state, condition, tracked=8).state)
    condition, _ = start(reasoner)
    expected = gradients(reasoner, by_hand(reasoner, state, condition.x))
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("tracked", [1, 3, 4, 7])
def test_free_updates_carry_no_gradient(tracked):
    """The gradient is that of the last updates alone, from where the free ones led."""
    reasoner = build()
    condition, state = start(reasoner)
    got = gradients(reasoner, reasoner.iterate(state, condition, tracked=tracked).state)
    condition, _ = start(reasoner)
    slow, fast = state.unbind(1)
    for index in range(8):
        with torch.set_grad_enabled(index >= 8 - tracked):
            if index % 4 < 3:
                fast = 0.05 * fast + 0.95 * reasoner.blocks(fast + slow + condition.x)
            else:
                slow = 0.05 * slow + 0.95 * reasoner.blocks(slow + fast)
    expected = gradients(reasoner, torch.stack([slow, fast], dim=1))
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_by_default_the_last_cycle_carries_gradient():
    reasoner = build()
    condition, state = start(reasoner)
    default = gradients(reasoner, reasoner.iterate(state, condition).state)
    condition, _ = start(reasoner)
    cycle = gradients(reasoner, reasoner.iterate(state, condition, tracked=4).state)
    condition, _ = start(reasoner)
    less = gradients(reasoner, reasoner.iterate(state, condition, tracked=3).state)
    assert all(torch.equal(a, b) for a, b in zip(default, cycle, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(default, less, strict=True))


def test_nothing_tracked_means_no_gradient():
    reasoner = build()
    condition, state = start(reasoner)
    assert not reasoner.iterate(state, condition, tracked=0).state.requires_grad
    assert reasoner.iterate(state, condition, tracked=99).state.requires_grad


def test_what_is_tracked_does_not_change_the_state():
    reasoner = build()
    condition, state = start(reasoner)
    noise = NoiseSource(torch.arange(3), 2)
    states = [reasoner.iterate(state, condition, tracked=t, noise=noise).state for t in (0, 1, None, 8)]
    assert all(torch.equal(states[0], other) for other in states[1:])


@pytest.mark.parametrize("streams", [1, 2])
def test_a_source_and_its_raw_draws_lead_to_the_same_state(streams):
    reasoner = build(streams=streams, noise=0.3)
    condition, state = start(reasoner)
    source = NoiseSource(torch.arange(3), torch.tensor([0, 4, 1]))
    raw = torch.stack([source.normal(index, (5, 8), torch.float64) for index in range(8)])
    noisy = reasoner.iterate(state, condition, noise=source).state
    assert torch.equal(noisy, reasoner.iterate(state, condition, noise=raw).state)
    assert not torch.equal(noisy, reasoner.iterate(state, condition).state)


def test_a_map_without_path_noise_does_not_ask_for_draws():
    reasoner = build(noise=0.0)
    condition, state = start(reasoner)
    noisy = reasoner.iterate(state, condition, noise=NoiseSource(torch.arange(3)))
    assert torch.equal(noisy.state, reasoner.iterate(state, condition).state)


def test_a_single_stream_plays_both_parts():
    reasoner = build(streams=1)
    condition, state = start(reasoner)
    z = state[:, 0]
    for _ in range(2):
        for _ in range(3):
            z = 0.05 * z + 0.95 * reasoner.blocks(z + condition.x)
        z = 0.05 * z + 0.95 * reasoner.blocks(z)
    torch.testing.assert_close(reasoner.iterate(state, condition).state[:, 0], z)
    assert reasoner.state_shape == (1, 5, 8)


def test_random_initial_states_are_those_of_the_source_and_differ_between_streams():
    reasoner = build(sigma_H=2.0, sigma_L=0.5, token_inner=8)
    condition = reasoner.encode(torch.zeros(500, 5, dtype=torch.int64))
    state = reasoner.initial_state(condition, NoiseSource(torch.arange(500)))
    assert state[:, 0].std().item() == pytest.approx(2.0, rel=0.02)
    assert state[:, 1].std().item() == pytest.approx(0.5, rel=0.02)
    few = reasoner.initial_state(condition.rows(torch.tensor([7])), NoiseSource(torch.tensor([7])))
    assert torch.equal(few[0], state[7])
    correlation = torch.corrcoef(state.transpose(0, 1).flatten(1))[0, 1]
    assert abs(correlation) < 4.5 / 20_000**0.5


def test_raw_draws_of_an_initial_state_are_scaled_stream_by_stream():
    reasoner = build(sigma_H=2.0, sigma_L=0.5)
    condition, _ = start(reasoner)
    draws = torch.randn(3, 2, 5, 8, dtype=torch.float64)
    state = reasoner.initial_state(condition, draws)
    assert torch.equal(state[:, 0], 2.0 * draws[:, 0])
    assert torch.equal(state[:, 1], 0.5 * draws[:, 1])
    with pytest.raises(ValueError, match="needs a noise source"):
        reasoner.initial_state(condition, None)


@pytest.mark.parametrize("trained", [{"initial": "fixed"}, {"initial": "learned", "tracked": 8}])
def test_what_was_trained_from_one_state_may_be_restarted_from_random_ones(trained):
    weights = build(**trained).state_dict()
    reasoner = build(initial="gaussian")
    reasoner.load_state_dict(weights)
    _, state = start(reasoner, rows=2)
    assert not torch.equal(state[0], state[1])
    for name, value in reasoner.state_dict().items():
        assert torch.equal(value, weights[name])
    with pytest.raises(RuntimeError, match="fixed_state"):  # from random ones to one that nobody has
        build(initial="fixed").load_state_dict(reasoner.state_dict())


def test_a_fixed_initial_state_is_one_vector_for_all_rows_and_tokens_and_is_saved():
    reasoner = build(initial="fixed")
    condition, _ = start(reasoner)
    state = reasoner.initial_state(condition, None)
    assert torch.equal(state, reasoner.fixed_state[None, :, None, :].expand_as(state))
    assert "fixed_state" in reasoner.state_dict()
    assert "fixed_state" not in build().state_dict()


def test_the_prefix_carries_the_halting_score_and_no_answer():
    reasoner = build(prefix=2, initial="fixed")
    condition = reasoner.encode(torch.zeros(3, 5, dtype=torch.int64))
    state = reasoner.initial_state(condition, None)
    assert state.shape == (3, 2, 7, 8)
    assert reasoner.decode(state).logits.shape == (3, 5, 6)
    assert len(reasoner.identity_parameters()) == 1
    counted = sum(weight.numel() for weight in reasoner.parameters())
    assert reasoner.parameter_count() == counted - 8


@pytest.mark.parametrize(("recipe", "parameters"), [("eqr-sudoku", 4_855_298), ("trm-sudoku", 5_028_866)])
def test_published_sizes(recipe, parameters):
    recipe = load_recipe(recipe)
    reasoner = recipe.build_reasoner(recipe.build_task())
    assert reasoner.parameter_count() == parameters
    assert reasoner.equivalent_layers == 42
    assert reasoner.tracked_layers == 14


def test_rows_do_not_see_each_other():
    reasoner = build(mixing="attention", positions="learned")
    condition, state = start(reasoner)
    alone = torch.tensor([2])
    together = reasoner.iterate(state, condition, noise=NoiseSource(torch.arange(3))).state[2]
    apart = reasoner.iterate(state[2:], condition.rows(alone), noise=NoiseSource(alone)).state[0]
    torch.testing.assert_close(together, apart)


def test_computing_in_bfloat16_keeps_float32_weights_and_gradients():
    reasoner = build().float().compute_in(torch.bfloat16)
    condition, state = start(reasoner)
    step = reasoner.iterate(state, condition, noise=NoiseSource(torch.arange(3)))
    assert step.state.dtype == torch.bfloat16
    assert step.residual.dtype == torch.float32
    reasoner.decode(step.state).logits.float().sum().backward()
    for name, weight in reasoner.named_parameters():
        if "halt_head" not in name:
            assert weight.grad.dtype == torch.float32
            assert weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"mixing": "attention", "heads": 3}, "multiple of 2 x heads"),
        ({"positions": "rope"}, "need mixing: attention"),
        ({"mixing": "attention", "positions": "rope2d", "prefix": 1}, "rope2d covers the board only"),
        ({"prefix": 1, "identity_width": 9}, "does not fit 1 prefix slots"),
        ({"damping": 1.0}, "less than 1"),
        ({"streams": 3}, "1 or 2"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(options, reason):
    with pytest.raises(ValidationError, match=reason):
        RecursiveConfig(**SMALL | options)


def test_a_feed_forward_network_has_one_iteration_and_blocks_of_its_own():
    config = FeedForwardConfig(**{k: v for k, v in SMALL.items() if "cycles" not in k} | {"layers": 3})
    reasoner = FeedForwardReasoner(config, SHAPE)
    condition = reasoner.encode(torch.zeros(2, 5, dtype=torch.int64))
    state = reasoner.initial_state(condition, None)
    assert not state.any()
    first = reasoner.iterate(state, condition)
    x = condition.x
    for block in reasoner.blocks:
        x = block(x)
    assert torch.equal(first.state[:, 0], x)
    assert reasoner.iterate(first.state, condition).residual.tolist() == [0.0, 0.0]
    assert reasoner.max_depth == 1
    assert reasoner.equivalent_layers == reasoner.tracked_layers == 3
