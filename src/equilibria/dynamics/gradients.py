"""How to differentiate where a map came to rest.

For z* = f(z*; θ) the implicit function theorem gives `dL/dθ = uᵀ ∂f/∂θ` with `u = (I − Jᵀ)⁻¹ v`,
v = dL/dz* and J = ∂f/∂z at z* (FPRM Eq. ift; Attractor Eq. 4). Each rule here is one way to come by u, or
by what it stands for. Rules are plain data, and sections of a recipe.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from equilibria.dynamics.norms import across
from equilibria.dynamics.solve import Solution, solve
from equilibria.dynamics.solvers import Anderson, Map, Picard, Solver
from equilibria.dynamics.solvers.interface import check


@dataclass(frozen=True, kw_only=True)
class Gradient(ABC):
    """A rule; `name` says which, in a recipe."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    name: str

    def tracked(self, iterations: int) -> int:
        """How many trailing iterations of a solve run with gradient: none, where the end alone counts."""
        return 0

    @abstractmethod
    def attach(self, f: Map, z: Tensor) -> Tensor:
        """An equilibrium with this rule behind it; without gradient mode, its value alone.

        Args:
            f: differentiable in its argument and in what it closes over.
            z: where it came to rest, `[batch, ...]`; nothing flows back into how it got there.
        """


@dataclass(frozen=True, kw_only=True)
class Unrolled(Gradient):
    """Back through the iterations themselves: all of them, or the last ones.

    Attributes:
        last: how many; None: all. What came before has no gradient ("detached carry").
    """

    name: Literal["unrolled"] = "unrolled"
    last: int | None = None

    def __post_init__(self) -> None:
        check(self.last is None or self.last >= 1, f"last must be at least 1, not {self.last}")

    def tracked(self, iterations: int) -> int:
        """All, or the last ones."""
        return iterations if self.last is None else min(self.last, iterations)

    def attach(self, f: Map, z: Tensor) -> Tensor:
        """As it is: the iterations carried their gradient along."""
        return z


@dataclass(frozen=True, kw_only=True)
class OneStep(Gradient):
    """`u = v`: Jacobian-free backpropagation, through one application of f (Fung et al. 2022)."""

    name: Literal["one-step"] = "one-step"

    def attach(self, f: Map, z: Tensor) -> Tensor:
        """f(z), its graph not reaching beyond z."""
        return f(z.detach())


@dataclass(frozen=True, kw_only=True)
class Phantom(Gradient):
    """k more damped steps with gradient, `z ← (1 − λ) f(z) + λ z` (Geng et al. 2021).

    Its u is `(1 − λ) Σ_{j<k} ((1 − λ) Jᵀ + λ)ʲ v`, each J taken where its step was.

    Attributes:
        steps: k.
        damping: λ, the weight of the old state (torchdeq's τ is 1 − λ).
    """

    name: Literal["phantom"] = "phantom"
    steps: int = 2
    damping: float = 0.0

    def __post_init__(self) -> None:
        check(self.steps >= 1, f"steps must be at least 1, not {self.steps}")
        check(0 <= self.damping < 1, f"damping must be at least 0 and less than 1, not {self.damping:g}")

    def attach(self, f: Map, z: Tensor) -> Tensor:
        """The last of those states."""
        z = z.detach()
        for _ in range(self.steps):
            z = (1.0 - self.damping) * f(z) + self.damping * z if self.damping else f(z)
        return z


@dataclass(frozen=True, kw_only=True)
class Neumann(Gradient):
    """`u = Σ_{j<k} (Jᵀ)ʲ v`, the first terms of the inverse (FPRM Eq. neumann_trunc, Prop. 1).

    Attributes:
        terms: k. One is `OneStep`; two is what Attractor's code calls one-step.
        clip: κ; a sample's next term is at most κ times as long as the one before. None: no bound.
    """

    name: Literal["neumann"] = "neumann"
    terms: int = 2
    clip: float | None = None

    def __post_init__(self) -> None:
        check(self.terms >= 1, f"terms must be at least 1, not {self.terms}")
        check(self.clip is None or self.clip > 0, f"clip must be positive, not {self.clip}")

    def attach(self, f: Map, z: Tensor) -> Tensor:
        """f(z), whose incoming gradient v becomes u."""

        def adjoint(transposed: Map, v: Tensor) -> Tensor:
            total = term = v
            for _ in range(self.terms - 1):
                term = _clipped(transposed(term), term, self.clip)
                total = total + term
            return total

        return _attached(f, z, adjoint)


@dataclass(frozen=True, kw_only=True)
class Implicit(Gradient):
    """u solved for: the fixed point of `u ← Jᵀ u + v`, from v (Bai et al. 2019).

    Attributes:
        solver: of that system: plain iteration, or Anderson acceleration.
        window, mixing, ridge, scaled, restart: of the latter.
        tolerance: a sample is done when the relative change of its u is below this.
        max_iterations: products with Jᵀ at most.
        min_iterations: products with Jᵀ before which no sample is done.
        together: no sample is done before all are, as published.
        clip: κ; a sample's u is at most κ times as long as v. None: no bound.
    """

    name: Literal["implicit"] = "implicit"
    solver: Literal["picard", "anderson"] = "anderson"
    window: int = 5
    mixing: float = 1.0
    ridge: float = 1e-4
    scaled: bool = True
    restart: bool = True
    tolerance: float = 1e-6
    max_iterations: int = 50
    min_iterations: int = 1
    together: bool = False
    clip: float | None = None

    def __post_init__(self) -> None:
        self._solver()
        check(self.tolerance >= 0, f"tolerance must not be negative, not {self.tolerance:g}")
        check(self.max_iterations >= 1, f"max_iterations must be at least 1, not {self.max_iterations}")
        check(self.min_iterations >= 0, f"min_iterations must not be negative, not {self.min_iterations}")
        check(self.clip is None or self.clip > 0, f"clip must be positive, not {self.clip}")

    def _solver(self) -> Solver:
        if self.solver == "picard":
            return Picard(norm="relative-l2")
        return Anderson(
            window=self.window,
            mixing=self.mixing,
            ridge=self.ridge,
            scaled=self.scaled,
            restart=self.restart,
        )

    def attach(self, f: Map, z: Tensor) -> Tensor:
        """f(z), whose incoming gradient v becomes u."""

        def adjoint(transposed: Map, v: Tensor) -> Tensor:
            solution = solve(
                lambda u: transposed(u) + v,
                v,
                self._solver(),
                tolerance=self.tolerance,
                max_iterations=self.max_iterations,
                min_iterations=self.min_iterations,
                together=self.together,
            )
            return _clipped(solution.state, v, self.clip)

        return _attached(f, z, adjoint)


AnyGradient = Unrolled | OneStep | Phantom | Neumann | Implicit


def solve_with_gradient(
    f: Map,
    z0: Tensor,
    solver: Solver,
    gradient: Gradient,
    *,
    tolerance: float,
    max_iterations: int,
    **limits: Any,
) -> Solution:
    """`solve` without gradient, then the rule attached to where it ended.

    With `Unrolled` the last iterations run with gradient, for every sample, from where the others ended: so
    many gradient passes through, whether a sample had settled before or not. The memory that is given back
    has no gradient. Nor has the state of a sample that diverged: it stays where the part without gradient
    left it, finite. What f makes of it on the way may still reach gradients of parameters that it shares.

    Args:
        f, z0, solver, tolerance, max_iterations: as in `solve`.
        gradient: the rule.
        **limits: more of `solve`.
    """
    tracked = gradient.tracked(max_iterations)
    if not tracked:
        with torch.no_grad():
            solution = solve(f, z0, solver, tolerance=tolerance, max_iterations=max_iterations, **limits)
        end = gradient.attach(f, solution.state)
        return replace(solution, state=torch.where(across(solution.diverged, end), solution.state, end))
    start, memory = z0, solver.init(z0)
    before: Solution | None = None
    if tracked < max_iterations:
        with torch.no_grad():
            untracked = max_iterations - tracked
            before = solve(f, z0, solver, tolerance=tolerance, max_iterations=untracked, **limits)
        start, memory = before.state, before.memory
    state, residuals = start, list[Tensor]()
    for _ in range(tracked):
        state, memory, residual = solver.step(f, state, memory)
        residuals.append(residual.detach())
    known = torch.stack(residuals, dim=1)
    spent = torch.full((len(state),), tracked, dtype=torch.int64, device=state.device)
    end = solver.result(state, memory)
    diverged = ~end.detach().flatten(1).isfinite().all(dim=1)
    if before is not None:
        known = torch.cat([before.residuals, known], dim=1)
        spent, diverged = before.iterations + spent, before.diverged | diverged
    return Solution(
        state=torch.where(across(diverged, end), start.detach(), end),
        residuals=known,
        iterations=spent,
        settled=(residuals[-1] < tolerance) & ~diverged,
        diverged=diverged,
        memory={name: value.detach() for name, value in memory.items()},
    )


def jacobian_penalty(f: Map, z: Tensor, probe: Tensor) -> Tensor:
    """Mean over all elements of `(Jᵀ probe)²`, J = ∂f/∂z at z: a scalar with gradient (Bai et al. 2021).

    There are two scalings of it about. With standard normal probes, as in torchdeq, its mean over probes is
    ‖J‖²_F / elements, ‖J‖²_F summed over the batch. Attractor's code divides the probe by √width first,
    which divides the penalty by the width. Nothing flows back into how z was found.
    """
    at = z.detach().requires_grad_()
    with torch.enable_grad():
        (product,) = torch.autograd.grad(f(at), at, probe, create_graph=True)
    return product.square().mean()


def _attached(f: Map, z: Tensor, adjoint: Callable[[Map, Tensor], Tensor]) -> Tensor:
    """f(z) with `adjoint(u ↦ Jᵀ u, v)` in place of the incoming gradient v, in float32 or float64."""
    value = f(z.detach())
    if not value.requires_grad:
        return value
    # A graph of its own for products with Jᵀ; that of `value` passes u on to parameters and condition.
    at = z.detach().requires_grad_()
    inner = f(at)

    def transposed(u: Tensor) -> Tensor:
        (product,) = torch.autograd.grad(
            inner, at, u.to(inner.dtype), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return product.to(u.dtype)

    def replaced(v: Tensor) -> Tensor:
        wide = v if v.dtype == torch.float64 else v.float()
        return adjoint(transposed, wide).to(v.dtype)

    return _Adjoint.apply(value, replaced)  # type: ignore[no-any-return]


class _Adjoint(torch.autograd.Function):
    """The identity, whose backward is a function given."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, replaced: Map) -> Tensor:
        ctx.replaced = replaced
        return value.view_as(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (v,) = grad_outputs
        return ctx.replaced(v), None


def _clipped(value: Tensor, reference: Tensor, clip: float | None) -> Tensor:
    """`value`, every sample of it at most `clip` times as long as that of `reference`."""
    if clip is None:
        return value
    length = torch.linalg.vector_norm(value.flatten(1), dim=1)
    most = clip * torch.linalg.vector_norm(reference.flatten(1), dim=1)
    shrink = torch.where(length > most, most / length.clamp(min=1e-30), 1.0)
    return value * across(shrink, value)
