"""Reasoners of one level: where they start, what an iteration is, and that rows do not see each other."""

import pytest
import torch
from torch.testing import assert_close

from equilibria.dynamics.noise import NoiseSource
from equilibria.dynamics.solve import solve
from equilibria.dynamics.solvers import Anderson, PatienceDamped
from equilibria.nn.second_order import second_order
from equilibria.reasoners import configure, family
from equilibria.reasoners.interface import ProblemShape

SMALL = {"width": 16, "heads": 2, "layers": 2, "channel_inner": 32, "token_inner": 16}
SHAPE = ProblemShape(vocabulary=5, tokens=9, board=(3, 3))


def build(name, **options):
    torch.manual_seed(0)
    return family(name)(configure({"family": name, **SMALL, **options}), SHAPE)


@pytest.fixture
def tokens():
    return torch.randint(0, 5, (4, 9))


def source(rows):
    return NoiseSource.trajectories(0, torch.arange(rows), 0)


def test_where_trajectories_start(tokens):
    for name, expected in (("deq", "zeros"), ("looped", "condition")):
        reasoner = build(name)
        condition = reasoner.encode(tokens)
        start = reasoner.initial_state(condition, None)
        assert start.shape == (4, *reasoner.state_shape)
        wanted = torch.zeros_like(start) if expected == "zeros" else condition.x[:, None]
        assert torch.equal(start, wanted)
        assert not start.requires_grad
    reasoner = build("fprm", width=64)
    start = reasoner.initial_state(reasoner.encode(tokens), source(4))
    assert start.std().item() == pytest.approx(6.0, rel=0.05)
    draws = torch.randn(4, 1, 9, 64)
    assert torch.equal(reasoner.initial_state(reasoner.encode(tokens), draws), 6.0 * draws)
    with pytest.raises(ValueError, match="needs a noise source"):
        reasoner.initial_state(reasoner.encode(tokens), None)


@pytest.mark.parametrize("name", ["fprm", "looped", "deq"])
def test_an_iteration_is_the_level_once(name, tokens):
    reasoner = build(name)
    condition = reasoner.encode(tokens)
    state = torch.randn(4, *reasoner.state_shape)
    step = reasoner.iterate(state, condition)
    assert torch.equal(step.state[:, 0], reasoner.blocks(state[:, 0], condition.x))
    assert_close(step.residual, (step.state - state).flatten(1).norm(dim=1).detach())
    assert step.evaluations == 1
    assert reasoner.equivalent_layers == reasoner.tracked_layers == 2


def test_scaled_pre_norm_states_stay_bounded_where_plain_ones_grow(tokens):
    """FPRM Thm. 1: coupled scales bound the iterates of a pre-norm loop."""
    sizes = {}
    for mode in ("channel", "none"):
        reasoner = build("looped", norm="pre", residual_scale=mode)
        with torch.no_grad():
            condition = reasoner.encode(tokens)
            state = reasoner.initial_state(condition, None)
            for _ in range(100):
                state = reasoner.iterate(state, condition).state
        sizes[mode] = state.square().mean().sqrt().item()
    assert sizes["channel"] < 10
    assert sizes["none"] > 100


@pytest.mark.parametrize("solver", [PatienceDamped(), Anderson()], ids=lambda solver: solver.name)
def test_rows_settle_alike_whatever_shares_their_batch(solver, tokens):
    reasoner = build("fprm")

    def settle(rows):
        condition = reasoner.encode(tokens[rows])
        start = reasoner.initial_state(condition, NoiseSource(source(4).keys[rows]))
        return solve(
            lambda z: reasoner.iterate(z, condition).state, start, solver, tolerance=0.01, max_iterations=60
        )

    with torch.no_grad():
        together, alone = settle([0, 1, 2, 3]), [settle([row]) for row in range(4)]
    for row, solution in enumerate(alone):
        assert together.iterations[row] == solution.iterations[0]
        assert_close(together.state[row], solution.state[0], atol=1e-4, rtol=1e-4)


def test_second_gradients_leave_the_compiled_level_aside(tokens, monkeypatch):
    reasoner = build("deq")
    condition, state = reasoner.encode(tokens), torch.randn(4, *build("deq").state_shape)

    def refuse(*_):
        raise AssertionError("the compiled level was asked")

    monkeypatch.setattr(reasoner, "_apply_level", refuse)
    with second_order():
        after = reasoner.iterate(state.requires_grad_(), condition).state
    (first,) = torch.autograd.grad(after.square().sum(), state, create_graph=True)
    first.square().sum().backward()
    assert reasoner.embedding.weight.grad.any()
