"""A recording is what the trajectories were, to the last bit, and changes nothing about them."""

import errno
import gc
import math
import os
import resource
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from equilibria.dynamics.halting import FixedDepth, LearnedHead
from equilibria.dynamics.noise import NoiseSource, fingerprint
from equilibria.dynamics.solvers import Anderson, Relaxed
from equilibria.errors import DataError, EquilibriaError
from equilibria.inference import storage
from equilibria.inference.budget import Budget
from equilibria.inference.engine import Engine
from equilibria.inference.limits import Limits
from equilibria.inference.recording import Record, Recorder, Recording
from equilibria.inference.restarts import Race, UntilSettled
from equilibria.inference.slots import Slots
from equilibria.inference.tape import RecordedSlots
from equilibria.inference.turnover import Static
from equilibria.reasoners import configure, family
from equilibria.reasoners.interface import ProblemShape

SHAPE = ProblemShape(vocabulary=6, tokens=16, board=(4, 4))
SMALL = {"width": 8, "heads": 2, "layers": 1, "channel_inner": 12, "token_inner": 10}
STATE = 2 * 16 * 8 * 4
LOGITS = 16 * 6 * 4
EVERYTHING = Record(logits=1)
LEARNED = LearnedHead()


def build(name, **options):
    return family(name)(configure({"family": name, **SMALL, **options}), SHAPE).eval()


@pytest.fixture
def reasoner():
    """Random weights, damped so that it settles, and a halting head that is undecided."""
    built = build("recursive", H_cycles=1, L_cycles=2, damping=0.5, noise=0.05)
    torch.nn.init.normal_(built.halt_head.score.weight)
    torch.nn.init.constant_(built.halt_head.score.bias, -2.0)
    return built


@pytest.fixture
def boards():
    return torch.randint(0, 6, (5, 16), dtype=torch.uint8)


def record(reasoner, boards, wish=EVERYTHING, *, depth=7, breadth=3, halting=LEARNED, **engine):
    recorder = Recorder(wish)
    Engine(reasoner, **engine).pools(
        boards, depths=(depth,), breadth=breadth, halting=halting, recorders=[recorder]
    )
    return recorder.recording()


@torch.no_grad()
def by_hand(reasoner, board, restart, depth, slots, seed=0):
    """One trajectory in the plain loop, in a batch as large as the slots, so that it is rounded alike."""
    rows = board.expand(slots, -1)
    source = NoiseSource.trajectories(seed, fingerprint(rows), torch.full((slots,), restart))
    condition = reasoner.encode(rows)
    states, residuals = [reasoner.initial_state(condition, source)], []
    for k in range(depth):
        step = reasoner.iterate(states[-1], condition, noise=source.at(k))
        states.append(step.state)
        residuals.append(step.residual[0])
    decoded = [reasoner.decode(state, condition) for state in states]
    scores = None if decoded[0].halt_logit is None else torch.stack([p.halt_logit[0] for p in decoded])
    return (
        torch.stack([state[0] for state in states]).float().numpy(),
        torch.stack([p.logits[0] for p in decoded]).float().numpy(),
        torch.stack(residuals).numpy(),
        None if scores is None else scores.numpy(),
    )


def assert_same(got, expected):
    """Bit for bit, and a NaN is a NaN."""
    for field in fields(Recording):
        mine, theirs = getattr(got, field.name), getattr(expected, field.name)
        np.testing.assert_array_equal(mine, theirs, err_msg=field.name)
        assert mine is None or mine.dtype == theirs.dtype


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("halting", [FixedDepth(), LearnedHead()])
def test_a_recording_is_the_plain_loop_to_the_last_bit(reasoner, boards, halting, every):
    depth, slots = 7, 4
    got = record(reasoner, boards, halting=halting, slots=slots, every=every, steady=True)
    assert got.problem.tolist() == [problem for problem in range(5) for _ in range(3)]
    assert got.restart.tolist() == [0, 1, 2] * 5
    assert got.frames.tolist() == got.logit_frames.tolist() == list(range(depth + 1))
    for row, length in enumerate(got.length.tolist()):
        board = boards[got.problem[row]]
        states, logits, residuals, scores = by_hand(reasoner, board, int(got.restart[row]), length, slots)
        sure = np.flatnonzero(scores[1:] > 0)
        if halting == LearnedHead() and len(sure):
            assert (length, got.halted[row]) == (sure[0] + 1, True)
        else:
            assert (length, got.halted[row]) == (depth, False)
        # What has ended stays.
        stays = np.minimum(np.arange(depth + 1), length)
        np.testing.assert_array_equal(got.states[row], states[stays])
        np.testing.assert_array_equal(got.logits[row], logits[stays])
        np.testing.assert_array_equal(got.answers[row], logits[stays].argmax(axis=-1))
        np.testing.assert_array_equal(got.residuals[row, :length], residuals)
        np.testing.assert_array_equal(got.halt_logits[row, :length], scores[1:])
        assert np.isnan(got.residuals[row, length:]).all()
        assert np.isnan(got.halt_logits[row, length:]).all()
    if halting == LearnedHead():
        assert len(set(got.length.tolist())) > 2, "rows leave at different times"
        assert not got.halted.all()
    assert got.answers.dtype == np.uint8


def test_what_shares_the_batch_does_not_show(reasoner, boards):
    among = record(reasoner, boards, slots=4, steady=True)
    order = torch.tensor([3, 1, 0])
    other = record(reasoner, boards[order], slots=4, steady=True)
    alone = record(reasoner, boards[1:2], breadth=6, slots=4, steady=True)
    for problem in (0, 1, 3):
        mine, moved = among.of(problem), other.of(order.tolist().index(problem))
        for name in ("length", "halted", "answers", "residuals", "halt_logits", "states", "logits"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(moved, name))
    np.testing.assert_array_equal(alone.states[:3], among.of(1).states)
    np.testing.assert_array_equal(alone.answers[:3], among.of(1).answers)


@pytest.mark.parametrize("slots", [1, 4, 15, 100])
@pytest.mark.parametrize("every", [1, 3])
def test_slots_do_not_show(reasoner, boards, slots, every):
    """Up to rounding: matrix products may round otherwise for another number of rows."""
    whole, other = record(reasoner, boards), record(reasoner, boards, slots=slots, every=every)
    for name in ("problem", "restart", "length", "halted", "answers"):
        np.testing.assert_array_equal(getattr(other, name), getattr(whole, name))
    for name in ("states", "logits", "residuals", "halt_logits"):
        np.testing.assert_allclose(getattr(other, name), getattr(whole, name), rtol=1e-4, atol=1e-4)
    # The initial states are drawn, not computed.
    np.testing.assert_array_equal(other.states[:, 0], whole.states[:, 0])


def test_slots_that_never_look_show_the_same(reasoner, boards, monkeypatch):
    by_looking = record(reasoner, boards, slots=4, every=3)
    monkeypatch.setattr("equilibria.inference.slots.Direct", Static)
    assert_same(record(reasoner, boards, slots=4, every=3), by_looking)


def test_marks_change_nothing_and_nobody_is_changed_by_being_recorded(reasoner, boards):
    engine = Engine(reasoner, slots=4)

    def pools(recorders=()):
        return engine.pools(boards, depths=(7, 2, 4), breadth=3, halting=LearnedHead(), recorders=recorders)

    plain, recorder = pools(), Recorder(EVERYTHING)
    watched = pools([recorder])
    for before, after in zip(plain, watched, strict=True):
        assert str(before) == str(after)
        assert torch.equal(before.answers, after.answers)
    got = recorder.recording()
    assert_same(got, record(reasoner, boards, slots=4))
    for depth, pool in zip((7, 2, 4), plain, strict=True):
        np.testing.assert_array_equal(got.answers[:, depth], pool.answers.flatten(0, 1).numpy())
        np.testing.assert_array_equal(np.minimum(got.length, depth), pool.evaluations.flatten().numpy())


def test_several_recorders_each_keep_what_they_ask_for(reasoner, boards):
    ends, dense = Recorder(Record(states=None)), Recorder(Record(problems=(4, 1, 4), restarts=2, logits=3))
    nobody = Recorder(Record(problems=()))
    engine = Engine(reasoner, slots=4, steady=True)
    list(engine.looks(boards, depths=(7,), breadth=3, halting=LearnedHead(), recorders=[ends, nobody, dense]))
    whole = record(reasoner, boards, slots=4, steady=True)
    assert ends.recording().frames.tolist() == [7]
    np.testing.assert_array_equal(ends.recording().states[:, 0], whole.states[:, -1])
    np.testing.assert_array_equal(ends.recording().answers, whole.answers)
    assert ends.recording().logits is None
    few = dense.recording()
    rows = [3, 4, 12, 13]
    assert list(zip(few.problem.tolist(), few.restart.tolist(), strict=True)) == [
        (1, 0),
        (1, 1),
        (4, 0),
        (4, 1),
    ]
    np.testing.assert_array_equal(few.states, whole.states[rows])
    assert few.logit_frames.tolist() == [0, 3, 6, 7]
    np.testing.assert_array_equal(few.logits, whole.logits[rows][:, [0, 3, 6, 7]])
    assert nobody.recording().answers.shape == (0, 8, 16)


def test_no_states_are_none(reasoner, boards):
    got = record(reasoner, boards, Record(states=0))
    assert got.states is None
    assert got.logits is None
    assert got.frames.tolist() == got.logit_frames.tolist() == []
    np.testing.assert_array_equal(got.answers, record(reasoner, boards).answers)


@pytest.mark.parametrize(
    ("memory", "frames", "logit_frames"),
    [
        (15 * (8 * STATE + 8 * LOGITS), range(8), range(8)),
        (15 * (8 * STATE + 8 * LOGITS) - 1, [0, 2, 4, 6, 7], range(8)),
        (15 * (5 * STATE + 8 * LOGITS) - 1, [0, 4, 7], range(8)),
        (15 * (3 * STATE + 5 * LOGITS), [0, 7], [0, 2, 4, 6, 7]),
        (15 * (STATE + 2 * LOGITS), [7], [0, 7]),
        (15 * (STATE + LOGITS), [7], [7]),
    ],
)
def test_what_does_not_fit_is_thinned(reasoner, boards, memory, frames, logit_frames):
    got = record(reasoner, boards, Record(logits=1, memory=memory), slots=4, steady=True)
    whole = record(reasoner, boards, slots=4, steady=True)
    assert got.states.nbytes + got.logits.nbytes <= memory
    assert got.frames.tolist() == list(frames)
    assert got.logit_frames.tolist() == list(logit_frames)
    np.testing.assert_array_equal(got.states, whole.states[:, list(frames)])
    np.testing.assert_array_equal(got.logits, whole.logits[:, list(logit_frames)])
    np.testing.assert_array_equal(got.residuals, whole.residuals)


def test_ends_that_do_not_fit_say_so(reasoner, boards):
    needed = 15 * (STATE + LOGITS)
    with pytest.raises(
        EquilibriaError, match=rf"states and logits .* take {needed:,} bytes.*raise its memory"
    ):
        record(reasoner, boards, Record(logits=1, memory=needed - 1))


def test_restarts_that_never_ran_are_left_out(reasoner, boards):
    recorder = Recorder(EVERYTHING)
    budget = Budget(depth=7, breadth=6, halting=LearnedHead(), restarts=UntilSettled())
    engine = Engine(reasoner, slots=4, steady=True)
    outcomes = {outcome.index: outcome for outcome in engine.solve(boards, budget, recorders=[recorder])}
    got, whole = recorder.recording(), record(reasoner, boards, breadth=6, slots=4, steady=True)
    assert np.bincount(got.problem).tolist() == [outcomes[index].restarts for index in range(5)]
    assert len(set(np.bincount(got.problem).tolist())) > 1
    rows = got.problem * 6 + got.restart
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(got.states, whole.states[rows])
    np.testing.assert_array_equal(got.residuals, whole.residuals[rows])


@pytest.mark.parametrize("every", [1, 3])
def test_a_stopped_call_records_how_far_it_came(reasoner, boards, every):
    recorder, budget = Recorder(EVERYTHING), Budget(depth=7, breadth=3)
    engine = Engine(reasoner, slots=4, every=every, steady=True)
    attempts = list(engine.attempts(boards, budget, stop=Limits(nfe=46), recorders=[recorder]))
    ends = {(attempt.index, number): end for attempt, _ in attempts for number, end in attempt.ends.items()}
    got = recorder.recording()
    whole = record(reasoner, boards, halting=FixedDepth(), slots=4, steady=True)
    assert set(zip(got.problem.tolist(), got.restart.tolist(), strict=True)) == set(ends)
    assert len(set(got.length.tolist())) > 1, "some were cut off in the middle"
    for row, (problem, restart, length) in enumerate(zip(got.problem, got.restart, got.length, strict=True)):
        assert length == ends[problem, restart].steps
        assert got.answers[row, -1].tolist() == ends[problem, restart].answers[-1].tolist()
        place, stays = problem * 3 + restart, np.minimum(np.arange(8), length)
        np.testing.assert_array_equal(got.states[row], whole.states[place, stays])
        np.testing.assert_array_equal(got.logits[row], whole.logits[place, stays])
        np.testing.assert_array_equal(got.residuals[row, :length], whole.residuals[place, :length])
        assert np.isnan(got.residuals[row, length:]).all()
    assert not got.halted.any()


def test_losers_of_a_race_end_where_they_were_cut_off(reasoner, boards):
    recorder = Recorder(EVERYTHING)
    budget = Budget(depth=20, breadth=6, restarts=Race(), halting=LearnedHead())
    attempts = Engine(reasoner, slots=4).attempts(boards, budget, recorders=[recorder])
    ends = {(attempt.index, n): end for attempt, _ in attempts for n, end in attempt.ends.items()}
    got = recorder.recording()
    assert set(zip(got.problem.tolist(), got.restart.tolist(), strict=True)) == set(ends)
    for row, whose in enumerate(zip(got.problem, got.restart, strict=True)):
        assert (got.length[row], got.halted[row]) == (ends[whose].steps, bool(ends[whose].facts[-1][4]))
        window = got.residuals[row, max(0, got.length[row] - 3) : got.length[row]]
        assert ends[whose].facts[-1][0] == pytest.approx(window.mean(), rel=1e-6)


@pytest.mark.parametrize("solver", [Relaxed(damping=0.3), Anderson(window=2)])
def test_states_are_where_f_is_applied_and_answers_what_the_solver_decodes(reasoner, boards, solver):
    """So a recorded residual is that of f at the recorded state, whatever the solver."""
    slots = 4
    got = record(reasoner, boards, halting=FixedDepth(), solver=solver, slots=slots, steady=True)
    with torch.no_grad():
        for row in (0, 4, 11):
            rows = boards[got.problem[row]].expand(slots, -1)
            source = NoiseSource.trajectories(
                0, fingerprint(rows), torch.full((slots,), int(got.restart[row]))
            )
            condition = reasoner.encode(rows)
            for k in range(7):
                state = torch.from_numpy(got.states[row, k]).expand(slots, -1, -1, -1)
                step = reasoner.iterate(state, condition, noise=source.at(k))
                assert got.residuals[row, k] == step.residual[0].item()
                decoded = step.state
                if isinstance(solver, Relaxed):
                    decoded = torch.from_numpy(got.states[row, k + 1]).expand(slots, -1, -1, -1)
                logits = reasoner.decode(decoded, condition).logits[0].numpy()
                np.testing.assert_array_equal(got.logits[row, k + 1], logits)
    assert (got.states[:, 2] != record(reasoner, boards, halting=FixedDepth()).states[:, 2]).any()


def test_states_of_half_precision_are_kept_in_full(reasoner, boards):
    reasoner.compute_in(torch.bfloat16)
    got = record(reasoner, boards, halting=FixedDepth(), slots=4, steady=True)
    assert got.states.dtype == got.logits.dtype == np.float32
    states, logits, residuals, _ = by_hand(reasoner, boards[2], 1, 7, 4)
    np.testing.assert_array_equal(got.states[7], states)
    np.testing.assert_array_equal(got.logits[7], logits)
    np.testing.assert_array_equal(got.residuals[7], residuals)


@pytest.mark.parametrize("name", ["feedforward", "attractor", "fprm"])
def test_other_families(boards, name):
    options = {"prefix": 1} if name != "feedforward" else {}
    reasoner = build(name, **options)
    depth = 1 if name == "feedforward" else 3
    got = record(reasoner, boards, depth=3, halting=FixedDepth(), slots=4, steady=True)
    assert got.frames.tolist() == list(range(depth + 1))
    states, logits, residuals, scores = by_hand(reasoner, boards[1], 2, depth, 4)
    np.testing.assert_array_equal(got.states[5], states)
    np.testing.assert_array_equal(got.logits[5], logits)
    np.testing.assert_array_equal(got.residuals[5], residuals)
    assert np.isnan(got.halt_logits).all() == (scores is None)


def test_problems_of_another_size(boards):
    reasoner = build("fprm", prefix=1, convolution="sequence")
    got = record(reasoner, boards[:, :9], depth=2, halting=FixedDepth())
    assert got.answers.shape == (15, 3, 9)
    assert got.states.shape[3] == reasoner.state_shape[1] - 16 + 9


def test_no_problems_are_an_empty_recording(reasoner, boards):
    recorder = Recorder(EVERYTHING)
    assert not list(Engine(reasoner).solve(boards[:0], Budget(depth=7), recorders=[recorder]))
    got = recorder.recording()
    assert got.states.shape == (0, 8, 2, 16, 8)
    assert got.problem.tolist() == []


@pytest.mark.parametrize("wish", [{"restarts": 0}, {"states": -1}, {"logits": -2}, {"memory": -1}])
def test_a_record_that_makes_no_sense_says_so(wish):
    (name,) = wish
    with pytest.raises(EquilibriaError, match=f"a record's {name} must be at least"):
        Record(**wish)


@pytest.mark.parametrize("problems", [(-1,), (0, 5)])
def test_a_problem_that_is_not_there_says_so(reasoner, boards, problems):
    with pytest.raises(EquilibriaError, match=r"-1 is none|problem 5 .* 5, counted from 0"):
        record(reasoner, boards, Record(problems=problems))


def test_a_recorder_is_for_one_call_that_has_ended(reasoner, boards):
    engine, recorder = Engine(reasoner, slots=4), Recorder(Record())
    with pytest.raises(EquilibriaError, match="recorded nothing"):
        recorder.recording()
    running = engine.solve(boards, Budget(depth=3), recorders=[recorder])
    next(running)
    with pytest.raises(EquilibriaError, match="has not ended"):
        recorder.recording()
    with pytest.raises(EquilibriaError, match="records one call"):
        list(engine.solve(boards, Budget(depth=3), recorders=[recorder]))
    assert len(list(running)) == 4
    got = recorder.recording()
    assert got is recorder.recording()
    with pytest.raises(EquilibriaError, match="records one call"):
        engine.pools(boards, depths=(3,), breadth=1, recorders=[recorder])
    assert recorder.recording() is got
    twice = Recorder(Record())
    with pytest.raises(EquilibriaError, match="records one call"):
        engine.pools(boards, depths=(3,), breadth=1, recorders=[twice, twice])


def test_a_call_that_is_left_leaves_nothing(reasoner, boards, tmp_path):
    recorder = Recorder(Record(folder=tmp_path / "new"))
    running = Engine(reasoner, slots=4).solve(boards, Budget(depth=3), recorders=[recorder])
    next(running)
    assert list((tmp_path / "new").iterdir())
    running.close()
    with pytest.raises(EquilibriaError, match="broken off"):
        recorder.recording()
    assert not list(tmp_path.iterdir())


def test_a_recording_in_a_folder_is_mapped_and_can_be_loaded(reasoner, boards, tmp_path):
    for folder in (tmp_path / "some" / "where", tmp_path / "empty"):
        folder.name == "empty" and folder.mkdir()
        got = record(reasoner, boards, Record(logits=1, folder=folder))
        assert_same(got, record(reasoner, boards))
        assert_same(Recording.load(folder), got)
        for name in ("states", "logits", "answers", "residuals", "halt_logits"):
            array = getattr(got, name)
            assert isinstance(array, np.memmap)
            assert Path(array.filename) == folder / f"{name}.npy"
            assert not array.flags.writeable
        with pytest.raises(EquilibriaError, match="is not empty"):
            record(reasoner, boards, Record(folder=folder))


@pytest.mark.parametrize("problems", [None, (), (1, 3)])
def test_files_hold_those_that_ran_and_no_more(reasoner, boards, tmp_path, problems):
    recorders = [Recorder(Record(problems=problems, logits=2, folder=folder)) for folder in (None, tmp_path)]
    budget = Budget(depth=7, breadth=6, halting=LearnedHead(), restarts=UntilSettled())
    list(Engine(reasoner, slots=4).solve(boards, budget, recorders=recorders))
    here, mapped = (recorder.recording() for recorder in recorders)
    assert_same(mapped, here)
    assert_same(Recording.load(tmp_path), here)
    assert (tmp_path / "states.npy").stat().st_size - here.states.nbytes <= 128
    if problems is None:
        assert len(here.problem) < 30


def test_a_recording_is_saved_and_loaded(reasoner, boards, tmp_path):
    for name, wish in (("whole", EVERYTHING), ("little", Record(states=0)), ("none", Record(problems=()))):
        got = record(reasoner, boards, wish)
        got.save(tmp_path / name)
        assert_same(Recording.load(tmp_path / name), got)
        with pytest.raises(EquilibriaError, match="is not empty"):
            got.save(tmp_path / name)


def test_what_is_no_whole_recording_is_not_loaded(reasoner, boards, tmp_path):
    with pytest.raises(DataError, match=r"no whole recording in .*problem\.npy is missing"):
        Recording.load(tmp_path)
    for name, harm in (
        ("states", lambda path: path.unlink()),
        ("states", lambda path: path.write_bytes(path.read_bytes()[:-4])),
        ("length", lambda path: path.write_bytes(b"")),
        ("frames", lambda path: path.write_bytes(b"something else")),
    ):
        folder = tmp_path / f"{name}-{harm.__code__.co_firstlineno}"
        record(reasoner, boards).save(folder)
        harm(folder / f"{name}.npy")
        with pytest.raises(DataError, match=rf"{name}\.npy (is missing|cannot be read)"):
            Recording.load(folder)


def test_what_is_large_goes_to_a_temporary_folder_that_goes_with_it(reasoner, boards, tmp_path, monkeypatch):
    whole = record(reasoner, boards)
    monkeypatch.setattr(storage, "IN_MEMORY", 15 * 8 * STATE)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    got = record(reasoner, boards)
    assert_same(got, whole)
    (folder,) = tmp_path.iterdir()
    assert Path(got.states.filename) == folder / "states.npy"
    torch.from_numpy(got.states)  # like any other array, without a warning
    states, one = got.states, got.of(2)
    del got
    gc.collect()
    assert not list(tmp_path.iterdir())
    np.testing.assert_array_equal(states, whole.states)
    assert_same(one, whole.of(2))
    assert not list(tmp_path.iterdir())
    left = Engine(reasoner).solve(boards, Budget(depth=7, breadth=3), recorders=[Recorder(EVERYTHING)])
    next(left)
    assert len(list(tmp_path.iterdir())) == 1
    left.close()
    assert not list(tmp_path.iterdir())


@pytest.fixture
def small_files():
    """No file may grow beyond a few kilobytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_cannot_grow_is_an_error_before_anything_runs(reasoner, boards, tmp_path, small_files):
    folder = tmp_path / "new"
    with pytest.raises(EquilibriaError, match=r"bytes cannot be kept in .*new: .*; choose another folder"):
        record(reasoner, boards, Record(folder=folder))
    assert not folder.exists()


@pytest.mark.parametrize("made", [True, False])
def test_a_full_disk_is_an_error_before_anything_runs(reasoner, boards, tmp_path, monkeypatch, made):
    folder, asked = tmp_path / "place", []
    if made:
        folder.mkdir()

    def full(descriptor, start, size):
        asked.append(size)
        if len(asked) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(
        EquilibriaError, match="No space left on device; choose another folder, or record less"
    ):
        record(reasoner, boards, Record(folder=folder))
    assert folder.exists() == made
    assert not made or not list(folder.iterdir())


def test_a_disk_that_fills_up_at_the_end_leaves_nothing(reasoner, boards, tmp_path, monkeypatch):
    def full(path, value):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "save", full)
    recorder = Recorder(Record(folder=tmp_path / "new"))
    with pytest.raises(EquilibriaError, match=r"cannot be written to .*new: No space left"):
        list(Engine(reasoner).solve(boards, Budget(depth=2), recorders=[recorder]))
    with pytest.raises(EquilibriaError, match="broken off"):
        recorder.recording()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_had_says_so(reasoner, boards, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(EquilibriaError, match="a recording cannot be kept in"):
            record(reasoner, boards, Record(folder=folder))


def test_without_recorders_nothing_is_looked_at(reasoner, boards, monkeypatch):
    def never(self, *given):
        raise AssertionError("recorded")

    monkeypatch.setattr(RecordedSlots, "_iterate", never)
    Engine(reasoner).pools(boards, depths=(3,), breadth=2)


def test_only_ticks_of_recorded_trajectories_look(reasoner, boards, monkeypatch):
    """The last problem's restarts run last, in as many ticks as they have iterations."""
    looks, ticks = [], []
    recorded, tick = RecordedSlots._recorded, Slots.tick

    def counted(self, rows):
        found = recorded(self, rows)
        looks.extend(found)
        return found

    monkeypatch.setattr(RecordedSlots, "_recorded", counted)
    monkeypatch.setattr(Slots, "tick", lambda self: (ticks.append(1), tick(self)))
    got = record(reasoner, boards, Record(problems=(0,)), depth=7, breadth=3, halting=FixedDepth(), slots=3)
    assert (len(looks), len(ticks)) == (7, 35)
    assert got.length.tolist() == [7] * 3
    assert math.isfinite(got.residuals.sum())
