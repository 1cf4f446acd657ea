"""What recording costs: the same call with a handful of problems recorded and with none.

    python benchmarks/recording.py                       # sudoku-6x6, 384 problems, (16, 8)
    python benchmarks/recording.py --before ../worktree  # and against an older checkout of the library

Calls take turns, so that whatever else the machine does meets all of them, and every call starts from a
collected heap. Time is told twice: the seconds that the process itself computed, which other programs
disturb less, and those that passed. On a busy machine both waver by more than what recording costs: so the
seconds that recorded ticks take outside of the iteration proper are also summed, and told as a share of the
call. The older checkout takes its turns in a process of its own, one call after another with ours.
"""

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

import equilibria as eq

WARM = 64  # problems of the call that nobody measures


@dataclass
class Times:
    """Seconds of one way, a call each: of the process, and of the clock."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def take(self, call: Callable[[], object]) -> None:
        gc.collect()
        cpu, wall = time.process_time(), time.perf_counter()
        call()
        self.cpu.append(time.process_time() - cpu)
        self.wall.append(time.perf_counter() - wall)

    def summary(self) -> dict[str, float]:
        return {
            f"{of}_{name}": how(times)
            for of, times in (("cpu", self.cpu), ("wall", self.wall))
            for name, how in (("median", statistics.median), ("least", min))
        }


def slower_percent(mine: Times, theirs: Times) -> dict[str, float]:
    """How much longer one way takes: the median of the ratios of the same turn."""
    pairs = (("cpu", mine.cpu, theirs.cpu), ("wall", mine.wall, theirs.wall))
    return {
        of: 100 * (statistics.median(a / b for a, b in zip(ours, others, strict=True)) - 1)
        for of, ours, others in pairs
    }


@dataclass(frozen=True)
class Work:
    """The call: a shipped reasoner on its held-out problems, and what is recorded of it."""

    reasoner: str
    problems: int
    depth: int
    breadth: int
    recorded: int

    def prepare(self) -> Callable[[Any], object]:
        """A call with given recorders; run warm."""
        pipeline = eq.load(self.reasoner)
        tokens = eq.evaluation_problems(pipeline, None).inputs[: self.problems]
        assert len(tokens) == self.problems, f"only {len(tokens)} problems are held out"

        def call(recorders: Any, rows: torch.Tensor = tokens) -> object:
            # An older checkout knows no recorders, and gets none.
            asked = {"recorders": recorders} if recorders else {}
            return pipeline.engine.pools(rows, depths=(self.depth,), breadth=self.breadth, **asked)

        call((), tokens[:WARM])
        return call

    def recorder(self) -> Any:
        from equilibria.inference.recording import Record, Recorder

        # Spread over the call, so that some recorded one runs in as many ticks as can be.
        places = tuple(self.problems * place // self.recorded for place in range(self.recorded))
        return Recorder(Record(problems=places))


class Share:
    """Process time that recorded ticks take beside the iteration that they would be without."""

    def __init__(self) -> None:
        from equilibria.inference.slots import Slots
        from equilibria.inference.tape import RecordedSlots

        self.seconds = 0.0
        plain, recorded = Slots._iterate, RecordedSlots._iterate

        def inner(slots: Any, rows: Any) -> Any:
            self.seconds += time.process_time()
            found = plain(slots, rows)
            self.seconds -= time.process_time()
            return found

        def outer(slots: Any, rows: Any) -> Any:
            Slots._iterate = inner
            self.seconds -= time.process_time()
            found = recorded(slots, rows)
            self.seconds += time.process_time()
            Slots._iterate = plain
            return found

        RecordedSlots._iterate = outer


SERVE = "serve"


def serve(work: Work) -> None:
    """Another checkout's side: a call, unrecorded, for every line; its two times in answer."""
    call = work.prepare()
    print(json.dumps(eq.__file__), flush=True)
    for _ in sys.stdin:
        times = Times()
        times.take(lambda: call(()))
        print(json.dumps([times.cpu[0], times.wall[0]]), flush=True)


class Other:
    """The same call in a process of its own, on the library of some checkout."""

    def __init__(self, checkout: Path, work: Work) -> None:
        options = [f"--{name}={value}" for name, value in vars(work).items() if name != "reasoner"]
        self.process = subprocess.Popen(
            [sys.executable, __file__, work.reasoner, *options, f"--{SERVE}"],
            env=os.environ | {"PYTHONPATH": str(checkout / "src")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        loaded = Path(self._answer())
        assert loaded.is_relative_to(checkout.resolve()), f"{loaded} is not of {checkout}"
        self.times = Times()

    def take(self) -> None:
        assert self.process.stdin is not None
        print(file=self.process.stdin, flush=True)
        cpu, wall = self._answer()
        self.times.cpu.append(cpu)
        self.times.wall.append(wall)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


def main(
    reasoner: Annotated[str, typer.Argument(help="a shipped reasoner")] = "sudoku-6x6",
    problems: Annotated[int, typer.Option(min=1, help="in the call")] = 384,
    depth: Annotated[int, typer.Option(min=1, help="D")] = 16,
    breadth: Annotated[int, typer.Option(min=1, help="B")] = 8,
    recorded: Annotated[int, typer.Option(min=1, help="problems recorded, all restarts and states")] = 8,
    repeats: Annotated[int, typer.Option(min=1, help="turns")] = 7,
    before: Annotated[Path | None, typer.Option(help="a checkout from before recorders")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the numbers here")] = None,
    answering: Annotated[bool, typer.Option(f"--{SERVE}", hidden=True)] = False,
) -> None:
    """Time of one call, recorded and not."""
    torch.set_num_threads(1)
    work = Work(reasoner, problems, depth, breadth, recorded)
    if answering:
        serve(work)
        return
    call = work.prepare()
    nobody, some = Times(), Times()
    other = None if before is None else Other(before, work)
    kept, share = 0, Share()
    for turn in range(repeats):
        recorder = work.recorder()
        ways = [
            lambda: nobody.take(lambda: call(())),
            lambda recorder=recorder: some.take(lambda: call([recorder])),
            *([] if other is None else [other.take]),
        ]
        for way in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
            way()
        recording = recorder.recording()
        assert recording.states is not None
        kept = recording.states.nbytes
    rows = {
        "nobody recorded": nobody.summary(),
        f"{recorded} of {problems} problems recorded": some.summary(),
    }
    slower = slower_percent(some, nobody)
    found: dict[str, Any] = {
        "reasoner": reasoner,
        "problems": problems,
        "depth": depth,
        "breadth": breadth,
        "recorded": recorded,
        "recorded_bytes": kept,
        "repeats": repeats,
        "ways": rows,
        "slower_percent": slower,
        "recording_percent_of_call": 100 * share.seconds / sum(some.cpu),
    }
    if other is not None:
        rows["none, library as before"] = other.times.summary()
        found["unrecorded_slower_percent"] = slower_percent(nobody, other.times)
        other.close()
    table = Table(
        title=f"{reasoner}, {problems} problems × {breadth} restarts × {depth} iterations, {repeats} turns",
        title_justify="left",
    )
    for name in ("seconds a call", "process, median", "least", "clock, median", "least"):
        table.add_column(name, justify="left" if name == "seconds a call" else "right")
    for name, row in rows.items():
        table.add_row(name, *(f"{value:.2f}" for value in row.values()))
    console = Console(width=100)
    console.print(table)
    console.print(
        f"recording {kept / 2**20:.1f} MiB of states: {slower['cpu']:+.1f}% of process time, "
        f"{slower['wall']:+.1f}% by the clock (median of the turns' ratios)\n"
        f"recording itself took {found['recording_percent_of_call']:.2f}% of a call's process time",
        highlight=False,
    )
    if "unrecorded_slower_percent" in found:
        both = found["unrecorded_slower_percent"]
        console.print(
            f"unrecorded, against the library as before: {both['cpu']:+.1f}% and {both['wall']:+.1f}%",
            highlight=False,
        )
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
