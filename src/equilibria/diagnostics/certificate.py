"""When a small residual certifies the answer: inside a contracting basin, with a margin at the output (EqR
App. A.1).

In a basin where f is L-Lipschitz with L < 1, a state is within ‖f(z) − z‖ / (1 − L) of the attractor (Eq.
5). Logit gaps that are G-Lipschitz and at least γ at the attractor (Eq. 6) keep their signs within γ / G of
it. So

    ‖f(z) − z‖ < (1 − L) γ / G    ⇒    z decodes as the attractor does    (Eq. 7).

Here L, γ and G are taken at one state, and hold over the basin only as far as the map is alike there: what is
called a certificate is a local estimate. And L is ‖J‖₂, which may be 1 or more though the map attracts: then
nothing is certified in this norm.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from equilibria.errors import DataError


@dataclass(frozen=True)
class Certificate:
    """Whether Eq. 7 holds, with all that goes into it.

    Attributes:
        residual: `‖f(z) − z‖₂`.
        margin: γ, of the logits.
        lipschitz: L, here ‖J‖₂ at the state.
        gap: G, the largest Lipschitz constant of a logit gap.
        bound: (1 − L) γ / G: what the residual must be below; NaN where L says nothing.
        holds: whether it is.
        reason: if not, why.
    """

    residual: float
    margin: float
    lipschitz: float
    gap: float
    bound: float
    holds: bool
    reason: str


def certificate(residual: float, margin: float, lipschitz: float, gap: float) -> Certificate:
    """Eq. 7 on these numbers."""
    bound = math.nan
    if math.isnan(lipschitz):
        reason = "no norm of the Jacobian is known: the reasoner has no gradient that is that of its map"
    elif lipschitz >= 1:
        reason = (
            f"the Jacobian's norm, {lipschitz:.3g}, is not below 1: in the Euclidean norm the map need not "
            "contract, whatever its spectral radius"
        )
    else:
        bound = (1 - lipschitz) * margin / gap if gap else math.copysign(math.inf, margin)
        if margin <= 0:
            reason = f"the output margin, {margin:.3g}, is not positive: the state decodes to another answer"
        elif not residual < bound:
            reason = f"the residual, {residual:.3g}, is not below the bound, {bound:.3g}"
        else:
            reason = ""
    return Certificate(residual, margin, lipschitz, gap, bound, not reason, reason)


def output_margin(logits: Tensor, labels: Tensor) -> float:
    """γ: the least amount by which a right logit exceeds the best wrong one (EqR Eq. 6).

    Args:
        logits: `[tokens, vocabulary]` at the attractor.
        labels: `[tokens]`; cells with 0 are not asked. With the decoded answer in place of the label, this is
            the margin of what the state says, and a certificate says that it stays, not that it is right.

    Raises:
        DataError: no cell has a label.
    """
    asked = _asked(labels)
    logits, truth = logits.detach().double()[asked], labels.long()[asked, None]
    right = logits.gather(1, truth).squeeze(1)
    wrong = logits.scatter(1, truth, -math.inf).amax(dim=1)
    return float((right - wrong).min())


def gap_lipschitz(read: Callable[[Tensor], Tensor], state: Tensor, labels: Tensor) -> float:
    """G at a state: the longest gradient of a gap between a right logit and a wrong one.

    With a linear head this is the longest difference of two of its rows, and the same at every state.

    Args:
        read: `[1, ...]` states → logits `[1, tokens, vocabulary]`, differentiable.
        state: `[1, ...]`.
        labels: `[tokens]`; cells with 0 are not asked.

    Raises:
        DataError: no cell has a label.
    """
    asked = _asked(labels)
    longest = 0.0
    with torch.enable_grad():
        at = state.detach().requires_grad_()
        logits = read(at)[0]
        for token in asked.tolist():
            own = logits[token]
            gaps = own[int(labels[token])] - own
            probes = torch.eye(len(gaps), dtype=gaps.dtype, device=gaps.device)
            (gradients,) = torch.autograd.grad(
                gaps,
                at,
                probes,
                retain_graph=True,
                is_grads_batched=True,
                allow_unused=True,
                materialize_grads=True,
            )
            longest = max(longest, float(gradients.flatten(1).double().norm(dim=1).max()))
    return longest


def _asked(labels: Tensor) -> Tensor:
    asked = labels.nonzero().squeeze(1)
    if not len(asked):
        raise DataError("no cell has a label, and a margin is one of cells with a label")
    return asked
