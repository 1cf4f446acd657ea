"""Attractor Models, reasoning form: TRM's inner loop solved to its fixed point (Attractor Sec. 4.2).

Instead of n updates of the fast stream, a solver finds where they lead: `z_L = F(z_L; z_H + x)` with z_H
frozen, then one slow update, H times an iteration, as the published code has it. Or, as the paper's text has
it, both streams are solved for together. A few applications of the map with gradient after the solve carry
the gradient (phantom gradient); deep supervision starts each solve from where the last one ended.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn

from equilibria.distributions import truncated_normal
from equilibria.dynamics.gradients import AnyGradient, OneStep, Phantom, Unrolled, jacobian_penalty
from equilibria.dynamics.noise import NoiseSource
from equilibria.dynamics.residual import distance
from equilibria.dynamics.solve import Solution, solve
from equilibria.dynamics.solvers import Anderson, AnySolver
from equilibria.nn.level import Module
from equilibria.nn.second_order import second_order
from equilibria.reasoners.blocks import BlockConfig, BlockReasoner
from equilibria.reasoners.interface import Condition, Noise, ProblemShape, Step

PROBE_STREAM = 1 << 19  # draws of the Jacobian probes, one stream a slow cycle


class AttractorConfig(BlockConfig):
    """The published 7M model; with `layers: 8` the one of 27M."""

    family: str = "attractor"
    mixing: Literal["mlp", "attention"] = "attention"
    positions: Literal["none", "rope", "rope2d", "learned"] = "rope"
    prefix: int = Field(default=16, ge=0)
    solved: Literal["fast", "joint"] = "fast"
    """The sub-state solved for: z_L with z_H frozen (published code), or (z_H, z_L) together (the paper)."""
    H_cycles: PositiveInt = 3
    """Solves, each followed by a slow update, in one iteration; all but the last without gradient. A joint
    solve has no slow update after it."""
    solver: Annotated[AnySolver, Field(discriminator="name")] = Anderson()
    max_iterations: PositiveInt = 8
    min_iterations: NonNegativeInt = 4
    tolerance: float = Field(default=1e-3, gt=0)
    """A solve leaves a row alone whose residual, in the solver's norm, is below this."""
    gradient: Annotated[AnyGradient, Field(discriminator="name")] = Phantom(steps=2)
    """How the fixed point is differentiated."""
    jacobian: float = Field(default=0.0, ge=0)
    """Weight of the Jacobian regularization, in training."""
    initial: Literal["fixed", "embedding"] = "fixed"
    """One random vector a stream that stays (published code), or one that is a parameter (the paper). What
    follows a solve does not depend on where it started, so gradients hardly move the latter."""

    @model_validator(mode="after")
    def _differentiable(self) -> "AttractorConfig":
        if isinstance(self.gradient, Unrolled):
            raise ValueError("gradient: a solve runs without gradient; choose another than unrolled")
        return self


class AttractorReasoner(BlockReasoner[AttractorConfig]):
    """z_L ← the fixed point of F(·; z_H + x), then z_H ← F(z_H; z_L); H times; gradient in the last."""

    Config = AttractorConfig
    adjustable = frozenset({"H_cycles", "max_iterations", "min_iterations", "tolerance", "jacobian"})

    def __init__(self, config: AttractorConfig, shape: ProblemShape) -> None:
        super().__init__(config, shape)
        start = truncated_normal(torch.rand(2, config.width), 1.0)
        if config.initial == "embedding":
            self.fixed_state = nn.Parameter(start)
        else:
            self.register_buffer("fixed_state", start)

    def initial_state(self, condition: Condition, noise: Noise) -> Tensor:
        """The same for all rows and tokens; nothing is drawn."""
        x = condition.x
        return self.fixed_state.to(x.dtype)[None, :, None, :].expand(len(x), 2, *x.shape[1:]).contiguous()

    def iterate(
        self, state: Tensor, condition: Condition, *, tracked: int | None = None, noise: Noise = None
    ) -> Step:
        """As `Reasoner.iterate`; raw draws are probes of the Jacobian regularization, one a slow cycle.

        Gradient covers slow cycles as wholes: the last one, or as many as `tracked` updates reach into.
        """
        module, x = self.blocks.cast(condition.x.dtype), condition.x
        before, spent, penalty = state, torch.zeros(len(x), dtype=torch.int64, device=x.device), None
        regularized = self.training and torch.is_grad_enabled() and self.config.jacobian > 0
        carried = 1 if tracked is None else -(-tracked // self._after)
        for cycle in range(self.config.H_cycles):
            last = cycle == self.config.H_cycles - 1
            with torch.set_grad_enabled(torch.is_grad_enabled() and cycle >= self.config.H_cycles - carried):
                slow, fast = state.unbind(1)
                if self.config.solved == "joint":
                    start, f = state, partial(_jointly, module, x)
                else:
                    start, f = fast, partial(_fast, module, slow + x)
                with torch.no_grad():
                    solution = self.find_root(f, start)
                spent = spent + solution.iterations
                rest = self.config.gradient.attach(f, solution.state)
                if last and regularized:
                    probe = self._probe(noise, cycle, rest) / self.config.width**0.5
                    with second_order():
                        penalty = self.config.jacobian * jacobian_penalty(f, rest, probe)
                if self.config.solved == "joint":
                    state = rest
                else:
                    state = torch.stack([module(slow, rest), rest], dim=1)
        residual = distance(state.detach(), before.detach())
        return Step(state, residual, evaluations=spent, penalty=penalty)

    @property
    def learns_initial_state(self) -> bool:
        return self.config.initial == "embedding"

    @property
    def twice_differentiable(self) -> bool:
        """Not where the gradient of a solve is itself a solve, or a series: that has no derivative here."""
        return isinstance(self.config.gradient, Phantom | OneStep)

    def find_root(self, f: Callable[[Tensor], Tensor], start: Tensor) -> Solution:
        """The fixed point of `f` near `start`, without gradient."""
        config = self.config
        return solve(
            f,
            start,
            config.solver,
            tolerance=config.tolerance,
            max_iterations=config.max_iterations,
            min_iterations=config.min_iterations,
        )

    def _probe(self, noise: Noise, cycle: int, like: Tensor) -> Tensor:
        if isinstance(noise, NoiseSource):
            return noise.normal(PROBE_STREAM + cycle, tuple(like.shape[1:]), like.dtype)
        if noise is None:
            raise ValueError("Jacobian regularization needs a noise source, or raw draws, for its probes")
        return noise[cycle].to(like)

    @property
    def equivalent_layers(self) -> int:
        """At most: solves may end early."""
        applications = self.config.max_iterations + self._after
        return self.config.H_cycles * applications * self._per_application

    @property
    def tracked_layers(self) -> int:
        return self._after * self._per_application

    @property
    def _after(self) -> int:
        """Applications of the map, or of F, that follow a solve."""
        steps = self.config.gradient.steps if isinstance(self.config.gradient, Phantom) else 1
        return steps if self.config.solved == "joint" else steps + 1

    @property
    def _per_application(self) -> int:
        return self.config.layers * (2 if self.config.solved == "joint" else 1)

    @property
    def state_shape(self) -> tuple[int, int, int]:
        return (2, self.config.prefix + self.shape.tokens, self.config.width)


def _fast(module: Module, injection: Tensor, z: Tensor) -> Tensor:
    """z_L ← F(z_L; z_H + x), z_H frozen."""
    return module(z, injection)


def _jointly(module: Module, x: Tensor, z: Tensor) -> Tensor:
    """z_L ← F(z_L; z_H + x), then z_H ← F(z_H; z_L): both streams, `[batch, 2, tokens, width]`."""
    slow, fast = z.unbind(1)
    fast = module(fast, slow + x)
    return torch.stack([module(slow, fast), fast], dim=1)
