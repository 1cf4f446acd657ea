"""Two ways for rows to change hands, and slots that run whole trajectories by either."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equilibria.dynamics.halting import LearnedHead, Residual
from equilibria.dynamics.solvers import PatienceDamped, Picard
from equilibria.inference import slots as slots_module
from equilibria.inference.engine import Engine
from equilibria.inference.slots import Slots, Trajectory
from equilibria.inference.turnover import NO_TICKET, Direct, Static
from equilibria.reasoners.attractor import AttractorConfig, AttractorReasoner
from equilibria.reasoners.fprm import FPRMConfig, FPRMReasoner
from equilibria.reasoners.interface import ProblemShape
from equilibria.reasoners.recursive import RecursiveConfig, RecursiveReasoner

SHAPE = ProblemShape(vocabulary=6, tokens=16, board=(4, 4))
BLOCKS = {"width": 8, "heads": 2, "layers": 1, "channel_inner": 12, "token_inner": 10}


def fresh(tickets):
    """Rows that are their ticket through and through."""
    ticket = torch.tensor(tickets)
    return {"ticket": ticket, "state": ticket[:, None, None].repeat(1, 2, 3).float(), "steps": ticket * 10}


@settings(max_examples=60, deadline=None)
@given(
    slots=st.integers(1, 5),
    ready=st.integers(1, 6),
    every=st.integers(1, 3),
    seed=st.integers(0, 1 << 30),
    total=st.integers(0, 30),
)
def test_both_ways_let_the_same_rows_go_and_come(slots, ready, every, seed, total):
    random = torch.Generator().manual_seed(seed)
    ways, rows = [], []
    for kind in (Direct, Static):
        rows.append(fresh([NO_TICKET] * slots))
        ways.append(kind(rows[-1], fresh([NO_TICKET] * ready), ["ticket", "steps"], every))
    given_, started, gone = 0, 0, []
    for _ in range(12):
        count = min(total - given_, ready - (given_ - started))
        if count:
            for way in ways:
                way.give(fresh(list(range(given_, given_ + count))), given_)
            given_ += count
        for _ in range(every):
            busy = rows[0]["ticket"] != NO_TICKET
            ended = busy & (torch.rand(slots, generator=random) < 0.4)
            rows = [way.turn(dict(row), ended, ended | ~busy) for way, row in zip(ways, rows, strict=True)]
            for name in rows[0]:
                mine, other = (row[name][rows[0]["ticket"] != NO_TICKET] for row in rows)
                assert torch.equal(mine, other)
            assert torch.equal(rows[0]["ticket"], rows[1]["ticket"])
        (out, started), (other, also) = (way.fetch() for way in ways)
        assert started == also
        assert [out[name].tolist() for name in out] == [other[name].tolist() for name in other]
        gone += out["ticket"].tolist() if out else []
    running = [ticket for ticket in rows[0]["ticket"].tolist() if ticket != NO_TICKET]
    assert sorted(gone + running) == list(range(started)), "one was lost, or ran twice"


def recursive():
    config = RecursiveConfig(**BLOCKS, H_cycles=1, L_cycles=2, damping=0.5, noise=0.05)
    built = RecursiveReasoner(config, SHAPE).eval()
    torch.nn.init.normal_(built.halt_head.score.weight)
    torch.nn.init.constant_(built.halt_head.score.bias, -2.0)
    return built, Picard(), LearnedHead()


def fprm():
    blocks = {name: value for name, value in BLOCKS.items() if name != "token_inner"}
    reasoner = FPRMReasoner(FPRMConfig(**blocks, alpha_1=0.9, alpha_2=0.9), SHAPE).eval()
    return reasoner, PatienceDamped(patience=1), Residual(tolerance=0.05, patience=2)


def attractor():
    blocks = {name: value for name, value in BLOCKS.items() if name != "token_inner"}
    reasoner = AttractorReasoner(AttractorConfig(**blocks), SHAPE).eval()
    return reasoner, Picard(), LearnedHead(threshold=-5.0001)


@pytest.mark.parametrize("build", [recursive, fprm, attractor])
@pytest.mark.parametrize("every", [1, 3])
def test_trajectories_end_alike_bit_for_bit(build, every, monkeypatch):
    reasoner, solver, halting = build()
    boards = torch.randint(0, 6, (9, 16), dtype=torch.uint8)

    def ends():
        engine = Engine(reasoner, solver=solver, slots=4, every=every, steady=True)
        return engine.pools(boards, depths=(2, 30), breadth=3, halting=halting)

    direct = ends()
    monkeypatch.setattr(slots_module, "Direct", Static)
    for mine, other in zip(direct, ends(), strict=True):
        for name, value in vars(mine).items():
            assert torch.equal(value.nan_to_num(7.0), getattr(other, name).nan_to_num(7.0)), name
    assert direct[1].evaluations.unique().numel() > 1, "all ended at once: this shows nothing"


def test_a_tick_without_looking_never_waits_for_the_device():
    """On the meta device there are no numbers, so whoever reads one fails."""
    with torch.device("meta"):
        reasoner, solver, halting = recursive()
    slots = Slots(reasoner, solver, halting, seed=0, tokens=16, marks=(2, 5), count=4, ready=6, every=2)
    assert isinstance(slots._turnover, Static)
    board = torch.zeros(16, dtype=torch.uint8, device="meta")
    slots.give([Trajectory(ticket, board, 0, 5) for ticket in range(5)])
    slots.start()
    for _ in range(3):
        slots.tick()
    slots.limit({3: 2})
    slots.tick()
    with pytest.raises(Exception, match="meta"):
        slots.fetch()
