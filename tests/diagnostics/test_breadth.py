"""Expected accuracy over subsets of restarts against drawing every subset, in every order."""

import math
from itertools import combinations, permutations
from statistics import mean

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equilibria.diagnostics.breadth import RULES, curves, expected_accuracy
from equilibria.diagnostics.metrics import chosen
from equilibria.errors import DataError, EquilibriaError
from equilibria.inference.pool import Pool
from equilibria.inference.selection import SELECTIONS

NAN = math.nan


def pool_of(answers, residual=None, halt=None, evaluations=None, halted=None):
    """A pool of one problem, of the answers given as numbers."""

    def row(given, kind):
        return torch.tensor([[0] * len(answers) if given is None else given], dtype=kind)

    said = torch.tensor(answers, dtype=torch.uint8).view(1, -1, 1)
    scores = row(residual, torch.float32)
    return Pool(
        said, scores, scores, row(halt, torch.float32), row(evaluations, torch.long), row(halted, torch.bool)
    )


def drawn(pool, draws):
    """Draws of restarts of the one problem, in their order, as problems of a pool."""
    return pool._map(lambda tensor: tensor[0, torch.tensor(draws)])


def first_to_settle(pool):
    """As the rule is told: the first of those with the fewest evaluations among the halted."""
    soonest = pool.evaluations.masked_fill(~pool.halted, 10**6).argmin(dim=1)
    return torch.where(pool.halted.any(dim=1), soonest, SELECTIONS["convergence"](pool))


CHOOSERS = {rule: SELECTIONS[rule] for rule in ("majority", "convergence", "halting")} | {
    "first-to-settle": first_to_settle
}


def counted_out(pool, right, rule, count):
    """The mean over all subsets of `count` restarts, in all orders, of whether the chosen one is right."""
    draws = list(permutations(range(right.shape[1]), count))
    hits = right[0, torch.tensor(draws)].double()
    if rule == "average":
        return hits.mean().item()
    if rule == "oracle":
        return hits.amax(dim=1).mean().item()
    return hits.gather(1, CHOOSERS[rule](drawn(pool, draws))[:, None]).mean().item()


# Few values, so that ties abound; scores that are no numbers; restarts halted and not.
scores = st.sampled_from([0.5, 1.0, 2.0, math.inf, NAN])
pools = st.integers(1, 5).flatmap(
    lambda n: st.builds(
        pool_of,
        *(
            st.lists(values, min_size=n, max_size=n)
            for values in (st.integers(1, 3), scores, scores, st.integers(1, 3), st.booleans())
        ),
    )
)


@settings(max_examples=40, deadline=None)
@given(pools, st.sets(st.integers(1, 3)), st.data())
def test_every_rule_is_its_mean_over_all_subsets_and_orders(pool, right_answers, data):
    right = torch.tensor([[answer in right_answers for answer in pool.answers[0, :, 0].tolist()]])
    count = data.draw(st.integers(1, right.shape[1]))
    for rule in RULES:
        expected = counted_out(pool, right, rule, count)
        assert expected_accuracy(pool, right, rule, count).item() == pytest.approx(expected, abs=1e-12), rule


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=9, max_size=9), st.integers(1, 9))
def test_a_vote_is_the_share_of_equally_frequent_answers_in_every_subset(answers, count):
    """More restarts than can be put in every order; so that the fair tie is counted, not drawn."""
    expected = []
    for few in combinations(answers, count):
        most = max(few.count(answer) for answer in set(few))
        first = [answer for answer in set(few) if few.count(answer) == most]
        expected.append((1 in first) / len(first))
    right = torch.tensor([[answer == 1 for answer in answers]])
    found = expected_accuracy(pool_of(answers), right, "majority", count).item()
    assert found == pytest.approx(mean(expected), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(pools.filter(lambda pool: len(pool.answers[0]) > 2), st.data())
def test_expectations_are_nested(pool, data):
    """The mean over subsets of the whole is the mean over subsets of subsets: what makes it unbiased."""
    n = pool.answers.shape[1]
    some = data.draw(st.integers(1, n - 1))
    count = data.draw(st.integers(1, some))
    right = pool.answers[..., 0] == 1
    for rule in RULES:
        whole = expected_accuracy(pool, right, rule, count).item()
        parts = [
            expected_accuracy(drawn(pool, [few]), right[:, list(few)], rule, count).item()
            for few in combinations(range(n), some)
        ]
        assert mean(parts) == pytest.approx(whole, abs=1e-12), rule


def test_with_all_restarts_the_rules_are_those_of_selection():
    torch.manual_seed(0)
    answers = torch.randint(0, 4, (200, 33, 1), dtype=torch.uint8)  # odd, and rarely a tie
    halted = torch.rand(200, 33) < torch.tensor([0.0, 0.3, 1.0]).repeat(67)[:200, None]
    pool = Pool(
        answers, torch.rand(200, 33), torch.rand(200, 33), torch.randn(200, 33), halted.long(), halted
    )
    right = answers[..., 0] == 0
    for rule in ("convergence", "halting"):
        taken = chosen(right, SELECTIONS[rule](pool))
        assert expected_accuracy(pool, right, rule, 33).tolist() == pytest.approx(taken.tolist(), abs=1e-9)
    counts = (answers == torch.arange(4, dtype=torch.uint8)).sum(dim=1)
    alone = (counts == counts.amax(dim=1, keepdim=True)).sum(dim=1) == 1
    taken = chosen(right, SELECTIONS["majority"](pool))
    found = expected_accuracy(pool, right, "majority", 33)
    assert alone.sum() > 100
    assert found[alone].tolist() == pytest.approx(taken[alone].tolist(), abs=1e-9)


def test_many_restarts_are_counted_exactly():
    """Two answers: the right one wins with more than half of the draws, a hypergeometric tail."""
    right = (torch.arange(1000) < 450)[None]
    pool = pool_of(right[0].long().tolist())
    for count in (25, 500, 1000):
        ways = math.comb(1000, count)
        tail = sum(
            math.comb(450, hits) * math.comb(550, count - hits) * (1 if 2 * hits > count else 0.5)
            for hits in range((count + 1) // 2, min(count, 450) + 1)
        )
        found = expected_accuracy(pool, right, "majority", count).item()
        assert found == pytest.approx(tail / ways, rel=1e-9)


def test_a_wrong_answer_outvotes_the_right_one_only_where_it_is_frequent():
    """All wrong answers differ: two right ones in a subset win, one is as good as any."""
    answers = [0] * 4 + list(range(1, 13))
    right = torch.tensor([[answer == 0 for answer in answers]])
    ways = math.comb(16, 5)
    none, one = math.comb(12, 5), 4 * math.comb(12, 4)
    expected = (ways - none - one + one / 5) / ways
    assert expected_accuracy(pool_of(answers), right, "majority", 5).item() == pytest.approx(expected)


def test_curves_leave_out_what_does_not_apply():
    pool = pool_of([1, 2, 3], [1.0, 2.0, 3.0], [NAN] * 3)
    right = torch.tensor([[True, False, False]])
    found = curves(pool, right, (1, 3))
    assert list(found) == ["average", "majority", "convergence", "oracle"]
    assert found["average"] == pytest.approx([1 / 3, 1 / 3])
    assert found["majority"] == pytest.approx([1 / 3, 1 / 3])
    assert found["convergence"] == pytest.approx([1 / 3, 1.0])
    assert found["oracle"] == pytest.approx([1 / 3, 1.0])
    whole = curves(pool_of([1, 2, 3], halted=[False, False, True], halt=[NAN, 1.0, 2.0]), right, [1])
    assert list(whole) == list(RULES)


def test_what_cannot_be_asked():
    pool, right = pool_of([1, 2]), torch.tensor([[True, False]])
    for count in (0, 3):
        with pytest.raises(DataError, match=f"{count} restarts from a pool of 2: ask for 1 to 2"):
            expected_accuracy(pool, right, "oracle", count)
        with pytest.raises(DataError, match=f"{count} restarts from a pool of 2"):
            curves(pool, right, (1, count))
    with pytest.raises(EquilibriaError, match=r"no rule 'best' .*: average, majority, .*oracle"):
        expected_accuracy(pool, right, "best", 1)
    with pytest.raises(DataError, match=r"\[1, 3\] are not of this pool of \[1, 2\] restarts"):
        expected_accuracy(pool, torch.ones(1, 3).bool(), "oracle", 1)
    with pytest.raises(DataError, match="at least one problem"):
        curves(pool.problems(torch.tensor([False])), right[:0], (1,))
