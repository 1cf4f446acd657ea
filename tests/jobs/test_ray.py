"""Answers from a local Ray cluster, one of whose workers is killed in mid-run, are those of one process."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import equilibria as eq
from equilibria.errors import DataError
from equilibria.jobs import cluster

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install 'equilibria[ray]'")
pytest.importorskip("ray.data", reason="Ray is there, but not its data sets")
pyarrow = pytest.importorskip("pyarrow")

# What Ray does is not for us to mend: of its own deprecations it warns itself.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\..*")]
NAME, COUNT = "sudoku-6x6", 60
BUDGET = {"depth": 16, "breadth": 2}


@pytest.fixture(scope="module")
def here():
    """A cluster of this machine."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def rows():
    """Real puzzles, one row that is none, and columns that are nobody's business."""
    problems = eq.held_out_problems(NAME)[:COUNT]
    task = eq.load(NAME).task
    texts = [task.format(row) for row in problems.inputs]
    texts.insert(7, "no puzzle at all")
    return [
        {"question": text, "place": place, "part": None if place % 2 else place, "answer": "known"}
        for place, text in enumerate(texts)
    ]


def slow(folder):
    """A worker slow enough to be met in the midst of a batch, that says which process it is."""

    class Slow(cluster.Worker):
        def __call__(self, batch):
            (folder / str(os.getpid())).write_text("")
            time.sleep(0.5)
            return super().__call__(batch)

    return Slow


def kill_one(folder, killed, done):
    """Kill the first worker that has a batch, however long it takes until one has."""
    while not killed and not done.is_set():
        for file in folder.iterdir():
            killed.append(int(file.name))
            os.kill(killed[0], signal.SIGKILL)
            break
        time.sleep(0.02)


def test_a_killed_workers_batch_is_done_again(here, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "Worker", slow(tmp_path))
    dataset = ray.data.from_items(rows, override_num_blocks=6)
    killed, done = [], threading.Event()
    hunter = threading.Thread(target=kill_one, args=(tmp_path, killed, done))
    hunter.start()
    try:
        found = cluster.answers(dataset, NAME, workers=2, batch=10, **BUDGET).take_all()
    finally:
        done.set()
        hunter.join()
    workers = {int(file.name) for file in tmp_path.iterdir()}
    assert killed and len(workers) >= 3, "the other one, and one in the place of that which was killed"

    found.sort(key=lambda row: row["place"])
    assert [row["place"] for row in found] == list(range(COUNT + 1)), "a row is missing or came twice"
    assert [row["part"] for row in found] == [row["part"] for row in rows]
    bad = found.pop(7)
    assert bad["question"] == "no puzzle at all" and bad["rejected"].startswith("question, line 1")
    assert {bad[name] for name in cluster.COLUMNS} == {None}
    expected = eq.load(NAME).solve([row["question"] for row in found], **BUDGET)
    for row, answer in zip(found, expected, strict=True):
        assert row["rejected"] is None
        for name in ("answer", "valid", "settled", "nfe", "restarts", "agreement"):
            assert row[name] == getattr(answer, name)
        for name in ("confidence", "residual", "relative_residual", "halting_score"):
            value = getattr(answer, name)
            assert row[name] == (None if value != value else pytest.approx(value, rel=1e-4))


def test_a_batch_without_a_problem_has_the_types_of_others(here, rows):
    dataset = ray.data.from_items([rows[7]])
    (row,) = cluster.answers(dataset, NAME, workers=1, threads=1).take_all()
    assert row["rejected"] and row["nfe"] is None and row["answer"] is None


def test_a_column_that_is_missing_is_said(here):
    with pytest.raises(DataError, match="no column question, only puzzle"):
        cluster.answers(ray.data.from_items([{"puzzle": "1"}]), NAME, workers=1)
    worker = cluster.Worker(NAME, "cpu", 0, 1, (), {})
    with pytest.raises(DataError, match="no column question, only puzzle"):
        worker(pyarrow.table({"puzzle": ["1"]}))


def test_a_mistake_is_told_before_anything_runs(here, rows):
    with pytest.raises(eq.EquilibriaError, match="depth must be a whole number"):
        cluster.answers(ray.data.from_items(rows), NAME, workers=1, depth=0)


def test_without_ray_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(eq.EquilibriaError, match=r"pip install 'equilibria\[ray\]'"):
        cluster.answers(None, NAME, workers=1)


def test_jobs_are_imported_without_ray():
    code = "import sys, equilibria.jobs, equilibria.jobs.cluster; assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
