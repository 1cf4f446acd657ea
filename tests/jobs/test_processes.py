"""Processes share a job, are killed in the midst of it, and still record every item once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from equilibria.jobs import Job

pytestmark = pytest.mark.slow

# One process of a job. It notes what it computes, before that is recorded, in a file that all append to.
SCRIPT = """
import json, os, sys, time
from pathlib import Path
from equilibria.files import write_text
from equilibria.jobs import Job, ranks, work

ITEMS, SHARD = 150, 15
folder = Path(sys.argv[1])
pause = float(sys.argv[2])

def note(text):
    file = os.open(folder / "notes", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{os.getpid()} {text}\\n".encode())
    os.close(file)

def solve(items):
    note("begins")
    for item in items:
        time.sleep(pause)
        note(item)
        yield item, {"square": item * item}

def write(records):
    note("writes")
    write_text(folder / "out.jsonl", "".join(json.dumps(record) + "\\n" for record in records))

def main():
    rank, world = ranks()
    note("starts")  # and waits for the others that a launcher starts: all shall have a part in it
    while (folder / "notes").read_text().count("starts") < world:
        time.sleep(0.01)
    job = Job(folder / "parts", ITEMS, SHARD, {"work": "squares"})
    work(job, solve, rank=rank, world=world, patience=0.02)
    if job.finish(write):
        job.remove(trace=True)

if __name__ == "__main__":
    main()
"""

# Starts processes by forking, since what they import takes longer than what they do, and ends them at random.
KILLER = """
import os, random, signal, sys, time
import main
from equilibria.jobs.shard import whole_lines

def recorded():
    found = set()
    for path in (*parts.glob("shard-*.jsonl"), *parts.glob("shard-*.journal")):
        found |= set(whole_lines(path.read_bytes(), range(main.ITEMS)))
    return found

def computed():
    notes = main.folder / "notes"
    words = [line.split()[1] for line in notes.read_text().splitlines()] if notes.exists() else []
    return [int(word) for word in words if word.isdigit()]

def start():
    # A library's hook that runs at a fork would swallow an interrupt: it waits until after that.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    child = os.fork()
    try:
        if child == 0:
            sys.stderr = open(os.devnull, "w")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        if child == 0:
            main.main()
    finally:
        if child == 0:
            os._exit(0)
    return child

# What is started in the background of a shell is told to ignore interrupts, and would here.
signal.signal(signal.SIGINT, signal.default_int_handler)
main.ITEMS = 300
parts = main.folder / "parts"
draw = random.Random(int(sys.argv[3]))
kept, seen, deaths = set(), 0, 0
for _ in range(20):
    child = start()
    until = len(computed()) + draw.randrange(10)
    while len(computed()) < until:
        time.sleep(0.0005)
    time.sleep(draw.uniform(0, 2 * main.pause))
    os.kill(child, draw.choice([signal.SIGKILL, signal.SIGINT]))
    deaths += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    now = computed()
    assert not kept & set(now[seen:]), f"computed again: {kept & set(now[seen:])}"
    assert kept <= recorded(), f"lost: {kept - recorded()}"
    kept, seen = recorded(), len(now)
assert 3 <= deaths <= 17 and 0 < len(kept) < main.ITEMS, (deaths, len(kept))
os.waitpid(start(), 0)
last = computed()[seen:]
assert sorted(last) == sorted(set(range(main.ITEMS)) - kept)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "main.py").write_text(SCRIPT)
    return tmp_path


def command(folder, *launcher, pause=0.004):
    return [*(launcher or (sys.executable,)), str(folder / "main.py"), str(folder), str(pause)]


def start(argv):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended_well(process):
    try:
        told, _ = process.communicate(timeout=120)
    finally:
        process.kill()  # nobody else would
    assert process.returncode == 0, told[-3000:]


def notes(folder):
    """What processes did so far: (process, item or word) each, in order."""
    file = folder / "notes"
    # A line is appended in one call, so all of them are whole.
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [(int(process), int(word) if word.isdigit() else word) for process, word in lines]


def kill_one_in_mid_shard(folder):
    """SIGKILL the first process that is some items into a shard, and return it."""
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        last = {}
        for process, word in notes(folder):
            last[process] = last.get(process, 0) + 1 if isinstance(word, int) else 0
        for process, count in last.items():
            if 3 <= count < 8:
                os.kill(process, signal.SIGKILL)
                return process
        time.sleep(0.002)
    raise AssertionError("no process was met in mid-shard")


def check(folder, killed=()):
    """The output is that of one process, written once, and only what a kill cut short was done twice."""
    rows = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert rows == [{"square": item * item} for item in range(150)]
    done = notes(folder)
    assert [word for _, word in done].count("writes") == 1
    counts = Counter(word for _, word in done if isinstance(word, int))
    assert set(counts) == set(range(150))
    twice = {item for item, count in counts.items() if count > 1}
    # A process that is ended between computing an item and recording it leaves this one to the others.
    assert len(twice) <= len(killed), f"computed again: {twice}"
    for item in twice:
        assert {process for process, word in done if word == item} & set(killed)
    assert sorted(path.name for path in (folder / "parts").iterdir()) == ["job.json", "job.lock"]


def test_one_process_alone(folder):
    ended_well(start(command(folder, pause=0)))
    check(folder)
    ended_well(start(command(folder)))  # again, as a launcher may: there is nothing left to do
    check(folder)


def test_what_a_killed_process_leaves_the_others_finish(folder):
    processes = [start(command(folder, pause=0.02)) for _ in range(3)]
    killed = kill_one_in_mid_shard(folder)
    for process in processes:
        if process.pid != killed:
            ended_well(process)
    dead = next(process for process in processes if process.pid == killed)
    dead.communicate(timeout=60)
    assert dead.returncode == -signal.SIGKILL
    check(folder, [killed])
    by = {word: process for process, word in notes(folder)}
    last = [word for process, word in notes(folder) if process == killed][-1]
    rest = range(last + 1, (last // 15 + 1) * 15)  # of its shard
    assert rest and killed not in {by[item] for item in rest}


def test_torchrun_restarts_after_a_kill_and_nothing_is_repeated(folder):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=3"]
    process = start(command(folder, *launcher, "--max-restarts=2", pause=0.02))
    kill_one_in_mid_shard(folder)
    ended_well(process)
    # The launcher ends the others as well, before it starts them all anew.
    everyone = list(dict.fromkeys(process for process, _ in notes(folder)))
    check(folder, everyone[:3])


def test_accelerate_divides_the_work(folder):
    accelerate = str(Path(sys.executable).with_name("accelerate"))
    # Told --cpu it starts one process, whatever number is asked for. This needs no GPU.
    options = ["--multi_gpu", "--num_processes=2", "--num_machines=1"]
    options += ["--mixed_precision=no", "--dynamo_backend=no"]
    ended_well(start(command(folder, accelerate, "launch", *options, pause=0.005)))
    check(folder)
    assert len({process for process, _ in notes(folder)}) == 2


@pytest.mark.parametrize("seed", range(2))
def test_nothing_recorded_is_lost_or_repeated_over_twenty_kills(folder, seed):
    (folder / "killer.py").write_text(KILLER)
    argv = [sys.executable, str(folder / "killer.py"), str(folder), "0.002", str(seed)]
    ended_well(start(argv))
    rows = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert rows == [{"square": item * item} for item in range(300)]
    assert [word for _, word in notes(folder)].count("writes") == 1
    assert Job(folder / "parts", 300, 15, {"work": "squares"}).finished
