"""Whether attractors are stable, "deep" in EqR Sec. 4.1: do states that are moved a little come back?"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from equilibria.diagnostics.contraction import noise_free
from equilibria.diagnostics.ends import Ends, followed_ends
from equilibria.diagnostics.landscape import Attractor, Landscape
from equilibria.dynamics.solvers import Picard, Solver
from equilibria.reasoners.interface import Reasoner


def stability(
    reasoner: Reasoner[Any],
    tokens: Tensor,
    landscape: Landscape,
    ends: Ends,
    *,
    size: float = 0.1,
    copies: int = 16,
    steps: int = 64,
    identifiers: Tensor | None = None,
    solver: Solver = Picard(),
    seed: int = 0,
) -> Landscape:
    """The landscape with `stable` filled in: the share of copies of each attractor's states that come back.

    A copy is a settled state moved in a random direction by `size` of its own length, and iterated without
    path noise. It has come back where it settles with the same period, on an orbit within the radius of the
    attractor.

    Args:
        reasoner: whose landscape it is.
        tokens: `[tokens]` the problem.
        landscape: with its attractors.
        ends: from which it was made.
        size: of the step, relative to ‖z‖.
        copies: of each attractor, shared among its restarts in turn.
        steps: iterations that they get.
        identifiers: `[]` the problem's puzzle identity.
        solver: how the map is iterated; one without a memory.
        seed: of the directions.
    """
    generator = torch.Generator().manual_seed(seed)
    with noise_free(
        reasoner, tokens, identifiers, solver=solver, dtype=reasoner.compute_dtype, copies=copies
    ) as f:

        def returning(attractor: Attractor) -> float:
            members = torch.tensor(attractor.members)
            origin = members[torch.arange(copies) % len(members)]
            at = ends.states[origin]
            step = torch.randn(at.shape, generator=generator, dtype=at.dtype)
            step *= size * at.norm(dim=1, keepdim=True) / step.norm(dim=1, keepdim=True)
            moved = (at + step).unflatten(1, reasoner.state_shape).to(reasoner.compute_dtype)
            after = followed_ends(f, moved, steps)
            both = ends.rows(origin).beside(after).distances(torch.arange(2 * copies))
            return (both.diagonal(copies) <= attractor.radius).double().mean().item()

        found = [replace(each, stable=returning(each)) for each in landscape.attractors]
    return replace(landscape, attractors=tuple(found))
