"""One iteration of any reasoner under any solver: the seam that training and inference share."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from equilibria.dynamics.halting import Signals
from equilibria.dynamics.noise import NoiseSource
from equilibria.dynamics.solvers import Memory, Solver
from equilibria.reasoners.interface import Condition, Prediction, Reasoner, Step


@dataclass(frozen=True)
class Position:
    """Where trajectories stand.

    Attributes:
        state: `[batch, streams, tokens, width]`.
        memory: what the solver remembers of them, batch first.
    """

    state: Tensor
    memory: Memory

    def detach(self) -> "Position":
        """The same without its history."""
        return Position(self.state.detach(), {name: value.detach() for name, value in self.memory.items()})


@dataclass(frozen=True)
class Advance:
    """What an iteration led to.

    Attributes:
        position: where trajectories stand now.
        step: what the reasoner says of its last application of f.
        residual: between the earlier state and f of it, in the norm of the solver: `[batch]`.
        answer: the solver's result so far, which is decoded: the damped state of a damped solver, the last
            value of f of Anderson's.
    """

    position: Position
    step: Step
    residual: Tensor
    answer: Tensor

    def signals(self, prediction: Prediction, steps: Tensor) -> Signals:
        """What a halting rule may look at after `steps` iterations."""
        return Signals(
            steps=steps,
            halt_logit=prediction.halt_logit,
            continue_logit=prediction.continue_logit,
            residual=self.residual,
            step_size=self.position.memory.get("step_size"),
        )


@dataclass(frozen=True)
class Rollout:
    """Trajectories of a batch of problems under one solver.

    Attributes:
        reasoner: the map f.
        solver: how f is iterated.
        condition: the problems.
        noise: draws of these trajectories, at the iteration where they stand.
        start: that iteration, per row `[batch]` or one number.
    """

    reasoner: Reasoner[Any]
    solver: Solver
    condition: Condition
    noise: NoiseSource
    start: Tensor | int = 0

    def __call__(self, position: Position, ahead: int = 0) -> Advance:
        """One iteration, `ahead` of where the rollout started; gradients flow where they are enabled."""
        noise = self.noise.at(self.start + ahead)
        steps: list[Step] = []

        def f(z: Tensor) -> Tensor:
            steps.append(self.reasoner.iterate(z, self.condition, noise=noise))
            return steps[-1].state

        state, memory, residual = self.solver.step(f, position.state, position.memory)
        return Advance(Position(state, memory), steps[-1], residual, self.solver.result(state, memory))

    @torch.no_grad()
    def silently(self, position: Position, ahead: int = 0) -> Advance:
        """The same without gradient."""
        return self(position, ahead)
