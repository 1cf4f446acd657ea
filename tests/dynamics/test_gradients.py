"""Gradients through equilibria are what the implicit function theorem says, as far as each rule goes."""

import warnings
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from equilibria.dynamics.gradients import (
    AnyGradient,
    Implicit,
    Neumann,
    OneStep,
    Phantom,
    Unrolled,
    jacobian_penalty,
    solve_with_gradient,
)
from equilibria.dynamics.solve import solve
from equilibria.dynamics.solvers import Anderson, Broyden, PatienceDamped, Picard, Relaxed

SHAPE = (2, 3)  # tokens, width
SIZE = 6


class Contraction:
    """`f(z) = tanh(z Wᵀ + b) + c`, z and c `[batch, 2, 3]`; it contracts at the rate ‖W‖₂ at most."""

    def __init__(self, seed, rate, batch=3, dtype=torch.float64):
        draw = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return torch.randn(*shape, generator=draw, dtype=torch.float64)

        weight = normal(SIZE, SIZE)
        weight = weight * rate / torch.linalg.matrix_norm(weight, 2)
        self.weight, self.bias, self.condition = (
            t.to(dtype).requires_grad_() for t in (weight, 0.3 * normal(SIZE), 0.5 * normal(batch, *SHAPE))
        )
        self.leaves = [self.weight, self.bias, self.condition]
        # The loss, sum(v · z*) + ½ ‖z*‖², so that dL/dz* depends on z*.
        self.v = normal(batch, *SHAPE).to(dtype)
        self.start = normal(batch, *SHAPE).to(dtype)

    def __call__(self, z):
        return torch.tanh(z.flatten(1) @ self.weight.T + self.bias).view_as(z) + self.condition

    def rest(self):
        with torch.no_grad():
            z = self.start
            for _ in range(2000):
                z, before = self(z), z
                if torch.equal(z, before):
                    break
        return z

    def loss(self, z):
        return (self.v * z).sum() + 0.5 * z.square().sum()

    def jacobians(self, z):
        """`[batch, n, n]`, by autograd, element by element."""
        at = z.detach().requires_grad_()
        value = self(at).flatten(1)
        rows = [torch.autograd.grad(value[:, i].sum(), at, retain_graph=True)[0] for i in range(SIZE)]
        return torch.stack([row.flatten(1) for row in rows], dim=1)

    def by_theorem(self, z, terms=None):
        """uᵀ ∂f/∂θ with u from a dense solve, or from so many terms of the series."""
        jacobians = self.jacobians(z)
        v = (self.v + z).flatten(1)[..., None]
        if terms is None:
            u = torch.linalg.solve(torch.eye(SIZE, dtype=z.dtype) - jacobians.mT, v)
        else:
            u = sum(torch.linalg.matrix_power(jacobians.mT, j) @ v for j in range(terms))
        return torch.autograd.grad(self(z), self.leaves, u.squeeze(-1).view_as(z))

    def by_rule(self, rule, z):
        return torch.autograd.grad(self.loss(rule.attach(self, z)), self.leaves)


def assert_close(got, expected, tolerance):
    for g, e in zip(got, expected, strict=True):
        torch.testing.assert_close(g, e, rtol=0, atol=tolerance * max(1.0, e.abs().max().item()))


def gap(got, expected):
    return max(((g - e).abs().max() / e.abs().max()).item() for g, e in zip(got, expected, strict=True))


maps = st.builds(Contraction, seed=st.integers(0, 2**31), rate=st.floats(0.1, 0.95), batch=st.integers(1, 4))
few = settings(max_examples=25)
CLOSE = [
    Implicit(solver="picard", tolerance=1e-14, max_iterations=2000),
    Implicit(solver="anderson", tolerance=1e-13, max_iterations=500),
]


@pytest.mark.parametrize("rule", CLOSE, ids=lambda rule: rule.solver)
@few
@given(f=maps)
def test_solving_for_the_adjoint_is_exact(rule, f):
    z = f.rest()
    assert_close(f.by_rule(rule, z), f.by_theorem(z), 1e-9)


@few
@given(f=maps)
def test_the_gradient_is_that_of_where_it_rests(f):
    """By differences of equilibria of the perturbed map: nothing here knows of Jacobians."""
    z = f.rest()
    found = f.by_rule(CLOSE[0], z)
    step = 1e-5
    for leaf, gradient in zip(f.leaves, found, strict=True):
        direction = torch.randn(leaf.shape, generator=torch.Generator().manual_seed(1), dtype=leaf.dtype)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                leaf.add_(direction, alpha=sign * step)
                values.append(f.loss(f.rest()).item())
                leaf.add_(direction, alpha=-sign * step)
        slope = (values[0] - values[1]) / (2 * step)
        assert slope == pytest.approx((gradient * direction).sum().item(), rel=1e-5, abs=1e-5)


@few
@given(f=maps, terms=st.integers(1, 6))
def test_neumann_is_the_first_terms_of_the_series(f, terms):
    z = f.rest()
    assert_close(f.by_rule(Neumann(terms=terms), z), f.by_theorem(z, terms), 1e-11)


@few
@given(f=maps)
def test_more_terms_come_closer_to_the_exact_gradient(f):
    z = f.rest()
    exact = f.by_theorem(z)
    rate = torch.linalg.matrix_norm(f.jacobians(z), 2).max().item()
    largest = torch.linalg.vector_norm((f.v + z).flatten(1), dim=1)
    for terms in (1, 2, 4, 8, 16, 400):
        # For c, ∂f/∂θ is the identity: the error is that of u (FPRM Prop. 1, in the spectral norm).
        error = f.by_rule(Neumann(terms=terms), z)[-1] - exact[-1]
        bound = rate**terms / (1 - rate) * largest
        assert (torch.linalg.vector_norm(error.flatten(1), dim=1) <= bound + 1e-9).all()


@few
@given(f=maps)
def test_one_step_is_one_term(f):
    z = f.rest()
    one = f.by_rule(OneStep(), z)
    assert_close(one, f.by_rule(Neumann(terms=1), z), 1e-14)
    assert_close(one, f.by_rule(Phantom(steps=1), z), 1e-14)
    assert_close(one, f.by_theorem(z, terms=1), 1e-12)


@few
@given(f=maps, steps=st.integers(1, 6), damping=st.sampled_from([0.0, 0.3, 0.7]))
def test_phantom_is_its_steps_unrolled(f, steps, damping):
    """Also away from rest, where each J is another."""
    z = f.start
    unrolled = z
    for _ in range(steps):
        unrolled = (1 - damping) * f(unrolled) + damping * unrolled
    expected = torch.autograd.grad(f.loss(unrolled), f.leaves)
    rule = Phantom(steps=steps, damping=damping)
    assert_close(f.by_rule(rule, z), expected, 1e-12)
    torch.testing.assert_close(rule.attach(f, z), unrolled, rtol=0, atol=1e-13)
    solved = solve_with_gradient(
        f, z, Relaxed(damping=damping), Unrolled(), tolerance=0.0, max_iterations=steps
    )
    assert_close(torch.autograd.grad(f.loss(solved.state), f.leaves), expected, 1e-12)


@few
@given(f=maps, damping=st.sampled_from([0.0, 0.5]))
def test_phantom_at_rest_goes_to_the_exact_gradient(f, damping):
    z = f.rest()
    assert_close(f.by_rule(Phantom(steps=500, damping=damping), z), f.by_theorem(z), 1e-3)
    # Undamped, its terms are those of the series.
    assert_close(f.by_rule(Phantom(steps=3), z), f.by_theorem(z, terms=3), 1e-11)


@few
@given(f=maps, last=st.integers(1, 5), iterations=st.integers(1, 8))
def test_unrolling_the_last_iterations(f, last, iterations):
    rule = Unrolled(last=last)
    assert rule.tracked(iterations) == min(last, iterations)
    assert Unrolled().tracked(iterations) == iterations
    limits = {"tolerance": 0.0, "max_iterations": iterations}
    solved = solve_with_gradient(f, f.start, Picard(), rule, **limits)
    z = f.start
    with torch.no_grad():
        for _ in range(iterations - last):
            z = f(z)
    for _ in range(min(last, iterations)):
        z = f(z)
    torch.testing.assert_close(solved.state, z, rtol=0, atol=1e-13)
    found = torch.autograd.grad(f.loss(solved.state), f.leaves)
    assert_close(found, torch.autograd.grad(f.loss(z), f.leaves), 1e-12)
    plain = solve(f, f.start, Picard(), **limits)
    torch.testing.assert_close(solved.residuals, plain.residuals)
    assert torch.equal(solved.iterations, plain.iterations)
    assert not solved.settled.any()
    assert not solved.diverged.any()


def test_unrolling_goes_on_with_what_the_solver_remembers():
    f = Contraction(3, 0.9)
    solver = PatienceDamped(step_size=1.0, decay=0.5, patience=1, threshold=0.0, norm="relative-linf")
    limits = {"tolerance": 0.0, "max_iterations": 6}
    with torch.no_grad():
        plain = solve(lambda z: -f(z), f.start, solver, **limits)
    some = solve_with_gradient(lambda z: -f(z), f.start, solver, Unrolled(last=2), **limits)
    torch.testing.assert_close(some.state, plain.state)
    for name, value in plain.memory.items():
        torch.testing.assert_close(some.memory[name], value)


def test_a_row_that_settled_long_ago_still_has_its_gradient():
    f = Contraction(5, 0.5)
    z = f.rest()
    solved = solve_with_gradient(f, z, Picard(), Unrolled(last=4), tolerance=1e-6, max_iterations=50)
    assert solved.settled.all()
    assert solved.iterations.tolist() == [5] * 3
    found = torch.autograd.grad(f.loss(solved.state), f.leaves)
    assert_close(found, f.by_theorem(z, terms=4), 1e-9)


@pytest.mark.parametrize("solver", [Picard(), Relaxed(), Anderson(), Broyden()], ids=lambda s: s.name)
def test_every_solver_can_be_unrolled(solver):
    f = Contraction(1, 0.8)
    limits = {"tolerance": 1e-6, "max_iterations": 200}
    for rule in (Unrolled(), Unrolled(last=100)):
        solution = solve_with_gradient(f, f.start, solver, rule, **limits)
        assert solution.settled.all()
        assert not any(value.requires_grad for value in solution.memory.values())
        found = torch.autograd.grad(f.loss(solution.state), f.leaves)
        assert_close(found, f.by_theorem(f.rest()), 1e-6)


@pytest.mark.parametrize(
    "rule", [Unrolled(), Unrolled(last=2), OneStep(), Phantom(), Neumann(), Implicit()], ids=repr
)
def test_a_row_that_diverges_stays_finite_and_the_others_settle(rule):
    weight = torch.tensor([0.5, float("nan")], dtype=torch.float64)[:, None]
    offset = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    start = torch.full((2, 3), 7.0, dtype=torch.float64)
    limits = {"tolerance": 1e-6, "max_iterations": 40}
    solution = solve_with_gradient(lambda z: weight * z + offset, start, Picard(), rule, **limits)
    assert solution.diverged.tolist() == [False, True]
    assert solution.settled.tolist() == [True, False]
    assert torch.equal(solution.state[1], start[1])
    torch.testing.assert_close(solution.state[0], torch.full((3,), 2.0, dtype=torch.float64))
    (slope,) = torch.autograd.grad(solution.state[0].sum(), offset)
    assert (slope[0] >= 1.0).all()


@pytest.mark.parametrize("solver", [Picard(), Relaxed(), Anderson(), Broyden()], ids=lambda s: s.name)
def test_solving_and_attaching(solver):
    f = Contraction(1, 0.8)
    limits = {"tolerance": 1e-13, "max_iterations": 500, "together": True}
    solution = solve_with_gradient(f, f.start, solver, CLOSE[0], **limits)
    assert solution.settled.all()
    found = torch.autograd.grad(f.loss(solution.state), f.leaves)
    assert_close(found, f.by_theorem(f.rest()), 1e-9)


@few
@given(f=maps, clip=st.floats(0.05, 1.5), terms=st.integers(2, 4))
def test_clipped_terms(f, clip, terms):
    z = f.rest()
    jacobians = f.jacobians(z)
    total = term = (f.v + z).flatten(1)
    for _ in range(terms - 1):
        longer = torch.einsum("bij,bi->bj", jacobians, term)
        limit = clip * term.norm(dim=1, keepdim=True)
        length = longer.norm(dim=1, keepdim=True)
        term = torch.where(length > limit, longer * limit / length, longer)
        total = total + term
    expected = torch.autograd.grad(f(z), f.leaves, total.view_as(z))
    assert_close(f.by_rule(Neumann(terms=terms, clip=clip), z), expected, 1e-11)


def test_a_clip_bounds_the_adjoint_of_each_row():
    f = Contraction(2, 0.95)
    z = f.rest()
    free, clipped = (
        f.by_rule(Implicit(solver="picard", clip=clip), z)[-1].flatten(1) for clip in (None, 1.1)
    )
    length, limit = free.norm(dim=1), 1.1 * (f.v + z).flatten(1).norm(dim=1)
    assert (length > limit).any(), "nothing to clip"
    torch.testing.assert_close(clipped.norm(dim=1), torch.minimum(length, limit))
    torch.testing.assert_close(torch.nn.functional.cosine_similarity(clipped, free), torch.ones(3).double())


def test_no_gradient_comes_in_none_goes_out():
    f = Contraction(0, 0.5)
    z = f.rest()
    for rule in (Neumann(terms=3, clip=0.5), Implicit(), Implicit(solver="picard", clip=1.0)):
        value = rule.attach(f, z)
        rows = torch.autograd.grad(value[0].sum(), f.condition)[0]
        assert rows.isfinite().all()
        assert rows[1:].abs().max() == 0 < rows[0].abs().max()


RULES = [
    OneStep(),
    Phantom(steps=3, damping=0.2),
    Neumann(terms=3, clip=0.4),
    Implicit(solver="picard", tolerance=1e-4),
    Implicit(solver="anderson", tolerance=1e-4),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rows_do_not_see_each_other(rule):
    """Even where a tolerance ends the adjoint: a row's gradient is the one it would have alone."""
    f = Contraction(4, 0.9, batch=4)
    with torch.no_grad():
        f.condition[2] *= 20  # a row of saturated tanh: its adjoint is found at once
    z = f.rest()
    (together,) = torch.autograd.grad(f.loss(rule.attach(f, z)), f.condition)
    for row in range(4):
        alone = Contraction(4, 0.9, batch=4)
        own = f.condition.detach()[row : row + 1].requires_grad_()
        alone.condition, alone.v = own, f.v[row : row + 1]
        (gradient,) = torch.autograd.grad(alone.loss(rule.attach(alone, z[row : row + 1])), own)
        torch.testing.assert_close(gradient[0], together[row], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rule", [*RULES, Unrolled()], ids=str)
def test_values(rule):
    f = Contraction(7, 0.6)
    z = f.rest()
    with torch.no_grad():
        silent = rule.attach(f, z)
    assert not silent.requires_grad
    torch.testing.assert_close(silent, z, rtol=0, atol=1e-13)
    assert torch.equal(silent, rule.attach(f, z).detach())


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_nothing_flows_back_into_how_it_got_there(rule):
    f = Contraction(7, 0.6)
    z = f.rest().requires_grad_()
    assert torch.autograd.grad(f.loss(rule.attach(f, z)), z, allow_unused=True) == (None,)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_what_is_used_twice_counts_twice(rule):
    f = Contraction(8, 0.7)
    z = f.rest()
    once = torch.autograd.grad(f.loss(rule.attach(f, z)), f.leaves)
    value = rule.attach(f, z)
    parts = (f.v * value).sum() + 0.25 * value.square().sum() + 0.25 * value.square().sum()
    assert_close(torch.autograd.grad(parts, f.leaves, retain_graph=True), once, 1e-9)
    assert_close(torch.autograd.grad(parts, f.leaves), once, 1e-9)


def test_gradients_pile_up_on_parameters_and_reach_what_comes_before():
    f = Contraction(9, 0.8)
    z = f.rest()
    encoder = torch.eye(3, dtype=torch.float64, requires_grad=True)
    raw, exact = f.condition.detach(), f.by_theorem(z)
    f.condition = raw @ encoder
    f.loss(CLOSE[0].attach(f, z)).backward()
    assert_close([f.weight.grad, f.bias.grad], exact[:2], 1e-9)
    assert_close([encoder.grad], [torch.einsum("bti,btj->ij", raw, exact[2])], 1e-9)


def test_a_map_that_ignores_its_state():
    bias = torch.randn(2, 3, requires_grad=True)
    for rule in RULES:
        value = rule.attach(lambda z: bias.tanh(), torch.zeros(2, 3))
        (found,) = torch.autograd.grad(value.sum(), bias)
        # Damped steps have not quite arrived.
        arrived = 1 - rule.damping**rule.steps if isinstance(rule, Phantom) else 1.0
        torch.testing.assert_close(found, arrived * (1 - bias.tanh().square()))
        assert not rule.attach(lambda z: torch.ones_like(z), torch.zeros(2, 3)).requires_grad


def test_half_precision_sums_in_full():
    exact = Contraction(11, 0.8)
    half = Contraction(11, 0.8, dtype=torch.bfloat16)
    z = exact.rest()
    for rule in (Neumann(terms=20), Implicit(solver="picard"), Implicit()):
        found = half.by_rule(rule, z.bfloat16())
        assert {g.dtype for g in found} == {torch.bfloat16}
        assert gap([g.double() for g in found], exact.by_rule(rule, z)) < 0.03


def test_second_derivatives_are_refused():
    """They would be wrong: the adjoint is not differentiated."""
    f = Contraction(0, 0.5)
    value = Implicit().attach(f, f.rest())
    (first,) = torch.autograd.grad(f.loss(value), f.weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


class TestAgainstTorchdeq:
    """The library of Geng & Kolter 2023."""

    @pytest.fixture
    def deq(self):
        torchdeq = pytest.importorskip("torchdeq", reason="torchdeq is not installed (dev extra)")

        def build(**settings):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = torchdeq.get_deq(
                    f_solver="fixed_point_iter", f_max_iter=1000, f_tol=1e-14, **settings
                )

            def run(f):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    states, _ = model(f, f.start)
                    value = states[-1]
                    return value.detach(), torch.autograd.grad(f.loss(value), f.leaves)

            return run

        return build

    @pytest.mark.parametrize("solver", ["fixed_point_iter", "anderson", "broyden"])
    @pytest.mark.parametrize("hook", [False, True])
    def test_implicit(self, solver, hook, deq):
        run = deq(ift=True, hook_ift=hook, b_solver=solver, b_max_iter=500, b_tol=1e-12)
        for seed in range(5):
            f = Contraction(seed, 0.7)
            value, expected = run(f)
            rule = CLOSE[0] if solver == "fixed_point_iter" else CLOSE[1]
            solution = solve_with_gradient(f, f.start, Picard(), rule, tolerance=1e-14, max_iterations=1000)
            torch.testing.assert_close(solution.state.detach(), value, rtol=0, atol=1e-12)
            assert_close(torch.autograd.grad(f.loss(solution.state), f.leaves), expected, 1e-9)

    @pytest.mark.parametrize(("steps", "tau"), [(1, 1.0), (2, 1.0), (5, 1.0), (1, 0.6), (5, 0.6)])
    def test_phantom(self, steps, tau, deq):
        run = deq(grad=steps, tau=tau)
        for seed in range(5):
            f = Contraction(seed, 0.7)
            value, expected = run(f)
            rule = Phantom(steps=steps, damping=1 - tau)
            solution = solve_with_gradient(f, f.start, Picard(), rule, tolerance=1e-14, max_iterations=1000)
            torch.testing.assert_close(solution.state.detach(), value, rtol=0, atol=1e-12)
            assert_close(torch.autograd.grad(f.loss(solution.state), f.leaves), expected, 1e-10)

    def test_jacobian_penalty(self, deq):
        loss = pytest.importorskip("torchdeq.loss", reason="torchdeq is not installed (dev extra)")
        f = Contraction(0, 0.7)
        at = f.rest().requires_grad_()
        torch.manual_seed(5)
        theirs = loss.jac_reg(f(at), at)
        torch.manual_seed(5)
        probe = torch.randn(*at.shape).to(at)
        ours = jacobian_penalty(f, at, probe)
        torch.testing.assert_close(ours, theirs.reshape(()))
        expected = torch.autograd.grad(theirs, f.weight)
        assert_close(torch.autograd.grad(ours, [f.weight]), expected, 1e-12)


@few
@given(f=maps)
def test_jacobian_penalty_of_one_probe(f):
    z = f.rest()
    probe = torch.randn(z.shape, generator=torch.Generator().manual_seed(3), dtype=z.dtype)
    product = torch.einsum("bij,bi->bj", f.jacobians(z), probe.flatten(1))
    for at in (z, z.clone().requires_grad_()):
        torch.testing.assert_close(jacobian_penalty(f, at, probe), product.square().mean())
    # Attractor's scaling of the probe divides the penalty by the width.
    scaled = jacobian_penalty(f, z, probe / SHAPE[-1] ** 0.5)
    torch.testing.assert_close(scaled, product.square().mean() / SHAPE[-1])


def test_jacobian_penalty_averages_to_the_frobenius_norm():
    """Exactly, over a set of probes whose second moment is the identity: √n times the unit vectors."""
    f = Contraction(0, 0.8)
    z = f.rest()
    exact = f.jacobians(z).square().sum() / z.numel()
    units = SIZE**0.5 * torch.eye(SIZE, dtype=z.dtype).view(SIZE, 1, *SHAPE)
    penalties = [jacobian_penalty(f, z, unit.expand_as(z)) for unit in units]
    torch.testing.assert_close(torch.stack(penalties).mean(), exact)


def test_jacobian_penalty_has_the_gradient_of_what_it_is():
    f = Contraction(0, 0.8)
    z = f.rest()
    probe = torch.randn(z.shape, dtype=z.dtype)
    found = torch.autograd.grad(jacobian_penalty(f, z, probe), [f.weight, f.bias])
    step = 1e-6
    for leaf, gradient in zip((f.weight, f.bias), found, strict=True):
        direction, values = torch.randn_like(leaf), []
        for sign in (1, -1):
            with torch.no_grad():
                leaf.add_(direction, alpha=sign * step)
                values.append(jacobian_penalty(f, z, probe).item())
                leaf.add_(direction, alpha=-sign * step)
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(
            (gradient * direction).sum().item(), 1e-6
        )


class TestRecipes:
    adapter = TypeAdapter(AnyGradient)

    @pytest.mark.parametrize("kind", get_args(AnyGradient), ids=lambda kind: kind.__name__)
    def test_rules_come_back_from_what_they_are_written_as(self, kind):
        rule = kind()
        written = self.adapter.dump_python(rule, mode="json")
        assert written["name"] == rule.name
        assert self.adapter.validate_python(written) == rule
        with pytest.raises(ValidationError):
            self.adapter.validate_python(written | {"unheard_of": 1})

    @pytest.mark.parametrize(
        ("kind", "wrong"),
        [
            (Unrolled, {"last": 0}),
            (Phantom, {"steps": 0}),
            (Phantom, {"damping": 1.0}),
            (Phantom, {"damping": -0.1}),
            (Neumann, {"terms": 0}),
            (Neumann, {"clip": 0.0}),
            (Implicit, {"window": 0}),
            (Implicit, {"mixing": 0.0}),
            (Implicit, {"tolerance": -1.0}),
            (Implicit, {"max_iterations": 0}),
            (Implicit, {"min_iterations": -1}),
            (Implicit, {"clip": -1.0}),
        ],
        ids=str,
    )
    def test_values_that_make_no_sense_are_refused(self, kind, wrong):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            kind(**wrong)
