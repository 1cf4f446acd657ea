"""The queue alone, without a reasoner: what runs next does not depend on who happens to end first.

A driver without a clock stands for the slots: it ends whichever trajectory it likes.
"""

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equilibria.dynamics.halting import FixedDepth, LearnedHead
from equilibria.errors import EquilibriaError
from equilibria.inference.budget import Budget
from equilibria.inference.queue import Queue
from equilibria.inference.restarts import Fixed, Race, UntilAgreement, UntilSettled
from equilibria.inference.slots import End

DEPTH = 6
LEARNED = LearnedHead()
POLICIES = [Fixed(), UntilSettled(), UntilAgreement(), UntilAgreement(votes=3)]


class World:
    """What comes of a restart: a function of its problem, its number, and the iterations that it gets.

    An iteration may take several evaluations, as where one solves inside.
    """

    def __init__(self, seed, halting=LEARNED):
        self.seed = seed
        self.latest = DEPTH + 3 if halting == LEARNED else 0

    def end(self, trajectory, limit):
        draw = self._draw(trajectory)
        natural = self._natural(draw)
        steps = min(natural, max(1, limit))
        answer = (draw.randrange(2) + steps // 3) % 3
        residual = draw.choice([0.01, 1.0]) / steps
        told = [residual, 1.0, draw.gauss(0, 1), float(steps * draw.randint(1, 3)), float(natural <= steps)]
        return End(trajectory.ticket, steps, torch.tensor([[answer]], dtype=torch.uint8), [told])

    def halts_after(self, trajectory):
        """So many iterations."""
        return self._natural(self._draw(trajectory))

    def _natural(self, draw):
        return draw.randint(1, self.latest) if self.latest else math.inf

    def _draw(self, trajectory):
        return random.Random(f"{self.seed} {int(trajectory.tokens)} {trajectory.restart}")


def run(queue, world, order, slots, watch=lambda: None):
    """The problems, each once it was done, and the limits that restarts were given by (problem, number)."""
    running, limits, reached, done, given_out = {}, {}, {}, {}, {}
    while True:
        for one in queue.take(order.randint(0 if running else 1, slots) - len(running)):
            running[one.ticket], limits[one.ticket], reached[one.ticket] = one, one.limit, 0
            given_out[int(one.tokens), one.restart] = one.limit
        watch()
        if not running:
            assert queue.empty
            assert not queue.open
            return done, given_out
        ticket = order.choice(list(running))
        attempt, over = queue.put(world.end(running.pop(ticket), limits[ticket]))
        assert attempt.index not in done
        if over:
            done[attempt.index] = attempt
        for other, limit in queue.lower(attempt).items():
            # It may be past its new limit by now, and then ends at its next iteration.
            possible = min(limits[other], world.halts_after(running[other])) - 1
            reached[other] = order.randint(min(reached[other], possible), possible)
            limits[other] = min(limits[other], max(limit, reached[other] + 1))


def one_by_one(queue, world):
    return run(queue, world, random.Random(0), slots=1)


def source(count):
    return ((torch.tensor([index]), None) for index in range(count))


def queue_of(count, *, restarts=Fixed(), breadth=5, nfe=None, halting=LEARNED, **how):
    budget = Budget(depth=DEPTH, breadth=breadth, halting=halting, restarts=restarts, nfe=nfe)
    return Queue(source(count), budget, DEPTH, 1, **how)


def answers(done, policy):
    """Which restarts may answer, and with what."""
    found = {}
    for index, attempt in done.items():
        ended = [attempt.ended[number] for number in sorted(attempt.ended)]
        found[index] = {(ended[place].number, ended[place].answer) for place in policy.candidates(ended)}
    return found


seeds = st.integers(0, 10**6)
orders = st.randoms(use_true_random=False)
haltings = st.sampled_from([FixedDepth(), LEARNED])


@settings(max_examples=200)
@given(
    policy=st.sampled_from(POLICIES),
    seed=seeds,
    order=orders,
    slots=st.integers(1, 9),
    nfe=st.none() | st.integers(1, 5 * DEPTH),
    halting=haltings,
    rounds=st.booleans(),
)
def test_nothing_depends_on_the_order_in_which_restarts_end(policy, seed, order, slots, nfe, halting, rounds):
    """Which restarts start, the limit of each, what comes of it, and so the answer."""
    world = World(seed, halting)
    how = {"restarts": policy, "nfe": nfe, "halting": halting}
    done, limits = run(queue_of(3, **how, rounds=rounds), world, order, slots)
    expected, expected_limits = one_by_one(queue_of(3, **how), world)
    assert sorted(expected) == [0, 1, 2]
    assert limits == expected_limits
    assert {index: attempt.in_order for index, attempt in done.items()} == {
        index: attempt.in_order for index, attempt in expected.items()
    }
    assert answers(done, policy) == answers(expected, policy)


@settings(max_examples=200)
@given(seed=seeds, order=orders, slots=st.integers(1, 9), halting=haltings, verified=st.booleans())
def test_a_race_has_one_winner_whatever_the_order(seed, order, slots, halting, verified):
    """A restart that was cut off must not win by standing well when it was."""
    world = World(seed, halting)
    how = {
        "restarts": Race(),
        "halting": halting,
        "verify": (lambda problem, answer: int(answer) == 1) if verified else None,
    }
    done, _ = run(queue_of(2, **how), world, order, slots)
    assert answers(done, Race()) == answers(one_by_one(queue_of(2, **how), world)[0], Race())


def test_a_race_takes_no_cap():
    """What losers spend before they are cut off depends on the order, and with it what is left for others."""
    with pytest.raises(EquilibriaError, match="it takes no cap on iterations"):
        Budget(restarts=Race(), nfe=9)


@settings(max_examples=100)
@given(
    policy=st.sampled_from(POLICIES),
    seed=seeds,
    order=orders,
    slots=st.integers(1, 9),
    nfe=st.integers(1, 6 * DEPTH),
    halting=haltings,
)
def test_a_problem_never_has_more_iterations_than_its_cap(policy, seed, order, slots, nfe, halting):
    queue = queue_of(3, restarts=policy, nfe=nfe, halting=halting)
    done, limits = run(queue, World(seed, halting), order, slots)
    for attempt in done.values():
        assert 1 <= sum(restart.iterations for restart in attempt.in_order) <= nfe
    assert all(limit >= 1 for limit in limits.values())


def test_a_cap_is_spent_to_the_last_iteration():
    done, limits = one_by_one(queue_of(2, nfe=14, halting=FixedDepth()), World(0, FixedDepth()))
    assert [limits[1, number] for number in range(3)] == [6, 6, 2]
    assert [sum(r.iterations for r in attempt.in_order) for attempt in done.values()] == [14, 14]


@pytest.mark.parametrize(("policy", "nfe"), [(Fixed(), None), (UntilSettled(), None), (UntilAgreement(), 9)])
def test_few_problems_are_open_however_many_there_are(policy, nfe):
    queue, most = queue_of(10_000, restarts=policy, breadth=4, nfe=nfe), 0

    def watch():
        nonlocal most
        most = max(most, len(queue.open))

    done, _ = run(queue, World(1), random.Random(1), 12, watch)
    assert len(done) == queue.begun == 10_000
    assert most <= 12


@pytest.mark.parametrize("policy", [*POLICIES, Race()])
def test_in_rounds_every_problem_begins_before_any_gets_a_second_restart(policy):
    queue = queue_of(50, restarts=policy, rounds=True)
    _, limits = run(queue, World(2), random.Random(2), 4)
    numbers = [number for _, number in limits]
    assert not any(numbers[:50])
    assert all(numbers[50:])
    assert [problem for problem, _ in limits][:50] == list(range(50))
    assert len(numbers) > 50


def test_otherwise_problems_that_have_begun_come_first():
    queue = queue_of(3, breadth=2)
    order = [(int(one.tokens), one.restart) for one in queue.take(99)]
    assert order == [(problem, number) for problem in range(3) for number in range(2)]
    assert queue.empty
    assert queue.take(1) == []


@settings(max_examples=60)
@given(
    policy=st.sampled_from([*POLICIES, Race()]),
    seed=seeds,
    order=orders,
    turns=st.integers(0, 30),
    rounds=st.booleans(),
)
def test_the_rest_is_every_problem_that_is_not_done_once(policy, seed, order, turns, rounds):
    queue, world, done = queue_of(8, restarts=policy, rounds=rounds), World(seed), set()
    running = queue.take(4)
    for _ in range(turns):
        if running:
            attempt, over = queue.put(world.end(running.pop(order.randrange(len(running))), DEPTH))
            if over:
                done.add(attempt.index)
            running += queue.take(4 - len(running))
    rest = queue.rest()
    assert [attempt.index for attempt in rest] == [index for index in range(8) if index not in done]
    assert queue.empty
    assert not queue.open
    assert queue.rest() == []


@pytest.mark.parametrize("rounds", [False, True])
def test_problems_are_drawn_only_when_they_are_needed(rounds):
    drawn = []

    def noted():
        for tokens, identifier in source(10**9):
            drawn.append(int(tokens))
            yield tokens, identifier

    queue = Queue(noted(), Budget(depth=DEPTH), DEPTH, 1, rounds=rounds)
    assert len(drawn) <= 1
    for _ in range(3):
        for one in queue.take(4):
            queue.put(World(0).end(one, one.limit))
        assert queue.begun <= len(drawn) <= queue.begun + 1
    assert queue.begun == 12


def test_no_problems_are_nothing_to_run():
    queue = queue_of(0)
    assert queue.empty
    assert queue.take(3) == []
    assert queue.rest() == []
