"""Locks that end with their process, and what launchers say."""

import pytest
from filelock import lock_descriptor

from equilibria.errors import EquilibriaError
from equilibria.jobs import Job, ranks
from equilibria.jobs.locks import Lock

LAUNCHERS = ["RANK", "WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"]
LAUNCHERS += ["PMI_RANK", "PMI_SIZE", "SLURM_PROCID", "SLURM_NTASKS"]


def test_a_lock_excludes_and_a_deleted_file_is_not_taken_for_it(tmp_path):
    path = tmp_path / "some.lock"
    lock = Lock.hold(path)
    assert Lock.take(path) is None and not lock.marked
    lock.mark()
    path.unlink()
    with Lock.take(path) as new:
        assert not new.marked
    lock.release()
    lock.release()
    with pytest.raises(FileNotFoundError):
        Lock.take(tmp_path / "nowhere" / "some.lock")
    with pytest.raises(EquilibriaError, match="cannot be opened"):
        Lock.take(tmp_path)


def test_a_file_that_its_holder_deleted_after_it_was_opened_is_opened_anew(tmp_path, monkeypatch):
    path, tried = tmp_path / "some.lock", []

    def late(file, blocking):
        if not tried:
            path.unlink()
        tried.append(file)
        return lock_descriptor(file, blocking=blocking)

    monkeypatch.setattr("equilibria.jobs.locks.lock_descriptor", late)
    with Lock.hold(path):
        assert len(tried) == 2 and path.exists()
        assert Lock.take(path) is None


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("equilibria.jobs.locks.lock_descriptor", refuse)
    with pytest.raises(EquilibriaError, match=r"cannot lock files .*: choose a place on another one"):
        Job(tmp_path / "job", 1, 1, {})


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, (0, 1)),
        ({"RANK": "1", "WORLD_SIZE": "3"}, (1, 3)),
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "4"}, (2, 4)),
        ({"PMI_RANK": "1", "PMI_SIZE": "2", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, (1, 2)),
        ({"RANK": "1"}, (0, 1)),
    ],
)
def test_a_launcher_says_which_process_this_is(monkeypatch, said, expected):
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert ranks() == expected


@pytest.mark.parametrize(("rank", "world"), [("3", "3"), ("-1", "2"), ("one", "2"), ("0", "")])
def test_no_rank_in_a_world_is_said(monkeypatch, rank, world):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(EquilibriaError, match=f"RANK={rank}, WORLD_SIZE={world} .* unset both"):
        ranks()
