"""Trajectories of some problems from many initial states, and what each ended with."""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from equilibria.dynamics.halting import Halting
from equilibria.dynamics.noise import NoiseSource, fingerprint
from equilibria.dynamics.solvers import Picard, Solver
from equilibria.reasoners.advance import Position, Rollout
from equilibria.reasoners.interface import Prediction, Reasoner, Step

WINDOW = 3
"""L: how many last iterations a convergence score averages over (EqR App. D.3)."""


@dataclass(frozen=True)
class Pool:
    """The ends of trajectories; every tensor is `[problems, restarts]` and lives on the CPU.

    Attributes:
        answers: `[problems, restarts, tokens]` predicted tokens.
        residual: mean of `‖z_{k+1} − z_k‖₂` over the last `WINDOW` iterations.
        logit_change: mean over those iterations and all tokens of the Euclidean change of a token's
            logits: the score of the published evaluator. NaN after a single iteration.
        halt_logit: the halting head's score of the answer, NaN where there is no head.
        evaluations: applications of f actually run.
        halted: whether a halting rule ended the trajectory.
    """

    answers: Tensor
    residual: Tensor
    logit_change: Tensor
    halt_logit: Tensor
    evaluations: Tensor
    halted: Tensor

    def restarts(self, count: int) -> "Pool":
        """The first `count` restarts of every problem."""
        return self._map(lambda tensor: tensor[:, :count])

    def problems(self, rows: Tensor) -> "Pool":
        """Some problems: an index or a mask over them."""
        return self._map(lambda tensor: tensor[rows])

    @staticmethod
    def concatenate(pools: "list[Pool]", dim: int = 0) -> "Pool":
        """Pools of different problems (dim 0), or of different restarts of the same problems (dim 1)."""
        return Pool(
            **{f.name: torch.cat([getattr(pool, f.name) for pool in pools], dim) for f in fields(Pool)}
        )

    def _map(self, change: Any) -> "Pool":
        return replace(self, **{field.name: change(getattr(self, field.name)) for field in fields(Pool)})


@torch.inference_mode()
def run_pool(
    reasoner: Reasoner[Any],
    tokens: Tensor,
    *,
    depths: tuple[int, ...],
    breadth: int,
    halting: Halting,
    solver: Solver = Picard(),
    seed: int = 0,
    first_restart: int = 0,
    identifiers: Tensor | None = None,
) -> list[Pool]:
    """Run `breadth` trajectories of every problem to the greatest depth and look at them at each depth.

    The draws of a trajectory depend on (seed, problem, restart) alone, not on what else is in the call.

    Args:
        reasoner: the map; its device is used.
        tokens: `[problems, tokens]`.
        depths: ascending; the pools come in this order.
        breadth: restarts per problem.
        halting: ends a trajectory early, or does not.
        solver: how the map is iterated.
        seed: of all draws.
        first_restart: number of the first restart, where they are run in parts.
        identifiers: `[problems]` puzzle identities.
    """
    device = next(reasoner.parameters()).device
    problems, count = len(tokens), len(tokens) * breadth
    rows = tokens.to(device).repeat_interleave(breadth, dim=0)
    restart = torch.arange(first_restart, first_restart + breadth, device=device).repeat(problems)
    source = NoiseSource.trajectories(seed, fingerprint(rows), restart)
    if identifiers is not None:
        identifiers = identifiers.to(device).repeat_interleave(breadth, dim=0)
    condition = reasoner.encode(rows, identifiers)
    state = reasoner.initial_state(condition, source)
    position, remembered = Position(state, solver.init(state)), halting.init(count, device)

    ends = _Ends(count, tokens.shape[1], device)
    alive = torch.arange(count, device=device)
    logits: Tensor | None = None
    pools: list[Pool] = []
    for k in range(depths[-1]):
        if len(alive):
            advance = Rollout(reasoner, solver, condition, source, k)(position)
            step, position = advance.step, advance.position
            prediction = reasoner.decode(advance.answer, condition)
            ends.record(alive, k, step, prediction, logits)
            steps = torch.full_like(alive, k + 1)
            halted, remembered = halting.halts(advance.signals(prediction, steps), remembered)
            ends.halted[alive] = halted
            logits = prediction.logits
            if halted.any():
                going = (~halted).nonzero().squeeze(1)
                alive, logits = alive[going], logits[going]
                position = Position(position.state[going], _rows(position.memory, going))
                remembered = _rows(remembered, going)
                condition, source = condition.rows(going), NoiseSource(source.keys[going])
        if k + 1 in depths:
            pools.append(ends.pool(problems, breadth))
    return pools


def _rows(memory: dict[str, Tensor], index: Tensor) -> dict[str, Tensor]:
    return {name: value[index] for name, value in memory.items()}


class _Ends:
    """The latest facts of every trajectory, kept while others go on."""

    def __init__(self, rows: int, tokens: int, device: torch.device) -> None:
        self.answers = torch.zeros(rows, tokens, dtype=torch.uint8, device=device)
        self.residuals = torch.full((rows, WINDOW), torch.nan, device=device)
        self.changes = torch.full((rows, WINDOW), torch.nan, device=device)
        self.halt_logit = torch.full((rows,), torch.nan, device=device)
        self.evaluations = torch.zeros(rows, dtype=torch.int64, device=device)
        self.halted = torch.zeros(rows, dtype=torch.bool, device=device)

    def record(self, rows: Tensor, k: int, step: Step, prediction: Prediction, before: Tensor | None) -> None:
        """Take in iteration `k` of some rows; `before` are their logits one iteration earlier."""
        self.answers[rows] = prediction.logits.argmax(dim=-1).to(torch.uint8)
        self.residuals[rows, k % WINDOW] = step.residual
        if before is not None:
            change = torch.linalg.vector_norm((prediction.logits - before).float(), dim=-1).mean(dim=1)
            self.changes[rows, k % WINDOW] = change
        if prediction.halt_logit is not None:
            self.halt_logit[rows] = prediction.halt_logit
        self.evaluations[rows] += step.evaluations

    def pool(self, problems: int, restarts: int) -> Pool:
        """The ends as they stand, by problem and restart."""
        facts = (
            self.answers,
            self.residuals.nanmean(dim=1),
            self.changes.nanmean(dim=1),
            self.halt_logit,
            self.evaluations,
            self.halted,
        )
        return Pool(*(fact.cpu().clone().unflatten(0, (problems, restarts)) for fact in facts))
