"""A map run to rest, sample by sample."""

from dataclasses import dataclass

import torch
from torch import Tensor

from equilibria.dynamics.norms import across
from equilibria.dynamics.solvers import Map, Memory, Solver

# A residual so many times the first one is no way to a fixed point. In a relative norm a state may grow
# without its residual: then only numbers that overflow tell, and a sample that goes on has not settled.
DIVERGED = 1e4


@dataclass(frozen=True)
class Solution:
    """How a solve ended.

    Attributes:
        state: `[batch, ...]`, finite where the start was. Of a sample that diverged: the evaluated state
            whose residual was the smallest (the start, if none of its residuals was finite).
        residuals: `[batch, max_iterations]` in the norm of the solver; NaN once a sample was left alone.
        iterations: evaluations of f that each sample used: int64 `[batch]`.
        settled: whether its residual came under the tolerance.
        diverged: whether it was given up: not finite any more, or its residual 10,000 times the first one.
        memory: of the solver, where each sample stands.
    """

    state: Tensor
    residuals: Tensor
    iterations: Tensor
    settled: Tensor
    diverged: Tensor
    memory: Memory


def solve(
    f: Map,
    z0: Tensor,
    solver: Solver,
    *,
    tolerance: float,
    max_iterations: int,
    min_iterations: int = 1,
    patience: int = 1,
    together: bool = False,
    check_every: int = 1,
) -> Solution:
    """Iterate `f` from `z0 [batch, ...]` until every sample has settled, diverged, or used up its iterations.

    A sample that has settled is left alone: f still sees it, as it sees the whole batch, but its state
    stays. So, for a map that treats rows alike, its answer is the same whatever shares its batch. A
    sample that diverges is left alone too, and goes back to the best state it had seen.

    Args:
        f: `[batch, ...]` → the same shape.
        z0: where to start.
        solver: how to move.
        tolerance: settled is a residual below this, in the norm of the solver.
        max_iterations: evaluations of f at most.
        min_iterations: evaluations before which no sample counts as settled.
        patience: evaluations in a row that the residual must be below the tolerance.
        together: nobody counts as settled before the largest residual of the batch is below the tolerance,
            as published implementations have it; samples that diverged do not count.
        check_every: the host looks every so often whether all are done; 0: never, so that nothing waits for
            the device.
    """
    if max_iterations < 1 or min_iterations < 0 or patience < 1:
        raise ValueError("max_iterations and patience must be at least 1, min_iterations not negative")
    batch, device = len(z0), z0.device
    state, memory = z0, solver.init(z0)
    answer = z0
    rested = torch.zeros(batch, dtype=torch.int64, device=device)
    iterations = torch.zeros_like(rested)
    settled = torch.zeros(batch, dtype=torch.bool, device=device)
    diverged = torch.zeros_like(settled)
    # The state of the smallest residual so far, for samples that will diverge.
    nearest = z0
    first = least = residuals = None
    for count in range(1, max_iterations + 1):
        alive = ~(settled | diverged)
        after, moved, residual = solver.step(f, state, memory)
        residual = residual.detach()
        if first is None or least is None or residuals is None:
            first, least = residual, torch.full_like(residual, torch.inf)
            residuals = torch.full((batch, max_iterations), torch.nan, dtype=residual.dtype, device=device)
        result = solver.result(after, moved)
        finite = (
            after.detach().flatten(1).isfinite().all(dim=1)
            & result.detach().flatten(1).isfinite().all(dim=1)
            & residual.isfinite()
        )
        nearer = alive & (residual < least)
        nearest = torch.where(across(nearer, state), state, nearest)
        least = torch.where(nearer, residual, least)
        runs_off = ~finite | (residual > DIVERGED * first.clamp(min=1e-6))
        goes = alive & finite
        state = torch.where(across(goes, after), after, state)
        answer = state if result is after else torch.where(across(goes, result), result, answer)
        memory = {
            name: torch.where(across(goes, value), value, memory[name]) for name, value in moved.items()
        }
        residuals[:, count - 1] = torch.where(alive, residual, torch.nan)
        iterations = iterations + alive
        rested = torch.where(residual < tolerance, rested + 1, 0)
        rests = (rested >= patience) & (count >= min_iterations)
        diverged = diverged | (alive & runs_off)
        settled = settled | (alive & ~diverged & ((rests | diverged).all() if together else rests))
        if check_every and count % check_every == 0 and bool((settled | diverged).all()):
            break
    assert residuals is not None
    answer = torch.where(across(diverged, answer), nearest, answer)
    return Solution(answer, residuals, iterations, settled, diverged, memory)
