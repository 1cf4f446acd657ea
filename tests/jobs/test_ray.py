"""Answers from a local Ray cluster, one of whose workers is killed in mid-run, are those of one process."""

import os
import signal
import threading
import time

import pytest

import equilibria as eq
from equilibria.jobs import cluster

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install 'equilibria[ray]'")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own, at import and at its end
NAME, COUNT = "sudoku-6x6", 64
BUDGET = {"depth": 16, "breadth": 4}


class Slow(cluster.Worker):
    """A worker slow enough to be met alive, that says who it is."""

    def __call__(self, batch):
        found = super().__call__(batch)
        time.sleep(0.6)
        return found | {"worker": [os.getpid()] * len(batch["question"])}


@pytest.fixture(scope="module")
def here():
    """A cluster of this machine."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def rows():
    """Real puzzles, one row that is none, and a column that is nobody's business."""
    problems = eq.held_out_problems(NAME)[:COUNT]
    task = eq.load(NAME).task
    texts = [task.format(row) for row in problems.inputs]
    texts.insert(7, "no puzzle at all")
    return [{"question": text, "name": f"row {place}"} for place, text in enumerate(texts)]


def kill_one(killed):
    """Kill the first worker that has a process, once."""
    psutil = pytest.importorskip("psutil")
    for _ in range(400):
        found = [
            process
            for process in psutil.process_iter(["cmdline"])
            if any("MapWorker" in part for part in process.info["cmdline"] or [])
        ]
        if found:
            time.sleep(1.5)  # into its work
            if found[0].is_running():
                found[0].send_signal(signal.SIGKILL)
                killed.append(found[0].pid)
                return
        time.sleep(0.05)


def test_a_killed_workers_batch_is_done_again(here, rows, monkeypatch):
    monkeypatch.setattr(cluster, "Worker", Slow)
    dataset = ray.data.from_items(rows, override_num_blocks=8)
    killed = []
    hunter = threading.Thread(target=kill_one, args=(killed,))
    hunter.start()
    found = cluster.answers(dataset, NAME, workers=2, batch=8, **BUDGET).take_all()
    hunter.join()
    assert killed, "no worker was met alive"
    assert len({row["worker"] for row in found}) >= 2
    by_name = {row["name"]: row for row in found}
    assert len(found) == len(by_name) == COUNT + 1, "a row is missing or came twice"
    expected = eq.load(NAME).solve([row["question"] for row in rows if "no" not in row["question"]], **BUDGET)
    good = [row for row in rows if "no" not in row["question"]]
    for row, answer in zip(good, expected, strict=True):
        mine = by_name[row["name"]]
        assert (mine["answer"], mine["valid"], mine["nfe"]) == (answer.answer, answer.valid, answer.nfe)
        assert mine["residual"] == pytest.approx(answer.residual, rel=1e-4)
        assert mine["rejected"] is None
    bad = by_name["row 7"]
    assert "column" in bad["rejected"] or "cells" in bad["rejected"] or bad["rejected"]
    assert bad["answer"] is None


def test_a_mistake_is_told_before_anything_runs(here, rows):
    with pytest.raises(eq.EquilibriaError, match="depth must be a whole number"):
        cluster.answers(ray.data.from_items(rows), NAME, workers=1, depth=0)


def test_without_ray_the_remedy_is_named(rows, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray.data", None)
    with pytest.raises(eq.EquilibriaError, match="pip install 'equilibria\\[ray\\]'"):
        cluster.answers(None, NAME, workers=1)
