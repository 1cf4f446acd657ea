"""Spectra against matrices that are known, and those of families against differences."""

import math

import numpy as np
import pytest
import torch

from equilibria.diagnostics.contraction import local_contraction, noise_free
from equilibria.dynamics.noise import NoiseSource
from equilibria.dynamics.solvers import Anderson, Relaxed
from equilibria.errors import DataError
from equilibria.reasoners import configure, family
from equilibria.reasoners.interface import ProblemShape

SMALL = {"width": 16, "heads": 2, "layers": 1, "channel_inner": 32, "token_inner": 16}
CYCLES = {"H_cycles": 2, "L_cycles": 2}
SHAPE = ProblemShape(5, 4, (2, 2))
TOKENS = torch.tensor([1, 0, 2, 3])


def matrix(eigenvalues, size, seed=0, skew=0.0):
    """A real matrix with these leading eigenvalues and smaller ones; `skew` makes it far from normal."""
    generator = np.random.default_rng(seed)
    blocks = np.diag(generator.uniform(-0.2, 0.2, size))
    place = 0
    for value in eigenvalues:
        value = complex(value)
        if value.imag:
            blocks[place : place + 2, place : place + 2] = [
                [value.real, -value.imag],
                [value.imag, value.real],
            ]
        else:
            blocks[place, place] = value.real
        place += 2 if value.imag else 1
    basis = np.linalg.qr(generator.standard_normal((size, size)))[0]
    basis = basis @ (np.eye(size) + skew * np.triu(generator.standard_normal((size, size)), 1) / size**0.5)
    return torch.tensor(basis @ blocks @ np.linalg.inv(basis))


@pytest.mark.parametrize("size", [12, 200])  # written down, and by Arnoldi's method
@pytest.mark.parametrize("skew", [0.0, 1.0])
def test_eigenvalues_and_norm_are_those_of_the_matrix(size, skew):
    planted = [0.9, 0.8 * complex(math.cos(1), math.sin(1)), -0.6]
    a = matrix(planted, size, skew=skew)
    centre = torch.randn(1, 1, size // 4, 4, dtype=torch.float64)

    def f(z):
        away = (z - centre).flatten(1)
        return centre + (away @ a.T + 0.1 * away**2).view_as(z)  # not linear, but for the centre

    found = local_contraction(f, centre, eigenvalues=4)
    expected = [0.9, planted[1], planted[1].conjugate(), -0.6]
    assert found.eigenvalues == pytest.approx(expected, rel=1e-3)
    assert found.radius == pytest.approx(0.9, rel=1e-3)
    assert found.norm == pytest.approx(np.linalg.norm(a.numpy(), 2), rel=1e-3)
    assert (found.norm > 1) == (skew > 0)  # grows for a while, though it attracts
    assert found.exact and found.converged and found.residual == 0


def test_a_cycle_is_seen_lap_by_lap():
    first, second = matrix([0.9], 80, seed=1), matrix([-0.8], 80, seed=2)
    one, two = torch.zeros(1, 80, dtype=torch.float64), torch.ones(1, 80, dtype=torch.float64)

    def f(z):
        here = z.mean() < 0.5
        return two + (z - one) @ first.T if here else one + (z - two) @ second.T

    expected = abs(np.linalg.eigvals((second @ first).numpy())).max()
    found = local_contraction(f, one, period=2)
    assert found.radius == pytest.approx(expected, rel=1e-3)
    assert found.rate == pytest.approx(expected**0.5, rel=1e-3)
    assert found.residual == 0
    assert local_contraction(f, one).residual == pytest.approx(80**0.5)


def test_differences_take_over_where_the_gradient_is_not_that_of_the_map():
    a = matrix([0.7, 0.5], 100)
    z = torch.randn(1, 100, dtype=torch.float64)

    def dishonest(z):
        return z @ a.T + (z - z.detach())  # adds the identity to the gradient, and nothing to the value

    found = local_contraction(dishonest, z)
    assert not found.exact
    assert found.radius == pytest.approx(0.7, rel=1e-3)
    assert math.isnan(found.norm)
    with torch.no_grad():
        assert local_contraction(lambda z: (z @ a.T).detach(), z).radius == pytest.approx(0.7, rel=1e-3)


def test_a_map_that_ignores_its_state_has_no_spectrum():
    weight = torch.ones(1, 100, dtype=torch.float64, requires_grad=True)
    found = local_contraction(lambda z: 2 * weight, torch.full_like(weight, 2.0))
    assert found.radius == found.norm == found.residual == 0


def test_states_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="not finite"):
        local_contraction(lambda z: z / 0, torch.ones(1, 4))


def build(name, values):
    torch.manual_seed(0)
    return family(name)(configure({"family": name, **SMALL, **values}), SHAPE)


def settled(reasoner, f, dtype):
    source = NoiseSource.trajectories(0, torch.tensor([1]), torch.tensor([0]))
    z = reasoner.initial_state(reasoner.encode(TOKENS[None]), source).to(dtype)
    with torch.no_grad():
        for _ in range(20):
            z = f(z)
    return z


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("recursive", CYCLES),
        ("hrm", CYCLES | {"fast_layers": 1}),
        ("fprm", {"prefix": 1}),
        ("attractor", {"prefix": 1, "H_cycles": 1, "max_iterations": 3, "min_iterations": 3}),
        ("feedforward", {"layers": 2}),
    ],
)
def test_every_family_has_a_jacobian(name, values):
    reasoner = build(name, values)
    with noise_free(reasoner, TOKENS) as f:
        z = settled(reasoner, f, torch.float64)
        found = local_contraction(f, z, eigenvalues=2)
        step, columns = 1e-3, []
        with torch.no_grad():
            for place in range(z.numel()):
                move = torch.zeros_like(z).view(-1)
                move[place] = step
                move = move.view_as(z)
                columns.append(((f(z + move) - f(z - move)) / (2 * step)).flatten())
    dense = torch.stack(columns, dim=1).numpy()
    # What a solve inside an iteration leaves is no smooth function of the state: nor are differences.
    assert found.radius == pytest.approx(abs(np.linalg.eigvals(dense)).max(), rel=0.02, abs=1e-6)
    assert found.exact == (name != "attractor")
    if found.exact:
        assert found.norm == pytest.approx(np.linalg.norm(dense, 2), rel=0.02, abs=1e-6)
    assert reasoner.compute_dtype == torch.float32 and reasoner.training


def test_damping_is_part_of_the_map_and_memory_cannot_be():
    reasoner = build("fprm", {})
    with noise_free(reasoner, TOKENS) as f, noise_free(reasoner, TOKENS, solver=Relaxed(damping=0.5)) as g:
        z = settled(reasoner, f, torch.float64)
        plain, damped = (local_contraction(each, z, eigenvalues=1) for each in (f, g))
    assert damped.radius == pytest.approx(max(abs(0.5 * plain.eigenvalues[0] + 0.5), 0.5), rel=0.1)
    with (
        pytest.raises(DataError, match="remembers earlier states"),
        noise_free(reasoner, TOKENS, solver=Anderson()),
    ):
        pass
