"""What the papers prove of fixed points, held against the pieces that rely on it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equilibria.dynamics.gradients import Implicit, Neumann, Phantom
from equilibria.dynamics.norms import residual
from equilibria.dynamics.solve import solve
from equilibria.dynamics.solvers import Picard, Relaxed
from equilibria.nn.residual_scale import coupled

ROUNDING = 1e-9
few = settings(max_examples=25)
seeds = st.integers(0, 2**31)


class Draws:
    """Normal numbers in float64, the same for a seed."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape):
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)

    def direction(self, *shape):
        """Unit vectors along the last axis."""
        return torch.nn.functional.normalize(self.normal(*shape), dim=-1)

    def matrix(self, size, norm):
        """Of a spectral norm."""
        matrix = self.normal(size, size)
        return matrix * norm / torch.linalg.matrix_norm(matrix, 2)


def states(f, z, count, solver=None):
    """z and what `count` steps of a solver make of it: `[count + 1, ...]`."""
    solver = solver or Picard()
    memory, found = solver.init(z), [z]
    for _ in range(count):
        z, memory, _ = solver.step(f, z, memory)
        found.append(z)
    return torch.stack(found)


def length(z):
    return torch.linalg.vector_norm(z, dim=-1)


# FPRM, Theorem 1: boundedness of iterates.


def looped(alpha_1, alpha_2, sublayers, x, layers):
    """`zᵢ⁰ ↦ zᵢ₊₁⁰` of a pre-norm loop with coupled scales, and ρ, the weight that zᵢ⁰ has in it."""
    alpha_1, alpha_2 = (torch.tensor(alpha, dtype=torch.float64) for alpha in (alpha_1, alpha_2))
    scales = coupled(alpha_1, alpha_2, sublayers)

    def step(z):
        for layer in layers:
            z = scales.alpha_1 * z + scales.beta_1 * layer(z)
        return scales.alpha_2 * z + scales.beta_2 * x

    return step, (alpha_2 * alpha_1**sublayers).item()


scales = st.floats(0.0, 0.95)


@few
@given(alpha_1=scales, alpha_2=scales, blocks=st.integers(1, 4))
def test_coupled_scales(alpha_1, alpha_2, blocks):
    """β₂ = 1 − α₂ α₁²ᴸ, β₁ = β₂ (1 − α₁) / (1 − α₁²ᴸ), but for what keeps the latter finite."""
    _, beta_1, _, beta_2 = coupled(torch.tensor(alpha_1).double(), torch.tensor(alpha_2).double(), 2 * blocks)
    assert beta_2.item() == pytest.approx(1 - alpha_2 * alpha_1 ** (2 * blocks))
    assert beta_1.item() == pytest.approx(
        beta_2.item() * (1 - alpha_1) / (1 - alpha_1 ** (2 * blocks)), rel=2e-4
    )


@few
@given(
    seed=seeds, alpha_1=scales, alpha_2=scales, blocks=st.integers(1, 4), most=st.floats(0.1, 20), far=scales
)
def test_coupled_iterates_are_bounded_whatever_the_layers_do(seed, alpha_1, alpha_2, blocks, most, far):
    """‖zᵢ‖ ≤ ρⁱ ‖z₀‖ + (1 − ρⁱ)(‖x‖ + α₂ c_f), so that lim sup ‖zᵢ‖ ≤ ‖x‖ + α₂ c_f."""
    draws, width = Draws(seed), 5
    x = draws.normal(3, width)

    def layer(weight, bias):
        # Nowhere continuous to speak of, never smaller than it may be.
        return lambda u: most * torch.nn.functional.normalize(torch.sin(50 * u) @ weight + bias, dim=-1)

    layers = [layer(draws.normal(width, width), draws.normal(width)) for _ in range(2 * blocks)]
    step, rho = looped(alpha_1, alpha_2, 2 * blocks, x, layers)
    z0 = 1000 * far * draws.normal(3, width)
    sizes = length(states(step, z0, 200))
    share = rho ** torch.arange(201, dtype=torch.float64)[:, None]
    bound = share * sizes[0] + (1 - share) * (length(x) + alpha_2 * most)
    assert (sizes <= bound * (1 + ROUNDING)).all()


@few
@given(alpha_1=scales, alpha_2=scales, blocks=st.integers(1, 4), most=st.floats(0.1, 20))
def test_the_bound_is_reached(alpha_1, alpha_2, blocks, most):
    """By layers that always push along x."""
    x = Draws(0).normal(1, 5)

    def along(u):
        return most * torch.nn.functional.normalize(x, dim=-1).expand_as(u)

    step, _ = looped(alpha_1, alpha_2, 2 * blocks, x, [along] * (2 * blocks))
    solution = solve(step, x, Picard(), tolerance=1e-13, max_iterations=2000)
    assert solution.settled.all()
    assert length(solution.state).item() == pytest.approx(length(x).item() + alpha_2 * most, rel=1e-3)


# FPRM, Theorem 2: small α₂ implies convergence.


@few
@given(
    seed=seeds,
    alpha_1=st.floats(0.1, 0.9),
    rate=st.floats(0.05, 0.95),
    blocks=st.integers(1, 2),
    norm=st.floats(0.1, 3),
)
def test_small_alpha_2_converges_at_a_linear_rate(seed, alpha_1, rate, blocks, norm):
    draws, width, sublayers = Draws(seed), 5, 2 * blocks
    x = draws.normal(3, width)
    weights = [draws.matrix(width, norm) for _ in range(sublayers)]
    # β₁ is largest, and so is λ_f, where α₂ = 0.
    alpha, none = torch.tensor(alpha_1, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
    largest = (alpha + coupled(alpha, none, sublayers).beta_1 * norm) ** sublayers
    alpha_2 = torch.clamp(rate / largest, max=0.99)
    own = coupled(alpha, alpha_2, sublayers)
    lipschitz = (alpha + own.beta_1 * norm) ** sublayers
    shrink = (alpha_2 * lipschitz).item()
    assert shrink < 1

    def f(z):
        z = own.alpha_2 * z + own.beta_2 * x
        for weight in weights:
            z = own.alpha_1 * z + own.beta_1 * torch.tanh(z) @ weight
        return z

    one, other = 10 * draws.normal(3, width), 10 * draws.normal(3, width)
    assert (length(f(one) - f(other)) <= shrink * length(one - other) * (1 + ROUNDING)).all()
    solution = solve(f, one, Picard(), tolerance=0.0, max_iterations=40)
    bound = shrink ** torch.arange(40, dtype=torch.float64) * solution.residuals[:, :1]
    assert (solution.residuals <= bound * (1 + ROUNDING) + 1e-13).all()
    ends = [solve(f, z, Picard(), tolerance=1e-13, max_iterations=3000) for z in (one, other)]
    assert all(end.settled.all() for end in ends)
    torch.testing.assert_close(ends[0].state, ends[1].state, rtol=0, atol=1e-11)


# FPRM, Theorem 3: damping stabilizes oscillation.


def with_eigenvalues(draws, values):
    """A real matrix, not normal, of eigenvalues `a ± bi` for every `(a, b)`; the basis of its blocks."""
    blocks = [torch.tensor([[a, -b], [b, a]], dtype=torch.float64) for a, b in values]
    size = 2 * len(values)
    orthogonal, _ = torch.linalg.qr(draws.normal(size, size))
    basis = orthogonal * torch.linspace(0.5, 2.0, size, dtype=torch.float64)
    return basis @ torch.block_diag(*blocks) @ torch.linalg.inv(basis), basis


def largest_step(values):
    """min 2 (1 − Re λ) / |λ − 1|²."""
    return min(2 * (1 - a) / ((a - 1) ** 2 + b**2) for a, b in values)


# The first spirals outwards or sits on the circle, its real part less than 1.
outside = st.one_of(
    st.tuples(st.floats(-3, 0.9), st.floats(1, 4)), st.tuples(st.floats(-3, -1), st.floats(0, 4))
)
anywhere = st.tuples(st.floats(-3, 0.9), st.floats(0, 4))
spectra = st.tuples(outside, anywhere, anywhere).map(list)


def spectral_radius(matrix):
    return torch.linalg.eigvals(matrix).abs().max().item()


@few
@given(seed=seeds, values=spectra, share=st.floats(0.02, 0.98))
def test_the_step_size_bound_is_exact(seed, values, share):
    jacobian, _ = with_eigenvalues(Draws(seed), values)
    same = torch.eye(len(jacobian), dtype=torch.float64)
    bound = largest_step(values)

    def damped(eta):
        return spectral_radius((1 - eta) * same + eta * jacobian)

    assert damped(1.0) >= 1 - 1e-6
    assert damped(share * bound) < 1
    assert damped(bound) == pytest.approx(1, abs=1e-6)
    assert damped((1 + share) * bound) > 1


gentle = st.tuples(st.floats(-2, 0.5), st.floats(0, 2))
spirals = st.tuples(st.tuples(st.floats(-2, 0.5), st.floats(1.1, 2)), gentle).map(list)


def bent(jacobian, rest):
    """A map with a fixed point, a Jacobian there, and curvature around."""

    def f(z):
        away = z - rest
        return rest + away @ jacobian.T + 0.1 * away.square()

    return f


@few
@given(seed=seeds, values=spirals)
def test_damped_iteration_converges_where_plain_iteration_spirals(seed, values):
    draws = Draws(seed)
    rest = draws.normal(2, 4)
    jacobian, basis = with_eigenvalues(draws, values)
    f = bent(jacobian, rest)
    eta = 0.5 * min(largest_step(values), 1.0)
    damped = Relaxed(damping=1 - eta)
    spiral = rest + 1e-3 * basis[:, 0]
    assert (length(states(f, spiral, 10)[-1] - rest) > 2 * length(spiral - rest)).all()
    for z0 in (spiral, rest + 1e-3 * draws.direction(2, 4)):
        solution = solve(f, z0, damped, tolerance=1e-13, max_iterations=2000, check_every=50)
        assert solution.settled.all()
        torch.testing.assert_close(solution.state, rest, rtol=0, atol=1e-10)
    # The same fixed points: the damped map moves by η times what the other one does.
    z = draws.normal(2, 4)
    moved, _, _ = damped.step(f, z, {})
    torch.testing.assert_close(moved - z, eta * (f(z) - z))
    torch.testing.assert_close(damped.step(f, rest, {})[0], rest, rtol=0, atol=1e-14)


# FPRM, Proposition 1: the error of truncated backpropagation.


@few
@given(seed=seeds, sigma=st.floats(0.05, 0.98), size=st.integers(1, 8), scaled=st.booleans())
def test_truncation_error_decays_exponentially(seed, sigma, size, scaled):
    """Both of the truncated series and of as many unrolled steps at rest, and it is reached by J = σ I."""
    same = torch.eye(size, dtype=torch.float64)
    jacobian = sigma * same if scaled else Draws(seed).matrix(size, sigma)
    inverse = torch.linalg.inv(same - jacobian)
    bias = torch.zeros(size, size, dtype=torch.float64, requires_grad=True)

    def f(z):
        return z @ jacobian.T + bias

    for terms in range(1, 13):
        bound = size**0.5 * sigma**terms / (1 - sigma)
        for rule in (Neumann(terms=terms), Phantom(steps=terms)):
            # Row i of u is (Σ (Jᵀ)ʲ) eᵢ.
            value = rule.attach(f, torch.zeros_like(same))
            (u,) = torch.autograd.grad(value, bias, same)
            error = torch.linalg.matrix_norm(u - inverse).item()
            assert error <= bound * (1 + ROUNDING) + 1e-12
            if scaled:
                assert error == pytest.approx(bound, rel=1e-6, abs=1e-12)


@few
@given(seed=seeds, sigma=st.floats(0.05, 0.95), terms=st.integers(1, 12))
def test_truncated_gradients_are_off_by_as_much(seed, sigma, terms):
    """‖∇ − ∇⁽ᵏ⁾‖ ≤ ‖P‖ σᵏ / (1 − σ) ‖δ‖, P = ∂f/∂θ."""
    draws, size = Draws(seed), 6
    jacobian, inputs, delta = draws.matrix(size, sigma), draws.normal(size, 4), draws.normal(size)
    theta = draws.normal(4).requires_grad_()

    def f(z):
        return z @ jacobian.T + inputs @ theta

    rest = torch.linalg.solve(torch.eye(size, dtype=torch.float64) - jacobian, inputs @ theta.detach())[None]
    exact = inputs.T @ torch.linalg.solve(torch.eye(size, dtype=torch.float64) - jacobian.T, delta)
    (found,) = torch.autograd.grad((Neumann(terms=terms).attach(f, rest)[0] * delta).sum(), theta)
    bound = torch.linalg.matrix_norm(inputs, 2) * sigma**terms / (1 - sigma) * length(delta)
    assert length(found - exact) <= bound * (1 + ROUNDING)


# Attractor, Theorem 1: a map that contracts in a ball, and nowhere else.


class InABall:
    """`f(y) = θ + y Aᵀ + κ y²` with the fixed point `rest` in the middle of a ball where it contracts.

    There ‖J‖ ≤ ‖A + 2κ diag(rest)‖ + 2κ r = L; far away f grows without bound.
    """

    kappa = 0.3

    def __init__(self, seed, contraction, size=5):
        draws = Draws(seed)
        self.rest = 0.1 * draws.normal(1, size)
        self.contraction = contraction
        self.radius = 0.2 * contraction / (2 * self.kappa)
        linear = draws.matrix(size, 0.8 * contraction)
        self.weight = linear - 2 * self.kappa * torch.diag(self.rest[0])
        moved = self.rest @ self.weight.T + self.kappa * self.rest.square()
        self.theta = (self.rest - moved).requires_grad_()
        self.within = self.rest + self.radius * draws.direction(4, size) * torch.linspace(0.1, 1, 4)[:, None]
        self.v, self.direction = draws.normal(size), draws.direction(1, size)

    def __call__(self, y):
        return self.theta + y @ self.weight.T + self.kappa * y.square()


balls = st.builds(InABall, seed=seeds, contraction=st.floats(0.1, 0.95))


@few
@given(f=balls)
def test_picard_iteration_converges_linearly_and_stays_in_the_ball(f):
    """(ii): ‖y_k − y*‖ ≤ Lᵏ ‖y₀ − y*‖."""
    with torch.no_grad():
        distances = length(states(f, f.within, 60) - f.rest)
        assert (length(f(f.rest) - f.rest) < 1e-14).all()
    shares = f.contraction ** torch.arange(61, dtype=torch.float64)[:, None]
    assert (distances <= shares * distances[0] * (1 + ROUNDING) + 1e-13).all()
    assert (distances <= f.radius * (1 + ROUNDING)).all()


@few
@given(f=balls)
def test_the_implicit_gradient_is_valid(f):
    """(iii): I − J is invertible, and ∂y*/∂θ = (I − J)⁻¹ ∂f/∂θ."""
    same = torch.eye(f.rest.shape[1], dtype=torch.float64)
    jacobian = f.weight + 2 * f.kappa * torch.diag(f.rest[0])
    norm = torch.linalg.matrix_norm(jacobian, 2)
    assert norm <= f.contraction
    assert torch.linalg.svdvals(same - jacobian).min() >= 1 - norm - ROUNDING
    # ∂f/∂θ is the identity.
    expected = torch.linalg.solve(same - jacobian.T, f.v)
    for solver in ("picard", "anderson"):
        rule = Implicit(solver=solver, tolerance=1e-12, max_iterations=1000)
        (found,) = torch.autograd.grad((rule.attach(f, f.rest)[0] * f.v).sum(), f.theta)
        torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-8)
    step, ends = 1e-5 * f.radius, []
    for sign in (1, -1):
        with torch.no_grad():
            f.theta.add_(f.direction, alpha=sign * step)
            solution = solve(f, f.rest, Picard(), tolerance=1e-15, max_iterations=2000)
            f.theta.add_(f.direction, alpha=-sign * step)
        ends.append((solution.state[0] * f.v).sum().item())
    slope = (ends[0] - ends[1]) / (2 * step)
    assert slope == pytest.approx((expected * f.direction[0]).sum().item(), rel=1e-5, abs=1e-6)


# EqR, Eq. 5 and 7: what a residual certifies.


@few
@given(f=balls, tolerance=st.floats(1e-12, 1e-2))
def test_a_small_residual_is_close_to_rest(f, tolerance):
    """Eq. 5: ‖z − z*‖ ≤ ‖z − f(z)‖ / (1 − L)."""
    with torch.no_grad():
        distance = length(f.within - f.rest)
        r = residual(f(f.within), f.within, "l2")
        solution = solve(f, f.within, Picard(), tolerance=tolerance, max_iterations=2000)
    assert (distance <= r / (1 - f.contraction) * (1 + ROUNDING)).all()
    assert solution.settled.all()
    # A solve ends one evaluation after the state whose residual it tested.
    bound = f.contraction * tolerance / (1 - f.contraction)
    assert (length(solution.state - f.rest) <= bound + 1e-13).all()


def gaps(heads, labels, z):
    """By how much the label's logit leads each other one, places × labels: `s_y − s_a`."""
    logits = torch.einsum("pad,d->pa", heads, z)
    lead = logits.gather(1, labels[:, None]) - logits
    return lead[torch.arange(heads.shape[1]) != labels[:, None]]


@few
@given(f=balls, seed=seeds, share=st.floats(0.5, 0.999))
def test_a_residual_below_the_margin_certifies_the_answer(f, seed, share):
    """Eq. 7: ‖R(z)‖ < (1 − L) γ / G implies the answer of z*; heads of 3 places and 4 labels."""
    draws = Draws(seed)
    heads = draws.normal(3, 4, f.rest.shape[1])
    labels = torch.einsum("pad,d->pa", heads, f.rest[0]).argmax(dim=1)
    margin = gaps(heads, labels, f.rest[0]).min()
    apart = heads.gather(1, labels[:, None, None].expand(-1, 1, heads.shape[2])) - heads
    steepest = length(apart).max()
    allowed = share * (1 - f.contraction) * margin / steepest
    assert margin > 0
    # The farthest state in each direction, within the ball, whose residual is allowed.
    for direction in draws.direction(20, f.rest.shape[1]):
        near, far = 0.0, f.radius
        for _ in range(50):
            middle = (near + far) / 2
            z = f.rest + middle * direction
            with torch.no_grad():
                r = residual(f(z), z, "l2")
            near, far = (middle, far) if (r < allowed).all() else (near, middle)
        answer = torch.einsum("pad,d->pa", heads, f.rest[0] + near * direction).argmax(dim=1)
        assert torch.equal(answer, labels)


@few
@given(seed=seeds, contraction=st.floats(0.0, 0.95))
def test_the_margin_bound_is_exact(seed, contraction):
    """With f = z* + L (z − z*) and two labels, a residual just above it can be wrong, just below it not."""
    draws = Draws(seed)
    rest, heads = draws.normal(5), draws.normal(1, 2, 5)
    labels = (heads[0] @ rest).argmax()[None]
    margin = gaps(heads, labels, rest).min()
    towards = heads[0, 1 - labels[0]] - heads[0, labels[0]]
    steepest = length(towards)
    for factor, holds in ((0.999, True), (1.001, False)):
        z = (rest + factor * margin / steepest * towards / steepest)[None]
        r = residual(rest + contraction * (z - rest), z, "l2")
        assert r.item() == pytest.approx((factor * (1 - contraction) * margin / steepest).item(), rel=1e-9)
        assert ((heads[0] @ z[0]).argmax() == labels[0]).item() is holds
