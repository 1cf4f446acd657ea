"""Rows change hands in two ways that must agree: without ever looking, and by looking."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from equilibria.dynamics.halting import AnyOf, FixedDepth, LearnedHead, Residual
from equilibria.dynamics.solvers import Anderson, PatienceDamped, Picard
from equilibria.inference.budget import Budget
from equilibria.inference.engine import Engine
from equilibria.inference.restarts import Race, UntilAgreement
from equilibria.inference.slots import Slots, Trajectory
from equilibria.inference.turnover import NO_TICKET, Direct, Static
from equilibria.reasoners import configure, family
from equilibria.reasoners.interface import ProblemShape

SHAPE = ProblemShape(vocabulary=6, tokens=16, board=(4, 4))
SMALL = {"width": 8, "heads": 2, "layers": 1, "channel_inner": 12, "token_inner": 10}
KEPT = ("ticket", "state")


def rows(tickets):
    """Rows told apart by their tickets."""
    tickets = torch.tensor(tickets, dtype=torch.int64)
    return {"ticket": tickets, "state": tickets[:, None] * torch.tensor([1.0, 0.5]), "steps": tickets * 0}


class Tables:
    """Slots and what waits for them, under one way to change hands."""

    def __init__(self, kind, slots, ready, every):
        self.rows = rows([NO_TICKET] * slots)
        self.turnover = kind(self.rows, rows([NO_TICKET] * ready), KEPT, every)

    def busy(self):
        return self.rows["ticket"] != NO_TICKET

    def turn(self, ended):
        free = ended | ~self.busy()
        self.rows = {name: value.clone() for name, value in self.rows.items()}
        self.rows["steps"] = self.rows["steps"] + 1
        self.rows["state"] = self.rows["state"] + 1.0
        self.rows = self.turnover.turn(self.rows, ended, free)


def assert_equal(got, expected):
    assert got.keys() == expected.keys()
    for name in got:
        assert torch.equal(got[name], expected[name]), name


@settings(max_examples=150)
@given(
    slots=st.integers(1, 5),
    ready=st.integers(1, 8),
    every=st.integers(1, 4),
    looks=st.integers(1, 8),
    random=st.randoms(use_true_random=False),
)
def test_both_ways_lead_to_the_same_rows(slots, ready, every, looks, random):
    static, direct = Tables(Static, slots, ready, every), Tables(Direct, slots, ready, every)
    given_out, started, gone = 0, 0, []
    for _ in range(looks):
        fresh = list(range(given_out, given_out + random.randint(0, ready - (given_out - started))))
        if fresh:
            for tables in (static, direct):
                tables.turnover.give(rows(fresh), given_out)
            given_out += len(fresh)
        if random.random() < 0.5:
            for tables in (static, direct):
                tables.turn(torch.zeros(slots, dtype=torch.bool))
        for _ in range(random.randint(1, every)):
            ended = torch.tensor([random.random() < 0.4 for _ in range(slots)]) & direct.busy()
            for tables in (static, direct):
                tables.turn(ended)
            assert_equal(static.rows, direct.rows)
        (mine, started), (theirs, expected) = static.turnover.fetch(), direct.turnover.fetch()
        assert started == expected
        assert_equal(mine, theirs)
        gone += mine["ticket"].tolist() if mine else []
        # Nothing is lost and nothing doubled: those that started are in the slots or gone.
        there = static.rows["ticket"][static.busy()].tolist()
        assert sorted(gone + there) == list(range(started))
        assert len(there) == min(slots, given_out - len(gone)), "no slot is idle while something waits"


def test_what_is_kept_is_what_stood_there_when_it_ended():
    for kind in (Static, Direct):
        tables = Tables(kind, slots=2, ready=4, every=3)
        tables.turnover.give(rows([0, 1, 2]), 0)
        tables.turn(torch.tensor([False, False]))
        tables.turn(torch.tensor([False, True]))  # 1 leaves, 2 takes its place
        tables.turn(torch.tensor([True, True]))
        gone, started = tables.turnover.fetch()
        assert (gone["ticket"].tolist(), started) == ([1, 0, 2], 3)
        assert gone["state"][:, 0].tolist() == [1 + 1, 0 + 2, 2 + 1]
        assert tables.turnover.fetch() == ({}, 3)


def recursive(device="cpu", **options):
    config = {"family": "recursive", **SMALL, "H_cycles": 1, "L_cycles": 2, "damping": 0.5, "noise": 0.05}
    built = family("recursive")(configure(config | options), SHAPE).eval()
    torch.nn.init.normal_(built.halt_head.score.weight)
    torch.nn.init.constant_(built.halt_head.score.bias, -2.0)
    return built.to(device)


def other(name, **options):
    return family(name)(configure({"family": name, **SMALL, **options}), SHAPE).eval()


def attractor():
    return other("attractor", prefix=1, H_cycles=2, max_iterations=5, min_iterations=1, tolerance=0.03)


CASES = {
    "recursive": (recursive, Picard(), LearnedHead()),
    "recursive, Anderson": (recursive, Anderson(window=2), FixedDepth()),
    "recursive, either": (
        recursive,
        Picard(),
        AnyOf(of=(LearnedHead(threshold=1.0), Residual(tolerance=3.0, patience=2))),
    ),
    "fprm": (
        lambda: other("fprm", prefix=1),
        PatienceDamped(patience=1, decay=0.5, threshold=0.01),
        Residual(tolerance=0.6, patience=2, least_step=0.1),
    ),
    "attractor": (attractor, Picard(), Residual(tolerance=1.0)),
    "feedforward": (lambda: other("feedforward"), Picard(), FixedDepth()),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("every", [1, 3])
def test_slots_that_never_look_end_the_same_trajectories_to_the_last_bit(case, every, monkeypatch):
    build, solver, halting = CASES[case]
    reasoner, boards = build(), torch.randint(0, 6, (7, 16), dtype=torch.uint8)

    def looks():
        engine = Engine(reasoner, solver=solver, slots=4, every=every)
        return list(engine.looks(boards, depths=(2, 9), breadth=3, halting=halting))

    by_looking = looks()
    monkeypatch.setattr("equilibria.inference.slots.Direct", Static)
    never_looking = looks()
    ends = [(index, end) for index, found in by_looking for end in found]
    others = [(index, end) for index, found in never_looking for end in found]
    for (place, end), (same_place, same) in zip(ends, others, strict=True):
        assert (place, end.ticket, end.steps) == (same_place, same.ticket, same.steps)
        assert torch.equal(end.answers, same.answers)
        assert str(end.facts) == str(same.facts)  # bit for bit, and a NaN is a NaN
    if not isinstance(halting, FixedDepth):
        assert len({end.steps for _, end in ends}) > 1, "rows leave at different times"
    if case == "attractor":
        assert len({end.facts[0][3] for _, end in ends}) > 2, "rows cost different numbers of evaluations"


@pytest.mark.parametrize("restarts", [Race(), UntilAgreement()])
def test_restarts_that_are_cut_off_end_alike_too(restarts, monkeypatch):
    reasoner, boards = recursive(), torch.randint(0, 6, (9, 16), dtype=torch.uint8)
    budget = Budget(depth=9, breadth=5, halting=LearnedHead(threshold=1.0), restarts=restarts)

    def attempts():
        found = Engine(reasoner, slots=4, every=2).attempts(boards, budget)
        return [(attempt.index, attempt.in_order) for attempt, _ in found]

    by_looking = attempts()
    monkeypatch.setattr("equilibria.inference.slots.Direct", Static)
    assert attempts() == by_looking


class OnDeviceOnly(TorchDispatchMode):
    """Refuses tensors of another device: each would be a copy, for which the host waits."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, result)):
            assert not isinstance(value, torch.Tensor) or value.device.type == "meta", func
        return result


@pytest.mark.parametrize(
    ("options", "solver", "halting"),
    [
        ({}, Picard(), LearnedHead()),
        ({"prefix": 2, "initial": "fixed", "noise": 0.0}, PatienceDamped(), Residual(patience=2)),
        ({"mixing": "attention", "positions": "rope"}, Anderson(), FixedDepth()),
    ],
)
def test_a_tick_neither_waits_for_its_device_nor_leaves_it(options, solver, halting):
    """On the meta device nothing can be read: whatever asks for a number fails there."""
    slots = Slots(
        recursive("meta", **options), solver, halting,
        seed=0, tokens=16, marks=(2, 4), count=3, ready=6, every=2,
    )  # fmt: skip
    slots.give([Trajectory(ticket, torch.zeros(16, dtype=torch.uint8), 0, 4) for ticket in range(5)])
    slots.start()
    slots.tick()  # tables are made at the first one
    with OnDeviceOnly():
        slots.tick()
        slots.tick()
    slots.limit({3: 2})
    slots.tick()
    assert slots.slot_ticks == 12
    with pytest.raises(Exception, match="meta"):
        slots.fetch()  # this does wait
