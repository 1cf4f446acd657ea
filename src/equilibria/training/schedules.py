"""Where losses sit on a trajectory, where gradient flows, and when the optimizer steps (EqR Sec. 3, Tab. 8).

A schedule runs the part of a trajectory that belongs to one optimizer step and gives back the iterations that
are supervised: its anchors.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from equilibria.dynamics.gradients import AnyGradient, Unrolled, jacobian_penalty
from equilibria.dynamics.solve import solve
from equilibria.errors import TrainingError
from equilibria.nn.second_order import second_order
from equilibria.reasoners.advance import Advance, Position, Rollout
from equilibria.reasoners.interface import EVERY

JACOBIAN_STREAM = 1 << 24  # draws of the probes of Jacobian regularization


class Schedule(ABC):
    """How an optimizer step covers a trajectory of `depth` iterations."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    @abstractmethod
    def interval(self, depth: int) -> int:
        """Iterations between two optimizer steps."""

    @abstractmethod
    def run(self, rollout: Rollout, start: Position, depth: int) -> list[Advance]:
        """One interval on from a detached position; its anchors are consecutive iterations up to the last."""


@dataclass(frozen=True, kw_only=True)
class SegmentedOnline(Schedule):
    """Every segment is supervised and followed by an optimizer step, and the next goes on from there
    (EqR Eq. 10; FPRM Alg. 2 with windows of K iterations).

    Attributes:
        iterations: h of a segment; gradient flows through all of them.
    """

    name: Literal["segmented-online"] = "segmented-online"
    iterations: int = 1

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, not {self.iterations}")

    def interval(self, depth: int) -> int:
        """One segment."""
        return self.iterations

    def run(self, rollout: Rollout, start: Position, depth: int) -> list[Advance]:
        """h iterations, the last supervised."""
        reached = rollout(start)
        for ahead in range(1, self.iterations):
            reached = rollout(reached.position, ahead)
        return [reached]


@dataclass(frozen=True, kw_only=True)
class Trajectory(Schedule):
    """The whole trajectory, every iteration a graph of its own, losses at late anchors, one optimizer step
    (EqR Eq. 9, Tab. 7).

    Attributes:
        first: anchors are iterations `first` to depth.
    """

    name: Literal["trajectory"] = "trajectory"
    first: int = 1

    def __post_init__(self) -> None:
        if self.first < 1:
            raise ValueError(f"first must be at least 1, not {self.first}")

    def interval(self, depth: int) -> int:
        """The whole trajectory."""
        return depth

    def run(self, rollout: Rollout, start: Position, depth: int) -> list[Advance]:
        """`depth` iterations, each detached from the one before."""
        position, anchors = start, list[Advance]()
        for ahead in range(depth):
            supervised = ahead + 1 >= min(self.first, depth)
            reached = rollout(position, ahead) if supervised else rollout.silently(position, ahead)
            if supervised:
                anchors.append(reached)
            position = reached.position.detach()
        return anchors


@dataclass(frozen=True, kw_only=True)
class Terminal(Schedule):
    """The whole trajectory, one loss at its end, one optimizer step (EqR Tab. 8b; DEQ).

    Attributes:
        gradient: how the end is differentiated. Unrolled: through all iterations, or the last ones (detached
            carry). Otherwise the trajectory is a solve without gradient, and its end an equilibrium.
        tolerance: such a solve leaves rows alone whose residual is below this, in the norm of the solver.
        jacobian: weight of the Jacobian regularization of such an equilibrium (Bai et al. 2021).
    """

    name: Literal["terminal"] = "terminal"
    gradient: Annotated[AnyGradient, Field(discriminator="name")] = field(default_factory=Unrolled)
    tolerance: float = 1e-3
    jacobian: float = 0.0

    def __post_init__(self) -> None:
        if self.tolerance < 0 or self.jacobian < 0:
            raise ValueError("tolerance and jacobian must not be negative")
        if self.jacobian and isinstance(self.gradient, Unrolled):
            raise ValueError("jacobian: an unrolled trajectory has no equilibrium; choose another gradient")

    def interval(self, depth: int) -> int:
        """The whole trajectory."""
        return depth

    def run(self, rollout: Rollout, start: Position, depth: int) -> list[Advance]:
        """`depth` iterations, the last supervised."""
        tracked = self.gradient.tracked(depth)
        if not tracked:
            return [self._equilibrium(rollout, start, depth)]
        position = start
        for ahead in range(depth - tracked):
            position = rollout.silently(position, ahead).position
        reached = rollout(position, depth - tracked)
        for ahead in range(depth - tracked + 1, depth):
            reached = rollout(reached.position, ahead)
        return [reached]

    def _equilibrium(self, rollout: Rollout, start: Position, depth: int) -> Advance:
        count = 0

        def f(z: Tensor) -> Tensor:
            nonlocal count
            count += 1
            noise = rollout.noise.at(rollout.start + (count - 1))
            return rollout.reasoner.iterate(z, rollout.condition, noise=noise).state

        with torch.no_grad():
            solution = solve(
                f, start.state, rollout.solver, tolerance=self.tolerance, max_iterations=depth, check_every=0
            )
            at_rest = rollout.silently(Position(solution.state, solution.memory), depth)
        noise = rollout.noise.at(rollout.start + depth)

        def fixed(z: Tensor) -> Tensor:
            # The Jacobian of f is that of the whole iteration, whatever of it the recipe tracks otherwise.
            return rollout.reasoner.iterate(z, rollout.condition, tracked=EVERY, noise=noise).state

        state = self.gradient.attach(fixed, solution.state)
        penalty = at_rest.step.penalty
        if self.jacobian:
            if not rollout.reasoner.twice_differentiable:
                raise TrainingError(
                    "training.schedule.jacobian needs gradients of gradients, which the reasoner.gradient "
                    "chosen does not have: set it to 0, or reasoner.gradient.name to phantom or one-step"
                )
            probe = rollout.noise.normal(JACOBIAN_STREAM, tuple(state.shape[1:]), state.dtype)
            with second_order():
                own = self.jacobian * jacobian_penalty(fixed, solution.state, probe)
            penalty = own if penalty is None else penalty + own
        step = replace(at_rest.step, state=state, penalty=penalty)
        return Advance(Position(state, solution.memory), step, at_rest.residual, answer=state)


AnySchedule = SegmentedOnline | Trajectory | Terminal
