"""The map around settled states of a few problems: does it draw neighbours in, is the answer certified?"""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

import torch
from torch import Tensor

from equilibria.diagnostics.certificate import certificate, gap_lipschitz, output_margin
from equilibria.diagnostics.contraction import local_contraction, noise_free
from equilibria.diagnostics.diagnosis import LocalState
from equilibria.diagnostics.examples import Example
from equilibria.diagnostics.metrics import exactly_right
from equilibria.dynamics.solvers import Map
from equilibria.errors import DataError
from equilibria.inference.engine import Engine
from equilibria.tasks.interface import Problems

LOOKED_AT = 6
"""States whose Jacobian is looked at, at most: each takes some hundred products with it."""
ITERATIONS = 64
"""For which path noise is switched off first, so that a state comes to the rest that it strays about."""


def local_states(engine: Engine, problems: Problems, examples: Sequence[Example]) -> tuple[LocalState, ...]:
    """The map around right and wrong settled states of the examples, where there are any.

    Empty for a solver that remembers earlier states, whose step is no map of a state; and on Apple's GPUs,
    which do not compute in double precision.
    """
    if next(engine.reasoner.parameters()).device.type == "mps":
        return ()
    found: list[LocalState] = []
    for each, restart in _candidates(examples):
        place = each.row.problem
        names = None if problems.identifiers is None else problems.identifiers[place]
        try:
            with noise_free(engine.reasoner, problems.inputs[place], names, solver=engine.solver) as f:
                assert problems.labels is not None
                found.append(_look(engine, f, each, restart, problems.labels[place]))
        except DataError:  # no map of a state, or not finite there: nothing to look at
            continue
        if len(found) == LOOKED_AT:
            break
    return tuple(found)


def _candidates(examples: Sequence[Example]) -> Iterator[tuple[Example, int]]:
    """The first settled right restart of an example and the first wrong one of another, turn by turn."""
    found: dict[bool, list[tuple[Example, int]]] = {True: [], False: []}
    for each in examples:
        for right, of in found.items():
            rows = (each.ends.settled & (each.right == right)).nonzero().flatten().tolist()
            of += [(each, row) for row in rows[:1]]
    turns = zip_longest(found[True], found[False])
    return (state for turn in turns for state in turn if state is not None)


def _look(engine: Engine, f: Map, each: Example, restart: int, label: Tensor) -> LocalState:
    """The map at the rest that a restart strays about; f is free of noise and in double precision."""
    period, reasoner = int(each.ends.period[restart]), engine.reasoner
    assert each.recording.states is not None
    state = each.ends.orbits[restart][-1].view(1, *each.recording.states.shape[2:])
    with torch.no_grad():
        for _ in range(ITERATIONS * period):
            state = f(state)
        logits = reasoner.decode(state).logits[0].cpu()
    near = local_contraction(f, state, period)
    gap = gap_lipschitz(lambda z: reasoner.decode(z).logits, state, label)
    proof = certificate(near.residual, output_margin(logits, label), near.norm, gap)
    return LocalState(
        problem=each.row.problem,
        restart=restart,
        right=bool(exactly_right(logits.argmax(dim=-1), label)),
        period=period,
        residual=near.residual,
        eigenvalues=tuple((value.real, value.imag) for value in near.eigenvalues),
        radius=near.radius,
        norm=near.norm,
        margin=proof.margin,
        certified=proof.holds,
        reason=proof.reason,
    )
