"""The engine: problems in, answers out, within a budget.

Problems are run in chunks so that the rows of one chunk fit the memory given. (Slots that refill as
trajectories halt are the next step; callers see the same interface.)
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from equilibria.dynamics.halting import FixedDepth, Halting
from equilibria.dynamics.solvers import Picard, Solver
from equilibria.inference.budget import Budget
from equilibria.inference.pool import Pool, run_pool
from equilibria.inference.selection import SELECTIONS, agreement
from equilibria.reasoners.interface import Reasoner


@dataclass(frozen=True)
class Outcome:
    """What the engine says of one problem.

    Attributes:
        index: the problem's place in the call.
        tokens: `[tokens]` the selected restart's answer.
        settled: whether that restart came to rest, or its halting head ended it.
        residual: its mean `‖z_{k+1} − z_k‖₂` over the last three iterations.
        relative_residual: the same as a root-mean-square per state element.
        halting_score: probability the halting head gives the answer; NaN where there is no head.
        nfe: iterations run for this problem, summed over its restarts.
        agreement: share of restarts with this very answer.
    """

    index: int
    tokens: Tensor
    settled: bool
    residual: float
    relative_residual: float
    halting_score: float
    nfe: int
    agreement: float


class Engine:
    """Runs a reasoner on problems.

    Args:
        reasoner: the map, already on its device.
        memory: bytes that one chunk of trajectories may take; None: 32 MiB on a CPU, 4 GiB elsewhere.
        solver: how the map is iterated.
    """

    def __init__(self, reasoner: Reasoner[Any], memory: int | None = None, solver: Solver = Picard()) -> None:
        self.reasoner = reasoner
        self.solver = solver
        # On a CPU a chunk should fit the last-level cache: larger ones run up to 2.5 times slower.
        on_cpu = next(reasoner.parameters()).device.type == "cpu"
        self.memory = memory or (1 << 25 if on_cpu else 1 << 32)

    def rows_per_chunk(self) -> int:
        """Trajectories that fit the memory: state, condition, and the widest activations in between."""
        streams, tokens, width = self.reasoner.state_shape
        item = torch.finfo(self.reasoner.compute_dtype).bits // 8
        # Per token and channel: the streams twice (old and new), the condition, and an MLP's inner
        # activations, which are at most some eight times the width in every published shape.
        row = tokens * width * item * (2 * streams + 1 + 8)
        row += 4 * tokens * self.reasoner.shape.vocabulary * 4
        return max(1, self.memory // row)

    def pools(
        self,
        tokens: Tensor,
        *,
        depths: tuple[int, ...],
        breadth: int,
        halting: Halting = FixedDepth(),
        seed: int = 0,
        identifiers: Tensor | None = None,
    ) -> Iterator[tuple[slice, list[Pool]]]:
        """Chunk by chunk: which problems, and their pools at each depth (see `run_pool`)."""
        limit = self.reasoner.max_depth
        if limit is not None:
            depths = tuple(min(depth, limit) for depth in depths)
        rows = self.rows_per_chunk()
        size, restarts = max(1, rows // breadth), min(rows, breadth)
        unique = tuple(sorted(set(depths)))
        for start in range(0, len(tokens), size):
            part = slice(start, min(start + size, len(tokens)))
            ran = [
                run_pool(
                    self.reasoner,
                    tokens[part],
                    depths=unique,
                    breadth=min(restarts, breadth - first),
                    first_restart=first,
                    halting=halting,
                    solver=self.solver,
                    seed=seed,
                    identifiers=None if identifiers is None else identifiers[part],
                )
                for first in range(0, breadth, restarts)
            ]
            whole = [Pool.concatenate(list(pieces), dim=1) for pieces in zip(*ran, strict=True)]
            by_depth = dict(zip(unique, whole, strict=True))
            yield part, [by_depth[depth] for depth in depths]

    def solve(
        self, tokens: Tensor, budget: Budget, *, seed: int = 0, identifiers: Tensor | None = None
    ) -> Iterator[Outcome]:
        """Outcomes in the order of the problems `[problems, tokens]`, each as its chunk is done."""
        elements = math.prod(self.reasoner.state_shape)
        chunks = self.pools(
            tokens,
            depths=(budget.depth,),
            breadth=budget.breadth,
            halting=budget.halting,
            seed=seed,
            identifiers=identifiers,
        )
        for part, (pool,) in chunks:
            chosen = SELECTIONS[budget.selection](pool)
            agreed = agreement(pool.answers, chosen)
            for place, restart in enumerate(chosen.tolist()):
                residual = pool.residual[place, restart].item()
                relative = residual / math.sqrt(elements)
                yield Outcome(
                    index=part.start + place,
                    tokens=pool.answers[place, restart],
                    settled=relative <= budget.tolerance or bool(pool.halted[place, restart]),
                    residual=residual,
                    relative_residual=relative,
                    halting_score=torch.sigmoid(pool.halt_logit[place, restart]).item(),
                    nfe=int(pool.evaluations[place].sum()),
                    agreement=agreed[place].item(),
                )
