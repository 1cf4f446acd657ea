"""What restarts are worth: expected accuracy over their number, for each way to choose one (EqR Fig. 8).

One draw of B restarts is a noisy measure of a rule at breadth B. A pool of N restarts holds C(N, B) such
draws, and their mean can be had exactly: it is unbiased for B fresh restarts, as pass@k is.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import comb

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from equilibria.diagnostics.metrics import averaged, pass_at
from equilibria.errors import DataError, EquilibriaError
from equilibria.inference.pool import Pool

RULES = ("average", "majority", "convergence", "halting", "first-to-settle", "oracle")
"""average: one restart by chance (EqR Eq. 19). majority: the most frequent answer (Eq. 21). convergence: the
least residual (Eq. 20). halting: the surest halting head. first-to-settle: of the restarts that a halting
rule ended, the one with the fewest evaluations; the most converged where none ended so. oracle: any restart
is right (pass@B)."""


def expected_accuracy(pool: Pool, right: Tensor, rule: str, count: int) -> Tensor:
    """The chance that a rule gives the right answer from `count` of a pool's restarts, drawn without return.

    Exact over all subsets. Where a rule has several restarts to choose from (equal scores, equally frequent
    answers) each has the same chance, as it has over the order in which restarts come: `inference.selection`
    takes the first one. As there, convergence prefers restarts that a halting rule ended, and a restart
    without a score (NaN) comes last.

    Args:
        pool: the ends of N restarts of every problem.
        right: bool `[problems, restarts]`.
        rule: one of `RULES`.
        count: B, from 1 to N.

    Returns:
        float64 `[problems]`.

    Raises:
        EquilibriaError: there is no such rule.
        DataError: the pool has fewer restarts, or `right` is not of this pool.
    """
    _check(pool, right, count)
    return _expectation(pool, right, rule)(count)


def curves(pool: Pool, right: Tensor, counts: Sequence[int]) -> dict[str, list[float]]:
    """Mean expected accuracy over problems at every number of restarts, by rule.

    Rules that do not apply are left out: halting without a halting head, first-to-settle where no halting
    rule ended any restart. Raises DataError as `expected_accuracy` does.
    """
    for count in counts:
        _check(pool, right, count)
    left_out = {"halting": bool(pool.halt_logit.isnan().all()), "first-to-settle": not pool.halted.any()}
    found: dict[str, list[float]] = {}
    for rule in RULES:
        if not left_out.get(rule, False):
            expectation = _expectation(pool, right, rule)
            found[rule] = [expectation(count).mean().item() for count in counts]
    return found


def _check(pool: Pool, right: Tensor, count: int) -> None:
    restarts = pool.residual.shape[1]
    if right.shape != pool.residual.shape:
        raise DataError(
            f"right answers {list(right.shape)} are not of this pool of {list(pool.residual.shape)} restarts"
        )
    if not len(right):
        raise DataError("an expected accuracy needs at least one problem")
    if not 1 <= count <= restarts:
        raise DataError(f"{count} restarts from a pool of {restarts}: ask for 1 to {restarts}")


def _expectation(pool: Pool, right: Tensor, rule: str) -> Callable[[int], Tensor]:
    """The expected accuracy of each problem as a function of the number of restarts.

    What does not depend on that number (sorting, comparing answers) is done once.
    """
    if rule == "average":
        return lambda count: averaged(right)
    if rule == "oracle":
        return partial(pass_at, right)
    if rule == "majority":
        return partial(_majority, _votes(pool.answers, right))
    if rule == "convergence":
        return partial(_best, _halted_first(pool, pool.residual, right))
    if rule == "first-to-settle":
        return partial(_best, _halted_first(pool, pool.evaluations, right))
    if rule == "halting":
        return partial(_best, _ranked(-pool.halt_logit, right))
    raise EquilibriaError(f"no rule {rule!r} to choose among restarts: {', '.join(RULES)}")


def _best(ranked: Tensor, count: int) -> Tensor:
    """The chance that the best of a subset is right, from who stands where, `[problems, restarts]`.

    The i-th of N (from 0) is the best of a subset that has it and none of the i before it: of C(N, B) these
    are C(N − 1 − i, B − 1).
    """
    restarts = ranked.shape[1]
    chances = [comb(restarts - 1 - place, count - 1) / comb(restarts, count) for place in range(restarts)]
    return (ranked @ torch.tensor(chances, dtype=torch.float64)).clamp(0, 1)


def _ranked(scores: Tensor, right: Tensor) -> Tensor:
    """Whether the restart at each place is right, the least score first; of equals the share that is."""
    known = scores.double().nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
    ascending, order = known.sort(dim=1)
    run = torch.zeros_like(order)  # which run of equal scores a place is in
    run[:, 1:] = (ascending[:, 1:] != ascending[:, :-1]).cumsum(dim=1)
    hits = right.gather(1, order).double()
    zeros = torch.zeros_like(hits)
    share = zeros.scatter_add(1, run, hits) / zeros.scatter_add(1, run, torch.ones_like(hits)).clamp(min=1)
    return share.gather(1, run)


def _halted_first(pool: Pool, scores: Tensor, right: Tensor) -> Tensor:
    """As `_ranked`, by `scores` among the halted, and by residual in subsets where none is halted.

    As `inference.selection` has it: beside a halted restart the others score infinity, as does a halted one
    that has no score.
    """
    halted = pool.halted
    beside = _ranked(scores.double().masked_fill(~halted, torch.inf), right)
    # There the others are alike. In subsets without any halted restart they are not. With the halted ones in
    # the first places, the chances left to the others are those of just these subsets: take away what they
    # come to if alike, and add what they come to by residual.
    others = right & ~halted
    alike = torch.where(halted, -torch.inf, torch.zeros_like(pool.residual))
    alone = pool.residual.masked_fill(halted, -torch.inf)
    return beside - _ranked(alike, others) + _ranked(alone, others)


Votes = list[tuple[NDArray[np.int64], NDArray[np.float64]]]
"""For each problem its distinct answers, the most frequent first: how many restarts gave each, and the share
of these that counts as right (0 or 1, since the answer decides)."""


def _votes(answers: Tensor, right: Tensor) -> Votes:
    found: Votes = []
    for said, correct in zip(answers.numpy(), right.tolist(), strict=True):
        groups: dict[bytes, list[bool]] = {}
        for answer, hit in zip(said, correct, strict=True):
            groups.setdefault(answer.tobytes(), []).append(hit)
        ordered = sorted(groups.values(), key=len, reverse=True)
        sizes = np.array([len(group) for group in ordered])
        found.append((sizes, np.array([sum(group) / len(group) for group in ordered])))
    return found


def _majority(votes: Votes, count: int) -> Tensor:
    """The chance that the most frequent answer of a subset is right, `[problems]`.

    It depends on the sizes of groups of equal answers alone; problems with equal ones are counted out once.
    """
    known: dict[tuple[bytes, int], float] = {}
    chances: list[float] = []
    for sizes, right in votes:
        chance = 0.0
        for group in np.flatnonzero(right):
            key = (sizes.tobytes(), int(sizes[group]))
            if key not in known:
                known[key] = float(_wins(int(sizes[group]), np.delete(sizes, group), count))
            chance += right[group] * known[key]
        chances.append(min(1.0, chance))
    return torch.tensor(chances, dtype=torch.float64)


@njit(cache=True)
def _binomial(size, share):
    """Chances of 0 … `size` successes in so many trials of chance `share`."""
    chances = np.zeros(size + 1)
    chances[0] = 1.0
    for trial in range(size):
        for hits in range(trial + 1, -1, -1):
            before = chances[hits - 1] if hits else 0.0
            chances[hits] = chances[hits] * (1 - share) + before * share
    return chances


@njit(cache=True)
def _wins(own, others, count):
    """The chance that a group of `own` equal answers has the most of `count` drawn ones; ties are shared.

    Each answer is drawn by itself, with such a chance that `count` come on average; given that just `count`
    came, every subset is as likely. So groups are independent, numbers of drawn answers binomial, and the
    condition is one division at the end. Nothing overflows, and sums of positive terms lose no digits.

    `others` int64: the sizes of the other groups, descending.
    """
    restarts = own + others.sum()
    share = count / restarts
    mine = _binomial(own, share)
    theirs = np.zeros((len(others), restarts + 1))
    for group, size in enumerate(others):
        theirs[group, : size + 1] = _binomial(size, share)
    won = 0.0
    for copies in range(1, min(own, count) + 1):
        left = count - copies  # to be drawn from the others, at most `copies` of each
        if np.minimum(others, copies).sum() < left:
            continue
        most = min((others >= copies).sum(), left // copies)  # groups that can have as many
        # chance that the groups so far have `drawn` in all and that `ties` of them have as many as ours
        chance = np.zeros((most + 1, left + 1))
        chance[0, 0] = 1.0
        reach = 0
        for group, size in enumerate(others):
            limit = min(size, copies)
            reach = min(reach + limit, left)
            for ties in range(most, -1, -1):
                for drawn in range(reach, ties * copies - 1, -1):
                    total = 0.0
                    for part in range(min(limit, drawn) + 1):
                        if part < copies:
                            total += chance[ties, drawn - part] * theirs[group, part]
                        elif ties > 0:
                            total += chance[ties - 1, drawn - part] * theirs[group, part]
                    chance[ties, drawn] = total
        for ties in range(most + 1):
            won += mine[copies] * chance[ties, left] / (1 + ties)
    return won / _binomial(restarts, share)[count]
