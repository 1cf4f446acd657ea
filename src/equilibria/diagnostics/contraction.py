"""How a reasoner's map contracts where it came to rest: the spectrum of its Jacobian.

Near a fixed point iterates approach it by the factor ρ(J) an iteration, the largest modulus of an eigenvalue
of J = ∂f/∂z: below 1 it attracts. A pair of complex eigenvalues turns states as it shrinks them; real parts
below and damping decide what relaxation can cure (FPRM Thm. 3). ‖J‖₂, the largest singular value, is what
EqR's L is near a state; it may exceed 1 where ρ does not, for states may grow for a while before they
shrink. On a cycle of p states all this is said of f applied p times.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs, svds
from torch import Tensor

from equilibria.dynamics.solvers import Map, Picard, Solver
from equilibria.errors import DataError
from equilibria.nn.second_order import second_order
from equilibria.reasoners.interface import EVERY, Reasoner

DENSE = 64
"""Up to so many elements the Jacobian is written down, and its spectrum is exact."""
STEP = 0.01
"""Of differences, as a share of the typical size of a state's elements."""
BASIS = 32
"""Vectors of the Krylov space between restarts of Arnoldi's method."""
RESTARTS = 20
"""Of Arnoldi's method, at most."""
AGREEMENT = 0.02
"""Relative difference beyond which a derivative is not believed and differences take its place."""


@dataclass(frozen=True)
class Contraction:
    """The map near a state, as far as its Jacobian there says.

    Attributes:
        eigenvalues: of J (over a cycle, of the product of its Js), by modulus, the largest first.
        radius: modulus of the first: the spectral radius ρ. Over a cycle, of a whole lap.
        norm: ‖J‖₂; NaN where the reasoner offers no products with Jᵀ.
        residual: `‖fᵖ(z) − z‖₂`: how far the state is from where the Jacobian should be taken.
        period: p.
        converged: whether Arnoldi's method met its tolerance on all of `eigenvalues`.
        exact: whether products are derivatives; false: differences, for the reasoner's gradient is not that
            of its map (a solve inside an iteration) or does not exist.
    """

    eigenvalues: tuple[complex, ...]
    radius: float
    norm: float
    residual: float
    period: int
    converged: bool
    exact: bool

    @property
    def rate(self) -> float:
        """ρ an iteration: the radius over a lap, shared among its iterations."""
        return self.radius ** (1 / self.period)


def local_contraction(
    f: Map, state: Tensor, period: int = 1, eigenvalues: int = 6, *, tolerance: float = 1e-4, seed: int = 0
) -> Contraction:
    """Leading eigenvalues and the norm of the Jacobian of f, or of f applied `period` times, at a state.

    Eigenvalues by Arnoldi's method and the norm by Lanczos' on products with J and Jᵀ (ARPACK): J is never
    written down, unless the state is tiny. For a reasoner, f is `noise_free(...)`.

    Args:
        f: without noise; takes and returns `[1, ...]` in the dtype of the state; float64 where it can.
        state: `[...]` or `[1, ...]`, near a fixed point or on a cycle.
        period: of the cycle that the state is on.
        eigenvalues: how many.
        tolerance: relative, of eigenvalues; the norm is found as exactly.
        seed: of the vector that Arnoldi's method starts from.

    Raises:
        DataError: f is not finite there.
    """
    jacobian = _Jacobian(f, state.detach(), period)
    size = jacobian.size
    if size <= max(DENSE, eigenvalues + 2):
        dense = np.stack([jacobian.forward(column) for column in np.eye(size)], axis=1)
        found, converged = np.linalg.eigvals(dense), True
        norm = float(np.linalg.norm(dense, 2))
    else:
        start = np.random.default_rng(seed).standard_normal(size)
        found, converged = _arnoldi(jacobian, eigenvalues, tolerance, start)
        norm = _norm(jacobian, tolerance, start) if jacobian.exact else float("nan")
    ordered = sorted((complex(value) for value in found), key=lambda value: (-abs(value), -value.imag))
    return Contraction(
        eigenvalues=tuple(ordered[:eigenvalues]),
        radius=abs(ordered[0]) if ordered else float("nan"),
        norm=norm,
        residual=jacobian.residual,
        period=period,
        converged=converged,
        exact=jacobian.exact,
    )


@contextmanager
def noise_free(
    reasoner: Reasoner[Any],
    tokens: Tensor,
    identifiers: Tensor | None = None,
    *,
    solver: Solver = Picard(),
    dtype: torch.dtype = torch.float64,
    copies: int = 1,
) -> Iterator[Map]:
    """The map of a reasoner on one problem, without path noise, differentiable through all of an iteration.

    Inside, the reasoner computes in `dtype`; outside, as before.

    Args:
        reasoner: not compiled (a compiled iteration has no second derivatives, and float32 alone).
        tokens: `[tokens]` the problem.
        identifiers: `[]` its puzzle identity.
        solver: what is iterated is its step; a solver with a memory has no map of the state alone.
        dtype: of the computation: rounding sets a floor to residuals and to small eigenvalues.
        copies: how many states the map takes at a time.

    Raises:
        DataError: the solver has a memory.
    """
    device = next(reasoner.parameters()).device
    before, training = reasoner.compute_dtype, reasoner.training
    try:
        reasoner.compute_in(dtype).eval()
        with torch.no_grad():
            named = None if identifiers is None else identifiers.reshape(1).expand(copies).to(device)
            condition = reasoner.encode(tokens.expand(copies, -1).to(device), named)
        if solver.init(condition.x):
            raise DataError(
                f"the solver '{solver.name}' remembers earlier states, so its step is no map of a state; "
                "look at the map itself (picard), or at a damped one (relaxed)"
            )

        def iterate(z: Tensor) -> Tensor:
            return reasoner.iterate(z, condition, tracked=EVERY).state

        def f(z: Tensor) -> Tensor:
            with second_order():
                return solver.step(iterate, z.to(device, dtype), {})[0]

        yield f
    finally:
        reasoner.compute_in(before).train(training)


class _Jacobian:
    """Products with J and Jᵀ of f applied p times, as vectors of numpy."""

    def __init__(self, f: Map, state: Tensor, period: int) -> None:
        self.f, self.period = f, period
        self.z = state
        image = self._apply(state)
        if image.shape != state.shape:
            self.z = state[None]
            image = self._apply(self.z)
        self.residual = float(torch.linalg.vector_norm(image.double() - self.z.double()))
        if not np.isfinite(self.residual):
            raise DataError("the map is not finite at this state; contraction is asked of states at rest")
        self.size = self.z.numel()
        self.exact = self._differentiable()

    def forward(self, v: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._numbers(
            self._derivative(self._vector(v)) if self.exact else self._difference(self._vector(v))
        )

    def transposed(self, v: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._numbers(self._adjoint(self._vector(v)))

    def operator(self) -> LinearOperator:
        shape = (self.size, self.size)
        made: Any = LinearOperator  # its constructor chooses a class, which annotations do not say
        return made(shape, matvec=self.forward, rmatvec=self.transposed, dtype=np.float64)

    @torch.no_grad()
    def _apply(self, z: Tensor) -> Tensor:
        return self._composed(z)

    def _composed(self, z: Tensor) -> Tensor:
        for _ in range(self.period):
            z = self.f(z)
        return z

    @cached_property
    def _graph(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """z, its image, u, and Jᵀ u as a function of u: made once, for all products.

        J v is the derivative along v of Jᵀ u, which is linear in u: fused pieces have no forward mode, but
        gradients of gradients.
        """
        with torch.enable_grad():
            at = self.z.detach().requires_grad_()
            u = torch.zeros_like(at).requires_grad_()
            image = self._composed(at)
            (pulled,) = torch.autograd.grad(
                image, at, u, create_graph=True, allow_unused=True, materialize_grads=True
            )
        return at, image, u, pulled

    def _derivative(self, v: Tensor) -> Tensor:
        _, _, u, pulled = self._graph
        if not pulled.requires_grad:  # f does not read its state
            return torch.zeros_like(v)
        (product,) = torch.autograd.grad(
            pulled, u, v, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return product

    def _adjoint(self, v: Tensor) -> Tensor:
        at, image, _, _ = self._graph
        (product,) = torch.autograd.grad(
            image, at, v, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return product

    def _difference(self, v: Tensor) -> Tensor:
        """J v by central differences.

        No element moves by more than `STEP` of their typical size: small against curvature, large against the
        rounding of float32, which some layers compute in whatever the state is kept in.
        """
        most, size = float(v.abs().max()), float(self.z.square().mean().sqrt())
        if most == 0:
            return torch.zeros_like(v)
        h = STEP * (size or 1.0) / most
        return (self._apply(self.z + h * v) - self._apply(self.z - h * v)) / (2 * h)

    def _differentiable(self) -> bool:
        """Whether derivatives are there and agree with differences, along one direction."""
        generator = torch.Generator().manual_seed(0)
        v = torch.randn(self.z.shape, generator=generator, dtype=torch.float64).to(self.z)
        try:
            derivative = self._derivative(v)
        except (RuntimeError, NotImplementedError):
            return False
        difference = self._difference(v)
        apart = float(torch.linalg.vector_norm(derivative - difference))
        return apart <= AGREEMENT * float(torch.linalg.vector_norm(difference)) + 1e-6 * float(v.norm())

    def _vector(self, v: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(v)).to(self.z).view(self.z.shape)

    def _numbers(self, v: Tensor) -> NDArray[np.float64]:
        return v.detach().double().flatten().cpu().numpy()


def _arnoldi(
    jacobian: _Jacobian, count: int, tolerance: float, start: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], bool]:
    """Eigenvalues of the largest modulus, and whether all were found."""
    if not jacobian.forward(start).any():  # a map that does not read its state
        return np.zeros(count, dtype=np.complex128), True
    basis = min(jacobian.size, max(BASIS, 2 * count + 1))
    limits: dict[str, Any] = {"tol": tolerance, "maxiter": RESTARTS, "ncv": basis, "v0": start}
    try:
        found: Any = eigs(jacobian.operator(), count, which="LM", return_eigenvectors=False, **limits)
        return np.asarray(found), True
    except ArpackNoConvergence as stopped:
        return stopped.eigenvalues, False


def _norm(jacobian: _Jacobian, tolerance: float, start: NDArray[np.float64]) -> float:
    """The largest singular value; NaN if it was not found."""
    if not jacobian.transposed(start).any():
        return 0.0
    try:
        limits: dict[str, Any] = {"tol": tolerance, "v0": start}
        found: Any = svds(jacobian.operator(), 1, return_singular_vectors=False, **limits)
        return float(found[0])
    except ArpackNoConvergence:
        return float("nan")
