"""Spending a budget: what stops a problem, what stops a call, and that neighbours change nothing."""

import os
import signal
import threading

import pytest
import torch

from equilibria.dynamics.halting import LearnedHead
from equilibria.errors import EquilibriaError
from equilibria.inference.budget import Budget
from equilibria.inference.engine import Engine
from equilibria.inference.limits import Limits, interruptible
from equilibria.inference.restarts import Fixed, Race, UntilAgreement, UntilSettled
from equilibria.reasoners.interface import ProblemShape
from equilibria.reasoners.recursive import RecursiveConfig, RecursiveReasoner

SHAPE = ProblemShape(vocabulary=6, tokens=16, board=(4, 4))


@pytest.fixture
def reasoner():
    """Random weights; its halting head ends some trajectories early, some late and some never."""
    config = RecursiveConfig(
        width=8, heads=2, layers=1, channel_inner=12, token_inner=10, H_cycles=1, L_cycles=2, noise=0.3
    )
    built = RecursiveReasoner(config, SHAPE).eval()
    torch.nn.init.normal_(built.halt_head.score.weight)
    torch.nn.init.constant_(built.halt_head.score.bias, -4.0)
    return built


@pytest.fixture
def boards():
    return torch.randint(0, 6, (14, 16), dtype=torch.uint8)


def budget(**changes):
    return Budget(
        **{"depth": 6, "breadth": 5, "halting": LearnedHead(), "restarts": UntilSettled()} | changes
    )


def solve(reasoner, boards, how, *, slots=4, every=1, **call):
    engine = Engine(reasoner, slots=slots, every=every, steady=True)
    return {outcome.index: outcome for outcome in engine.solve(boards, how, **call)}


def same(one, other):
    assert torch.equal(one.tokens, other.tokens)
    for name in ("settled", "halted", "residual", "nfe", "restarts", "agreement", "complete"):
        assert getattr(one, name) == getattr(other, name), name


@pytest.mark.parametrize("restarts", [Fixed(), UntilSettled(), UntilAgreement()], ids=lambda r: r.policy)
@pytest.mark.parametrize("nfe", [None, 11])
def test_a_problem_gets_the_same_answer_alone_and_in_company_to_the_last_bit(reasoner, boards, restarts, nfe):
    how = budget(restarts=restarts, nfe=nfe)
    together = solve(reasoner, boards, how)
    assert len({outcome.nfe for outcome in together.values()}) > 1 or nfe
    for index in (0, 5, 13):
        # As many slots, so that matrix products are as large: they may round otherwise for other sizes.
        company = torch.cat([boards[index : index + 1], boards.flip(0)[:3]])
        same(solve(reasoner, company, how)[0], together[index])


@pytest.mark.parametrize("every", [1, 4])
def test_a_race_is_decided_alike_by_few_slots_and_many(reasoner, boards, every):
    found = [
        solve(reasoner, boards, budget(restarts=Race()), slots=slots, every=every) for slots in (2, 5, 70)
    ]
    for index in range(14):
        for other in found[1:]:
            assert torch.equal(found[0][index].tokens, other[index].tokens)
            assert found[0][index].halted == other[index].halted
            if found[0][index].halted:
                assert found[0][index].residual == pytest.approx(other[index].residual, rel=1e-4)
    assert any(outcome.halted for outcome in found[0].values())


def test_the_cap_on_evaluations_holds(reasoner, boards):
    outcomes = solve(reasoner, boards, budget(breadth=50, nfe=20))
    assert max(outcome.nfe for outcome in outcomes.values()) == 20
    assert all(outcome.nfe <= 20 and outcome.complete for outcome in outcomes.values())


def test_adaptive_restarts_spend_less_and_believe_who_settled(reasoner, boards):
    fixed = solve(reasoner, boards, budget(restarts=Fixed()))
    adaptive = solve(reasoner, boards, budget())
    assert sum(o.nfe for o in adaptive.values()) < sum(o.nfe for o in fixed.values())
    for outcome in adaptive.values():
        assert outcome.halted or outcome.restarts == 5
        assert outcome.verified is None


def test_a_checker_decides_only_where_it_is_asked(reasoner, boards):
    asked = []

    def verify(given, answer):
        asked.append((given, answer))
        return int(answer[0]) % 2 == 0

    outcomes = solve(reasoner, boards, budget(depth=3, breadth=8), verify=verify)
    assert asked
    assert all(any(torch.equal(given, board) for board in boards) for given, _ in asked)
    for outcome in outcomes.values():
        assert outcome.verified == (int(outcome.tokens[0]) % 2 == 0)
        assert outcome.verified or outcome.restarts == 8


def test_a_call_that_is_stopped_answers_every_problem_with_the_best_so_far(reasoner, boards):
    seen = []
    how = budget(depth=40, breadth=9, halting=LearnedHead(threshold=1e9))
    outcomes = solve(reasoner, boards, how, stop=lambda report: seen.append(report) or len(seen) >= 20)
    assert sorted(outcomes) == list(range(14))
    assert all(not outcome.complete for outcome in outcomes.values())
    begun = [outcome for outcome in outcomes.values() if outcome.restarts]
    assert [o.restarts for o in outcomes.values()].count(0) == 14 - len(begun) > 0
    assert sum(outcome.nfe for outcome in begun) == seen[-1].nfe
    for outcome in outcomes.values():
        assert outcome.tokens.any() == bool(outcome.restarts)


def test_a_call_that_may_be_stopped_begins_every_problem_first(reasoner, boards):
    how = budget(depth=2, breadth=9, halting=LearnedHead(threshold=1e9))
    outcomes = solve(reasoner, boards, how, stop=Limits(nfe=14 * 2 + 12))
    assert min(outcome.restarts for outcome in outcomes.values()) == 1
    unlimited = solve(reasoner, boards, how, stop=Limits(seconds=1e9))
    assert all(outcome.complete for outcome in unlimited.values())


def test_limits_stop_a_call_and_make_sense(reasoner, boards):
    engine = Engine(reasoner, slots=4)
    seen = []
    list(engine.solve(boards, budget(), watch=seen.append))
    report = seen[-1]
    assert report.done == report.problems == report.begun == 14
    assert report.running == 0
    assert 0 < report.utilisation <= 1
    assert Limits(seconds=report.seconds / 2)(report)
    assert not Limits(seconds=report.seconds * 2)(report)
    assert Limits(nfe=report.nfe)(report)
    assert not Limits(nfe=report.nfe + 1)(report)
    assert Limits(interrupted=lambda: True)(report)
    with pytest.raises(EquilibriaError, match="seconds must be positive"):
        Limits(seconds=0)


def test_the_report_counts_what_was_run(reasoner, boards):
    seen, how = [], budget(restarts=Fixed())
    outcomes = list(Engine(reasoner, slots=4).solve(boards, how, watch=seen.append))
    assert seen[-1].nfe == sum(outcome.nfe for outcome in outcomes)


def test_slots_that_are_given_up_at_the_end_change_nothing(reasoner, boards):
    kept = {o.index: o for o in Engine(reasoner, slots=9, steady=True).solve(boards, budget())}
    given_up = {o.index: o for o in Engine(reasoner, slots=9).solve(boards, budget())}
    for index, outcome in kept.items():
        assert torch.equal(outcome.tokens, given_up[index].tokens)
        assert outcome.nfe == given_up[index].nfe


def test_the_first_interrupt_asks_and_the_second_breaks():
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as interrupted:
        assert not interrupted()
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_nothing_is_caught():
    said = []

    def ask():
        with interruptible() as interrupted:
            said.append(interrupted())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert said == [False]
