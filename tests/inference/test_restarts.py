"""What policies of restarts decide, as pure functions of the restarts that have ended."""

import math
from collections import Counter
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from equilibria.inference.calibration import FEATURES, Calibration, UntilConfident
from equilibria.inference.restarts import AnyRestarts, Fixed, Race, Restart, UntilAgreement, UntilSettled

DEPTH = 8
# Surer, the more restarts gave the answer.
SUPPORT = Calibration(tuple(float(name == "supporters") for name in FEATURES), (0.0, math.log(4)), (0.1, 0.9))
POLICIES = [
    Fixed(),
    UntilSettled(),
    UntilAgreement(votes=1),
    UntilAgreement(),
    UntilAgreement(votes=3),
    Race(),
    UntilConfident(confidence=0.5, calibration=SUPPORT),
]
policies = st.sampled_from(POLICIES)


def restart(number, answer=b"a", iterations=5, accepted=False):
    return Restart(number, iterations, iterations, answer, 1.0, 0.1, math.nan, accepted, accepted, accepted)


@st.composite
def ends(draw, least=0, most=6):
    """Restarts of one problem that have ended, by number."""
    fates = st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(1, DEPTH), st.booleans())
    drawn = draw(st.lists(fates, min_size=least, max_size=most))
    return [restart(number, *fate) for number, fate in enumerate(drawn)]


@given(policies, ends(), st.integers(0, 4))
def test_a_policy_wants_what_has_ended_at_least_and_the_breadth_at_most(policy, ended, more):
    breadth = max(1, len(ended) + more)
    assert len(ended) <= policy.wants(ended, breadth) <= breadth


@given(policies, st.integers(1, 40))
def test_a_problem_that_has_not_begun_gets_a_restart(policy, breadth):
    assert policy.wants([], breadth) >= 1


@given(policies, ends(least=1))
def test_candidates_are_places_of_restarts_that_ended(policy, ended):
    places = policy.candidates(ended)
    assert places
    assert len(set(places)) == len(places)
    assert all(0 <= place < len(ended) for place in places)


@given(policies, st.integers(0, 9), ends())
def test_a_limit_is_the_depth_at_most(policy, number, ended):
    assert 0 <= policy.limit(number, ended, DEPTH) <= DEPTH
    assert policy.limit(number, [], DEPTH) == DEPTH


@given(ends(), st.integers(0, 4))
def test_a_fixed_breadth_is_run_whole_and_any_restart_may_answer(ended, more):
    breadth = len(ended) + more
    assert Fixed().wants(ended, breadth) == breadth
    assert Fixed().candidates(ended) == list(range(len(ended)))


def test_until_settled_goes_on_one_by_one_until_a_restart_is_accepted():
    policy = UntilSettled()
    failed = [restart(0), restart(1)]
    assert [policy.wants(failed[:count], 3) for count in range(3)] == [1, 2, 3]
    assert policy.wants([*failed, restart(2)], 3) == 3, "the breadth is spent"
    assert policy.wants([*failed, restart(2, accepted=True)], 9) == 3


@pytest.mark.parametrize("policy", [UntilSettled(), UntilAgreement(votes=9), Race()])
@given(ended=ends(least=1))
def test_restarts_that_were_accepted_answer_before_others(policy, ended):
    accepted = {place for place, one in enumerate(ended) if one.accepted}
    places = set(policy.candidates(ended))
    assert places <= accepted if accepted else places == set(range(len(ended)))


@given(ends(), st.integers(1, 3), st.integers(0, 4))
def test_no_more_restarts_run_than_an_agreement_needs_in_any_case(ended, votes, more):
    breadth = max(1, len(ended) + more)
    missing = UntilAgreement(votes=votes).wants(ended, breadth) - len(ended)
    given_so_far = [one.answer for one in ended]

    def agreed(others):
        return max(Counter([*given_so_far, *others]).values(), default=0) >= votes

    if missing:
        assert not any(agreed(others) for others in product([b"a", b"b", b"c"], repeat=missing - 1))
    if len(ended) + missing < breadth:
        assert any(agreed(others) for others in product([b"a", b"b", b"c"], repeat=missing))


@given(st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=8, max_size=8), st.integers(1, 3))
def test_an_agreement_has_exactly_the_restarts_up_to_its_last_vote(answers, votes):
    """Though several run at a time: none is started that turns out to be one too many."""
    policy, ended, started = UntilAgreement(votes=votes), [], 0
    while True:
        started = max(started, policy.wants(ended, len(answers)))
        if started == len(ended):
            break
        ended.append(restart(len(ended), answers[len(ended)]))
    needed = [n for n in range(1, 9) if max(Counter(answers[:n]).values()) >= votes]
    assert len(ended) == (needed[0] if needed else 8)


def test_the_answer_agreed_on_answers_whatever_else_was_accepted():
    ended = [restart(0, b"a", accepted=True), restart(1, b"b"), restart(2, b"b")]
    assert UntilAgreement().candidates(ended) == [1, 2]
    assert UntilAgreement(votes=3).candidates(ended) == [0]


@given(ends(least=1), st.integers(0, 9), st.randoms(use_true_random=False))
def test_a_race_is_decided_the_same_in_whatever_order_restarts_end(ended, number, order):
    policy, shuffled = Race(), list(ended)
    order.shuffle(shuffled)
    assert policy.limit(number, shuffled, DEPTH) == policy.limit(number, ended, DEPTH)
    winners = {ended[place].number for place in policy.candidates(ended)}
    assert {shuffled[place].number for place in policy.candidates(shuffled)} == winners


@given(ends(least=1, most=7), st.integers(0, 6))
def test_a_race_lets_a_restart_run_for_just_as_long_as_it_can_still_win(ended, place):
    ended = [one for one in ended if one.number != place]
    assume(any(one.accepted for one in ended))
    limit = Race().limit(place, ended, DEPTH)

    def wins(iterations):
        mine = restart(place, iterations=iterations, accepted=True)
        (winner,) = Race().candidates([*ended, mine])
        return winner == len(ended)

    assert [wins(iterations) for iterations in range(1, DEPTH + 1)] == [
        iterations <= limit for iterations in range(1, DEPTH + 1)
    ]


@given(ends(least=1), st.integers(0, 9))
def test_a_race_only_ever_lowers_its_limits(ended, number):
    limits = [Race().limit(number, ended[:count], DEPTH) for count in range(len(ended) + 1)]
    assert limits == sorted(limits, reverse=True)


def test_the_fewest_iterations_win_a_race_and_of_equals_the_lower_number():
    ended = [
        restart(0, iterations=1),
        restart(1, iterations=4, accepted=True),
        restart(2, iterations=3, accepted=True),
        restart(3, iterations=3, accepted=True),
    ]
    assert Race().candidates(ended) == [2]
    assert [Race().limit(number, ended, DEPTH) for number in (0, 1, 2, 4)] == [3, 3, 3, 2]


def test_policies_are_data_told_apart_by_name():
    read = TypeAdapter(AnyRestarts).validate_python
    for policy in (Fixed(), UntilSettled(), UntilAgreement(), Race()):
        assert read({"policy": policy.policy}) == policy
    assert read({"policy": "until-agreement", "votes": 3}) == UntilAgreement(votes=3)
    with pytest.raises(ValidationError, match="votes"):
        read({"policy": "race", "votes": 3})
    with pytest.raises(ValueError, match="votes must be at least 1, not 0"):
        UntilAgreement(votes=0)
