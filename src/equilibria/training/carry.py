"""The rolling batch: what a row is working on, and how it makes room for the next problem."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from equilibria.dynamics.halting import Halting, Memory
from equilibria.dynamics.noise import NoiseSource
from equilibria.dynamics.solvers import Solver
from equilibria.reasoners.interface import Reasoner
from equilibria.training.losses import IGNORE

MEMORY = "memory."


@dataclass(frozen=True)
class Batch:
    """Problems that arrive: one for every row, used by the rows that halted.

    Attributes:
        inputs: `[batch, tokens]`.
        targets: `[batch, tokens]`, `IGNORE` where nothing is asked.
        keys: `[batch]` int64, what the random draws of a row's trajectory depend on.
        identifiers: `[batch]` puzzle identities.
    """

    inputs: Tensor
    targets: Tensor
    keys: Tensor
    identifiers: Tensor


@dataclass(frozen=True)
class Carry:
    """The state of the rolling batch between segments; all tensors batch first.

    Attributes:
        state: `[batch, streams, tokens, width]`, detached.
        steps: `[batch]` iterations done on the current problem.
        halted: `[batch]` whether the row is free for a fresh problem.
        batch: the problems being worked on.
        memory: what solver and halting rule remember of each row, by name.
    """

    state: Tensor
    steps: Tensor
    halted: Tensor
    batch: Batch
    memory: Memory

    @classmethod
    def free(
        cls, reasoner: Reasoner[Any], solver: Solver, halting: Halting, rows: int, device: torch.device
    ) -> "Carry":
        """A carry of free rows: everything in it is replaced at the first refill."""
        tokens = reasoner.shape.tokens
        state = torch.zeros(rows, *reasoner.state_shape, dtype=reasoner.compute_dtype, device=device)
        blank = torch.zeros(rows, tokens, dtype=torch.int64, device=device)
        # Each its own memory: `overwrite` writes to all of them.
        steps, keys, identifiers = torch.zeros(3, rows, dtype=torch.int64, device=device).unbind()
        everyone = torch.ones(rows, dtype=torch.bool, device=device)
        memory = fresh_memory(solver, halting, state)
        return cls(state, steps, everyone, Batch(blank, blank + IGNORE, keys, identifiers), memory)

    def refill(self, arriving: Batch, fresh_state: Tensor, memory: Memory) -> "Carry":
        """Rows that halted take the arriving problem at their place; the other arrivals are dropped.

        `memory` is that of fresh rows (see `fresh_memory`).

        Nothing leaves the device: the choice is a `where` on every tensor (EqR Alg. 1's buffer).
        """

        def choose(new: Tensor, old: Tensor) -> Tensor:
            free = self.halted.view(-1, *(1,) * (old.ndim - 1))
            return torch.where(free, new, old)

        chosen = {
            field.name: choose(getattr(arriving, field.name), getattr(self.batch, field.name))
            for field in fields(Batch)
        }
        return Carry(
            state=choose(fresh_state, self.state),
            steps=torch.where(self.halted, 0, self.steps),
            halted=torch.zeros_like(self.halted),
            batch=Batch(**chosen),
            memory={name: choose(memory[name], value) for name, value in self.memory.items()},
        )

    def next(self, state: Tensor, memory: Memory, halted: Tensor, iterations: int = 1) -> "Carry":
        """After a segment: so many iterations further, detached."""
        kept = {name: value.detach() for name, value in memory.items()}
        return replace(self, state=state.detach(), memory=kept, steps=self.steps + iterations, halted=halted)

    def noise(self) -> NoiseSource:
        """The draws of these rows at their current step."""
        return NoiseSource(self.batch.keys, self.steps)

    def rows(self, part: slice | Tensor) -> "Carry":
        """Some rows only: a slice, or an index `[rows]`."""
        return Carry.of({name: value[part] for name, value in self.tensors().items()})

    def overwrite(self, other: "Carry") -> None:
        """Take over, in place, what another carry of the same shape holds: its memory stays where it is."""
        mine, theirs = self.tensors(), other.tensors()
        for name, value in mine.items():
            value.copy_(theirs[name])

    @staticmethod
    def join(parts: "list[Carry]") -> "Carry":
        """The inverse of taking rows."""
        tensors = [part.tensors() for part in parts]
        return Carry.of({name: torch.cat([part[name] for part in tensors]) for name in tensors[0]})

    def tensors(self) -> dict[str, Tensor]:
        """Everything a carry holds, by name: what a checkpoint stores."""
        own = {"state": self.state, "steps": self.steps, "halted": self.halted}
        own |= {MEMORY + name: value for name, value in self.memory.items()}
        return own | {field.name: getattr(self.batch, field.name) for field in fields(Batch)}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "Carry":
        """The inverse of `tensors`."""
        batch = Batch(**{field.name: tensors[field.name] for field in fields(Batch)})
        memory = {
            name.removeprefix(MEMORY): value for name, value in tensors.items() if name.startswith(MEMORY)
        }
        return cls(tensors["state"], tensors["steps"], tensors["halted"], batch, memory)


def fresh_memory(solver: Solver, halting: Halting, state: Tensor) -> Memory:
    """What solver and halting rule remember of trajectories that start at `state`."""
    return solver.init(state) | halting.init(len(state), state.device)
