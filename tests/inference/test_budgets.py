"""Budgets and limits: what a problem costs, who decides that it is done, and how a call is stopped."""

import math
import signal
import threading
from itertools import pairwise

import pytest
import torch

from equilibria.dynamics.halting import FixedDepth, LearnedHead
from equilibria.errors import EquilibriaError
from equilibria.inference.budget import Budget
from equilibria.inference.engine import Engine, Report
from equilibria.inference.limits import Limits, interruptible
from equilibria.inference.restarts import Fixed, Race, UntilAgreement, UntilSettled
from equilibria.reasoners import configure, family
from equilibria.reasoners.interface import Prediction, ProblemShape

SHAPE = ProblemShape(vocabulary=6, tokens=16, board=(4, 4))
SMALL = {"width": 8, "heads": 2, "layers": 1, "channel_inner": 12, "token_inner": 10}
POLICIES = [Fixed(), UntilSettled(), UntilAgreement(), Race()]


def build(name, **options):
    return family(name)(configure({"family": name, **SMALL, **options}), SHAPE).eval()


@pytest.fixture
def reasoner():
    """Random weights, damped so that it settles, and a halting head that is sure of a third."""
    built = build("recursive", H_cycles=1, L_cycles=2, damping=0.5, noise=0.05)
    torch.nn.init.normal_(built.halt_head.score.weight)
    torch.nn.init.constant_(built.halt_head.score.bias, -2.0)
    return built


@pytest.fixture
def boards():
    return torch.randint(0, 6, (12, 16), dtype=torch.uint8)


def solved(reasoner, boards, budget, *, seed=0, verify=None, stop=None, watch=None, **engine):
    found = Engine(reasoner, **engine).solve(boards, budget, seed=seed, verify=verify, stop=stop, watch=watch)
    return sorted(found, key=lambda outcome: outcome.index)


def told(outcome, *but):
    """Everything but its place in the call, to be compared bit for bit."""
    facts = vars(outcome) | {"tokens": outcome.tokens.tolist()}
    return str({name: value for name, value in facts.items() if name not in ("index", *but)})


def tokens(outcomes):
    return [outcome.tokens.tolist() for outcome in outcomes]


def all_restarts(reasoner, boards, breadth):
    """What every one of them ends with, by problem."""
    budget = Budget(depth=6, breadth=breadth, halting=LearnedHead())
    return {attempt.index: attempt.in_order for attempt, _ in Engine(reasoner).attempts(boards, budget)}


def divisible(problem, answer):
    """A checker that a fifth of all answers pass."""
    return int(answer.sum()) % 5 == 0


@pytest.mark.parametrize("halting", [FixedDepth(), LearnedHead()])
@pytest.mark.parametrize("restarts", POLICIES[:3])
@pytest.mark.parametrize("nfe", [None, 15])
def test_what_else_is_in_the_call_changes_nothing(reasoner, boards, restarts, halting, nfe):
    """To the last bit, with as many slots: matrix products may round otherwise for another number of rows."""
    budget = Budget(depth=6, breadth=5, restarts=restarts, halting=halting, nfe=nfe, tolerance=0.3)
    among = solved(reasoner, boards, budget, slots=4, steady=True)
    for place in (0, 7):
        alone = solved(reasoner, boards[[place] * 4], budget, slots=4, steady=True)
        assert {told(outcome) for outcome in alone} == {told(among[place])}
    order = torch.tensor([5, 7, 0, 11, 3])
    others = solved(reasoner, boards[order], budget, slots=4, steady=True)
    assert [told(outcome) for outcome in others] == [told(among[place]) for place in order]
    other_seed = solved(reasoner, boards, budget, seed=1, slots=4, steady=True)
    assert [told(a) for a in other_seed] != [told(b) for b in among]


@pytest.mark.parametrize("halting", [FixedDepth(), LearnedHead()])
@pytest.mark.parametrize("restarts", POLICIES)
@pytest.mark.parametrize("verified", [False, True])
def test_the_number_of_slots_changes_no_answer(reasoner, boards, restarts, halting, verified):
    budget = Budget(depth=6, breadth=5, restarts=restarts, halting=halting, tolerance=0.3)
    verify = (lambda problem, answer: int(answer.sum()) % 2 == 0) if verified else None
    found = {n: solved(reasoner, boards, budget, verify=verify, slots=n, every=1 + n % 3) for n in (2, 5, 60)}
    for outcomes in found.values():
        assert tokens(outcomes) == tokens(found[60])
        assert [o.settled for o in outcomes] == [o.settled for o in found[60]]
        # Losers of a race, and restarts beside one that passed, run on where more run at a time.
        if restarts != Race() and not verified:
            assert [o.nfe for o in outcomes] == [o.nfe for o in found[60]]


@pytest.mark.parametrize("slots", [5, 200])
@pytest.mark.parametrize("every", [1, 3])
def test_a_race_cuts_off_those_that_have_lost(reasoner, boards, slots, every):
    """Be they at work or still waiting for a slot."""
    budget, most = Budget(depth=20, breadth=12, restarts=Race(), halting=LearnedHead()), []
    for row in boards.split(1):
        ((attempt, _),) = Engine(reasoner, slots=slots, every=every).attempts(row, budget)
        winners = [restart.iterations for restart in attempt.in_order[:slots] if restart.halted]
        most.append(max(restart.iterations for restart in attempt.in_order))
        assert most[-1] <= min(winners, default=20) + every
    assert min(most) <= 2 + every


def test_a_cap_means_the_same_for_any_slots_where_an_iteration_solves_inside(boards):
    attractor = build("attractor", prefix=1, H_cycles=2, max_iterations=4, min_iterations=1)
    budget = Budget(depth=3, breadth=5, nfe=7)
    few, many = (solved(attractor, boards[:3], budget, slots=slots) for slots in (1, 20))
    assert [outcome.nfe for outcome in many] == [outcome.nfe for outcome in few]
    assert all(outcome.restarts == 3 and outcome.nfe > 7 for outcome in many)


@pytest.mark.parametrize("restarts", POLICIES[:3])
@pytest.mark.parametrize("nfe", [1, 4, 9, 15])
def test_a_problem_costs_no_more_than_its_cap(reasoner, boards, restarts, nfe):
    budget = Budget(depth=6, breadth=5, restarts=restarts, halting=LearnedHead(), nfe=nfe)
    outcomes = solved(reasoner, boards, budget, slots=7)
    assert all(1 <= outcome.nfe <= nfe for outcome in outcomes)
    assert all(outcome.complete for outcome in outcomes)
    if restarts == Fixed():
        free = solved(reasoner, boards, Budget(depth=6, breadth=5, halting=LearnedHead()))
        assert [outcome.nfe for outcome in outcomes] == [min(outcome.nfe, nfe) for outcome in free]


def test_until_settled_stops_at_the_first_restart_that_settles(reasoner, boards):
    adaptive = Budget(depth=6, breadth=6, restarts=UntilSettled(), halting=LearnedHead())
    ends, counts = all_restarts(reasoner, boards, 6), set()
    for outcome in solved(reasoner, boards, adaptive):
        halted = [restart.halted for restart in ends[outcome.index]]
        first = halted.index(True) + 1 if any(halted) else 6
        assert (outcome.restarts, outcome.settled) == (first, any(halted))
        assert outcome.nfe == sum(restart.evaluations for restart in ends[outcome.index][:first])
        counts.add(first)
    assert len(counts) > 2


def test_until_agreement_stops_at_the_last_vote(reasoner, boards):
    budget = Budget(depth=6, breadth=6, restarts=UntilAgreement(votes=2), halting=LearnedHead())
    ends = all_restarts(reasoner, boards, 6)
    for outcome in solved(reasoner, boards, budget, slots=5):
        given = [restart.answer for restart in ends[outcome.index]]
        needed = [n for n in range(2, 7) if len(set(given[:n])) < n]
        assert outcome.restarts == (needed[0] if needed else 6)
        if needed:
            assert outcome.tokens.numpy().tobytes() == given[needed[0] - 1]
            assert outcome.agreement == 2 / needed[0]


def test_a_checker_decides_when_a_problem_is_done_and_who_answers(reasoner, boards):
    asked = []

    def verify(problem, answer):
        asked.append(problem.tolist())
        return divisible(problem, answer)

    budget = Budget(depth=6, breadth=8, restarts=UntilSettled(), halting=LearnedHead())
    ends, outcomes = all_restarts(reasoner, boards, 8), solved(reasoner, boards, budget, verify=verify)
    for outcome in outcomes:
        given = [restart.answer for restart in ends[outcome.index]]
        passed = [sum(answer) % 5 == 0 for answer in given]
        assert outcome.verified == divisible(None, outcome.tokens) == any(passed)
        assert outcome.restarts == (passed.index(True) + 1 if any(passed) else 8)
        if outcome.verified:
            assert outcome.tokens.numpy().tobytes() == given[passed.index(True)]
    assert len({outcome.verified for outcome in outcomes}) == 2
    assert len(asked) == sum(outcome.restarts for outcome in outcomes), "once a restart"
    assert all(problem in boards.tolist() for problem in asked)
    assert {outcome.verified for outcome in solved(reasoner, boards, budget)} == {None}


@pytest.mark.parametrize("restarts", POLICIES)
def test_an_answer_that_passed_its_checker_is_preferred_by_any_policy(reasoner, boards, restarts):
    budget = Budget(depth=6, breadth=4, restarts=restarts, halting=LearnedHead())
    attempts = Engine(reasoner).attempts(boards, budget, verify=divisible)
    passed = {attempt.index for attempt, _ in attempts if any(r.accepted for r in attempt.in_order)}
    outcomes = solved(reasoner, boards, budget, verify=divisible)
    assert {outcome.index for outcome in outcomes if outcome.verified} == passed
    assert 0 < len(passed) < 12


def test_without_a_halting_head_there_is_no_score(reasoner, boards, monkeypatch):
    decode = reasoner.decode
    monkeypatch.setattr(reasoner, "decode", lambda *given: Prediction(decode(*given).logits))
    outcomes = solved(reasoner, boards, Budget(depth=3, breadth=2))
    assert all(math.isnan(outcome.halting_score) for outcome in outcomes)


STOPS = {
    "nfe": lambda: Limits(nfe=30),
    "seconds": lambda: (
        lambda report: Limits(seconds=3.0)(Report(**vars(report) | {"seconds": report.nfe / 10}))
    ),
    "a person": lambda: Limits(interrupted=iter([False] * 6 + [True] * 99).__next__),
    "at once": lambda: lambda report: True,
    "never": lambda: Limits(nfe=10**9),
}


@pytest.mark.parametrize("restarts", POLICIES)
@pytest.mark.parametrize("breadth", [1, 4])
@pytest.mark.parametrize("stop", STOPS)
def test_a_stopped_call_answers_every_problem_once(reasoner, boards, restarts, breadth, stop):
    budget = Budget(depth=6, breadth=breadth, restarts=restarts, halting=LearnedHead())
    free = solved(reasoner, boards, budget, slots=5, steady=True)
    outcomes = solved(reasoner, boards, budget, stop=STOPS[stop](), slots=5, steady=True)
    assert [outcome.index for outcome in outcomes] == list(range(12))
    for outcome, whole in zip(outcomes, free, strict=True):
        if outcome.complete:
            assert told(outcome, "nfe", "restarts", "agreement") == told(
                whole, "nfe", "restarts", "agreement"
            )
        elif outcome.restarts == 0:
            assert not outcome.tokens.any()
            assert (outcome.nfe, outcome.settled, outcome.verified) == (0, False, None)
            assert math.isnan(outcome.residual)
        else:
            assert 0 < outcome.nfe <= whole.nfe or restarts == Race()
            assert math.isfinite(outcome.residual)
    assert all(outcome.complete for outcome in outcomes) == (stop == "never")
    if stop == "at once":
        assert sum(outcome.restarts for outcome in outcomes if not outcome.complete) <= 5


def test_a_problem_that_is_cut_off_gets_the_best_there_is_so_far(reasoner, boards):
    budget = Budget(depth=6, breadth=3)
    found = Engine(reasoner, slots=5).attempts(boards, budget, stop=Limits(nfe=100))
    attempts = {attempt.index: (attempt, complete) for attempt, complete in found}
    steps = {end.steps for attempt, _ in attempts.values() for end in attempt.ends.values()}
    assert len(steps) > 1, "some were cut off in the middle"
    for outcome in solved(reasoner, boards, budget, stop=Limits(nfe=100), slots=5):
        attempt, complete = attempts[outcome.index]
        assert outcome.complete == complete == (len(attempt.ended) == 3 and outcome.nfe == 18)
        assert outcome.residual == min(restart.residual for restart in attempt.ended.values())


def test_a_call_that_may_be_stopped_begins_every_problem_first(reasoner, boards):
    outcomes = solved(reasoner, boards, Budget(depth=6, breadth=4), stop=Limits(nfe=12 * 6), slots=4)
    assert {outcome.restarts for outcome in outcomes} == {1}
    assert {outcome.nfe for outcome in outcomes} == {6}


@pytest.mark.parametrize(("nfe", "problems", "slots"), [(1, 12, 4), (17, 12, 4), (50, 12, 4), (6, 1, 1)])
def test_a_limit_on_all_evaluations_is_kept_up_to_one_tick(reasoner, boards, nfe, problems, slots):
    """Also where all that ran have just ended, and the next restarts are about to begin."""
    budget = Budget(depth=6, breadth=9, restarts=UntilSettled(), tolerance=1e-9)
    outcomes = solved(reasoner, boards[:problems], budget, stop=Limits(nfe=nfe), slots=slots)
    assert nfe <= sum(outcome.nfe for outcome in outcomes) < nfe + slots


@pytest.mark.parametrize("limits", [{"seconds": 0.0}, {"seconds": math.nan}, {"nfe": 0}, {"nfe": -3}])
def test_a_limit_that_makes_no_sense_says_so(limits):
    with pytest.raises(EquilibriaError, match=r"a limit in (seconds|nfe) must be positive"):
        Limits(**limits)


@pytest.mark.parametrize("restarts", POLICIES)
def test_fewer_slots_while_a_call_ends_change_no_answer(reasoner, boards, restarts):
    budget, reports = Budget(depth=6, breadth=5, restarts=restarts, halting=LearnedHead()), {}
    outcomes = {}
    for steady in (False, True):
        reports[steady] = []
        outcomes[steady] = solved(
            reasoner, boards, budget, watch=reports[steady].append, slots=11, steady=steady
        )
    assert tokens(outcomes[False]) == tokens(outcomes[True])
    for a, b in zip(outcomes[False], outcomes[True], strict=True):
        assert a.residual == pytest.approx(b.residual, rel=1e-4)
    assert reports[False][-1].utilisation > reports[True][-1].utilisation


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("restarts", POLICIES)
def test_reports_add_up(reasoner, boards, restarts, every):
    reports = []
    budget = Budget(depth=6, breadth=4, restarts=restarts, halting=LearnedHead())
    outcomes = solved(reasoner, boards, budget, watch=reports.append, slots=5, every=every)
    for before, after in pairwise(reports):
        assert before.begun <= after.begun
        assert before.done <= after.done
        assert before.nfe < after.nfe
        assert before.seconds <= after.seconds
    assert all(report.problems == 12 for report in reports)
    assert all(report.done <= report.begun <= 12 for report in reports)
    assert all(0 < report.utilisation <= 1 for report in reports)
    assert all(report.running <= 5 for report in reports)
    last = reports[-1]
    assert (last.begun, last.done, last.running) == (12, 12, 0)
    assert last.nfe == sum(outcome.nfe for outcome in outcomes)


@pytest.fixture
def plain_interrupts():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_interrupt_asks_and_the_second_breaks(plain_interrupts):
    with interruptible() as pressed:
        assert not pressed()
        signal.raise_signal(signal.SIGINT)
        assert pressed()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_handler_of_interrupts_is_restored_whatever_happens(plain_interrupts):
    with interruptible() as pressed:
        assert not pressed()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(ZeroDivisionError), interruptible():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_a_thread_nothing_is_pressed_and_nothing_breaks(plain_interrupts):
    said = []

    def work():
        with interruptible() as pressed:
            said.append(pressed())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == [False]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
