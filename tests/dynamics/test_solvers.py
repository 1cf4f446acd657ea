"""Solvers: what they converge on, that samples never see each other, and what a recipe may say of them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from equilibria.dynamics.norms import residual
from equilibria.dynamics.solve import solve
from equilibria.dynamics.solvers import Anderson, AnySolver, Broyden, PatienceDamped, Picard, Relaxed
from equilibria.training.config import Solving

EVERY = [
    Picard(norm="relative-l2"),
    Relaxed(damping=0.3, norm="relative-l2"),
    PatienceDamped(norm="relative-linf", threshold=1e-8),
    Anderson(),
    Broyden(),
]


def contraction(seed, size=12, norm=0.9, rows=3):
    """`f(z) = tanh(W z + c)` with ‖W‖₂ = norm, in float64; each row has its own c."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(size, size, generator=generator, dtype=torch.float64)
    weight *= norm / torch.linalg.matrix_norm(weight, 2)
    c = torch.randn(rows, size, generator=generator, dtype=torch.float64)
    return lambda z: torch.tanh((z[:, None] * weight).sum(-1) + c[: len(z)])  # row by row the same sum


@pytest.mark.parametrize("solver", EVERY, ids=lambda s: s.name)
@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_every_solver_finds_the_fixed_point_of_a_contraction(solver, seed):
    f, z0 = contraction(seed), torch.zeros(3, 12, dtype=torch.float64)
    solution = solve(f, z0, solver, tolerance=1e-8, max_iterations=2000)
    assert solution.settled.all()
    assert not solution.diverged.any()
    exact = z0
    for _ in range(600):
        exact = f(exact)
    torch.testing.assert_close(solution.state, exact, rtol=0, atol=1e-6)


@pytest.mark.parametrize("solver", [Anderson(), Broyden()], ids=lambda s: s.name)
@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_acceleration_takes_fewer_evaluations(solver, seed):
    f, z0 = contraction(seed, norm=0.97), torch.zeros(3, 12, dtype=torch.float64)
    limits = {"tolerance": 1e-7, "max_iterations": 2000}
    plain = solve(f, z0, Picard(norm="relative-l2"), **limits)
    fast = solve(f, z0, solver, **limits)
    assert fast.settled.all()
    assert fast.iterations.sum() < plain.iterations.sum()


@pytest.mark.parametrize("radius", [1.0, 1.2])
@pytest.mark.parametrize(
    "solver",
    [
        Relaxed(damping=0.7, norm="relative-l2"),
        PatienceDamped(norm="relative-linf", threshold=1e-6),
        Anderson(),
        Broyden(),
    ],
    ids=lambda s: s.name,
)
def test_rotation_that_picard_never_settles_is_settled(solver, radius):
    turn = radius * torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    z0 = torch.randn(4, 2, dtype=torch.float64)

    def f(z):
        return z @ turn.T + 1.0

    limits = {"tolerance": 1e-5, "max_iterations": 500}
    assert not solve(f, z0, Picard(norm="relative-l2"), **limits).settled.any()
    solution = solve(f, z0, solver, **limits)
    assert solution.settled.all()
    exact = torch.linalg.solve(torch.eye(2, dtype=torch.float64) - turn, torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(solution.state, exact.expand(4, 2), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("solver", EVERY, ids=lambda s: s.name)
def test_a_sample_ends_alike_whatever_shares_its_batch(solver):
    f, z0 = contraction(7, rows=5), torch.randn(5, 12, dtype=torch.float64)
    together = solve(f, z0, solver, tolerance=1e-6, max_iterations=400)
    for row in range(5):
        place = torch.tensor([row])

        def own(z, row=row):
            padded = z0.clone()
            padded[row] = z[0]
            return f(padded)[row : row + 1]

        alone = solve(own, z0[place], solver, tolerance=1e-6, max_iterations=400)
        assert torch.equal(alone.state[0], together.state[row])
        assert alone.iterations[0] == together.iterations[row]


def test_rows_of_a_batch_may_be_at_different_places_of_their_history():
    """A row that enters a running batch moves as if it had always been alone (continuous batching)."""
    f, solver = contraction(3, rows=2), Anderson()
    z = torch.randn(2, 12, dtype=torch.float64)
    memory, states = solver.init(z), []
    state = z
    for step in range(8):
        if step == 3:  # the second row is replaced by a fresh trajectory
            fresh = solver.init(z)
            state = torch.stack([state[0], z[1]])
            memory = {name: torch.stack([memory[name][0], fresh[name][1]]) for name in memory}
        state, memory, _ = solver.step(f, state, memory)
        states.append(state)
    alone, own = z, solver.init(z)
    for step in range(5):
        alone, own, _ = solver.step(f, alone, own)
        assert torch.equal(states[3 + step][1], alone[1])


def test_anderson_forgets_a_history_that_misleads():
    """Where the map jumps, the old history is worthless: its restart is per sample."""
    z = torch.ones(2, 3, dtype=torch.float64)
    solver = Anderson(norm="l2")
    memory = solver.init(z)
    for _ in range(4):
        z, memory, _ = solver.step(lambda y: 0.5 * y + 1.0, z, memory)
    assert memory["count"].tolist() == [4, 4]

    def jump(y):
        return torch.stack([100.0 * y[0] + 50.0, 0.5 * y[1] + 1.0])

    _, memory, _ = solver.step(jump, z, memory)
    assert memory["count"].tolist() == [1, 5]


def test_broyden_keeps_no_more_than_its_window():
    f, solver = contraction(11, norm=0.99), Broyden(window=3)
    z = torch.zeros(3, 12, dtype=torch.float64)
    memory = solver.init(z)
    for _ in range(20):
        z, memory, _ = solver.step(f, z, memory)
        assert memory["u"].shape == memory["v"].shape == (3, 3, 12)
        assert (memory["count"] <= 3).all()


def test_gradients_flow_through_a_damped_step_and_not_through_its_size():
    z = torch.randn(2, 3, 4, requires_grad=True)
    weight = torch.tensor(0.5, requires_grad=True)
    solver = PatienceDamped(step_size=0.25)
    after, memory, r = solver.step(lambda y: weight * y, z, solver.init(z))
    assert not r.requires_grad
    assert not any(value.requires_grad for value in memory.values())
    to_z, to_weight = torch.autograd.grad(after.sum(), [z, weight])
    torch.testing.assert_close(to_z, torch.full_like(z, 0.25 * 0.5 + 0.75))
    torch.testing.assert_close(to_weight, 0.25 * z.sum())


@pytest.mark.parametrize("solver", EVERY, ids=lambda s: s.name)
@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_gradients_flow_through_the_steps_of_every_solver(solver, seed):
    """Steps unrolled until rest have the gradient of the equilibrium; η, α and H are constants to it."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(7, 7, generator=generator, dtype=torch.float64)
    weight = (weight * 0.7 / torch.linalg.matrix_norm(weight, 2)).requires_grad_()
    c = torch.randn(3, 7, generator=generator, dtype=torch.float64)
    z = torch.zeros(3, 7, dtype=torch.float64)
    memory, r = solver.init(z), torch.ones(())
    for _ in range(150):
        z, memory, r = solver.step(lambda y: torch.tanh(y @ weight.T + c), z, memory)
    assert not r.requires_grad
    assert (r < 1e-6).all()
    rest = solver.result(z, memory)
    (found,) = torch.autograd.grad(rest.sum(), weight)
    slope = 1 - rest.detach() ** 2
    system = torch.eye(7, dtype=torch.float64) - (slope[..., None] * weight.detach()).mT
    u = torch.linalg.solve(system, torch.ones(3, 7, 1, dtype=torch.float64))[..., 0]
    expected = (u * slope).T @ rest.detach()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [12, 700])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("solver", EVERY, ids=lambda s: s.name)
def test_rows_end_bitwise_alike_at_every_size_and_precision(solver, dtype, size):
    """Sums over a large state may run in another order for another batch: they must not."""
    exact = torch.float32 if dtype == torch.bfloat16 else dtype
    weight = torch.randn(size, size, dtype=exact)
    weight *= 0.95 / torch.linalg.matrix_norm(weight, 2)
    c, z0 = torch.randn(5, size, dtype=exact), torch.randn(5, size).to(dtype)

    def of_rows(rows):
        def f(z):
            images = [torch.tanh(weight @ own.to(exact) + c[row]) for own, row in zip(z, rows, strict=True)]
            return torch.stack(images).to(dtype)

        return f

    limits = {"tolerance": 1e-2 if dtype == torch.bfloat16 else 1e-5, "max_iterations": 30}
    whole = solve(of_rows(range(5)), z0, solver, **limits)
    for rows in ([0], [3], [1, 2, 4]):
        part = solve(of_rows(rows), z0[rows], solver, **limits)
        assert torch.equal(part.state, whole.state[rows])
        assert torch.equal(part.iterations, whole.iterations[rows])


def test_norms_name_what_they_are_relative_to():
    before = torch.tensor([[[3.0, 0.0], [0.0, 4.0]]])
    after = torch.tensor([[[3.0, 1.0], [0.0, 2.0]]])
    assert residual(after, before, "l2").item() == pytest.approx(5**0.5)
    assert residual(after, before, "relative-l2").item() == pytest.approx(5**0.5 / 5)
    assert residual(after, before, "relative-linf").item() == pytest.approx(2 / 3)
    assert residual(after, before, "token-linf").item() == pytest.approx(max(1 / 3, 2 / 2))


@pytest.mark.parametrize(
    ("section", "solver"),
    [
        ({"name": "picard"}, Picard()),
        ({"name": "relaxed", "damping": 0.2}, Relaxed(damping=0.2)),
        ({"name": "anderson", "window": 3}, Anderson(window=3)),
        ({"name": "broyden"}, Broyden()),
        ({"name": "patience-damped", "decay": 0.5}, PatienceDamped(decay=0.5)),
    ],
)
def test_a_solver_is_a_section_of_a_recipe(section, solver):
    adapter: TypeAdapter[AnySolver] = TypeAdapter(Solving)
    assert adapter.validate_python(section) == solver
    assert adapter.validate_python(adapter.dump_python(solver)) == solver


@pytest.mark.parametrize(
    "section",
    [
        {"name": "newton"},
        {"name": "picard", "window": 3},
        {"name": "anderson", "window": 0},
        {"name": "anderson", "mixing": 0.0},
        {"name": "anderson", "ridge": -1.0},
        {"name": "relaxed", "damping": 1.0},
        {"name": "broyden", "window": 0},
        {"name": "patience-damped", "decay": 0.0},
        {"name": "patience-damped", "patience": 0},
        {"name": "patience-damped", "step_size": 2.0},
        {"name": "patience-damped", "threshold": -1.0},
        {"name": "picard", "norm": "l7"},
    ],
)
def test_what_makes_no_sense_is_refused(section):
    with pytest.raises(ValidationError):
        TypeAdapter(Solving).validate_python(section)
