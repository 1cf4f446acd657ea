"""Bad files, each given to the command line as a user would: one clear error, soon, in little memory.

    python benchmarks/malformed.py            # some 10 minutes, 2 GB of disk for a while

Every file of `malformed_files.py` is written, read by a fresh process, and deleted. Asked of each: status 2
(a user's mistake), no traceback, one error that names the place and the remedy, at most 2 seconds of its own
and 500 MB. Its own seconds are the processor time of the process less that of the same command where the file
does not exist (the least of three), which is mostly the import of PyTorch: so other work on the machine
hardly counts against a file. Seconds by the clock stand beside them. Memory is the peak of the whole
process, PyTorch included. POSIX only.
"""

import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from malformed_files import CASES, READERS, Case
from rich.console import Console
from rich.table import Table

SECONDS, MEGABYTES = 2.0, 500.0  # of a process beyond its baseline; of the whole process
PATIENCE = 300  # seconds until a process is killed
MISTAKE = 2  # the command line's status for a user's mistake
LONGEST = 600  # characters of a message that a person reads


@dataclass(frozen=True)
class Run:
    """One process: seconds by the clock and of the processor, peak memory (MB), status, and what it said."""

    seconds: float
    processor: float
    memory: float
    status: int
    said: str
    errors: str


@dataclass(frozen=True)
class Result:
    """A case: seconds by the clock and of its own, peak memory (MB), status, error, and what is wrong."""

    case: str
    command: str
    seconds: float
    own_seconds: float
    memory_mb: float
    status: int
    error: str
    failures: tuple[str, ...]


def run(reader: str, path: Path, folder: Path) -> Run:
    """Give the file at `path` to a fresh process of the command line, which works in `folder`."""
    command = [sys.executable, "-m", "equilibria", *(part.format(path) for part in READERS[reader])]
    settings = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200", "NO_COLOR": "1"}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | settings,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
        )
        used, status = None, 0
        while used is None:
            done, code, usage = os.wait4(process.pid, os.WNOHANG)
            if done:
                used, status = usage, os.waitstatus_to_exitcode(code)
            elif time.perf_counter() - start > PATIENCE:
                process.kill()
            time.sleep(0.005)
        seconds = time.perf_counter() - start
        process.returncode = status  # it has been waited for
        out.seek(0)
        errors.seek(0)
        return Run(seconds, used.ru_utime + used.ru_stime, peak(used), status, out.read(), errors.read())


def peak(usage: resource.struct_rusage) -> float:
    """MB that were held at most."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6  # macOS counts bytes


def failures(case: Case, found: Run, own: float) -> tuple[str, ...]:
    """What is wrong with how a file was refused."""
    error = message(found)
    wrong: list[str] = []
    if found.status != MISTAKE:
        wrong.append(f"status {found.status}" + (", as it hung" if found.seconds > PATIENCE else ""))
    if "Traceback" in found.said + found.errors:
        wrong.append("a traceback")
    if found.errors.count("error:") != 1 or len(found.errors.strip().splitlines()) != 1:
        wrong.append("not one error in one line")
    if len(error) > LONGEST:
        wrong.append(f"{len(error):,} characters")
    if not re.search(case.place, error):
        wrong.append(f"does not say where: {case.place}")
    if not re.search(case.remedy, error):
        wrong.append(f"does not say what would be right: {case.remedy}")
    if own > SECONDS:
        wrong.append(f"{own:.1f} s")
    if found.memory > MEGABYTES:
        wrong.append(f"{found.memory:.0f} MB")
    return tuple(wrong)


def message(found: Run) -> str:
    """The error, or the last line that was said."""
    said = found.errors.strip().splitlines() or found.said.strip().splitlines() or [""]
    return next((one for one in said if one.startswith("error:")), said[-1]).removeprefix("error: ")


def written(case: Case, path: Path) -> None:
    """Write the file of a case in a process of its own.

    What a process ever held, Linux counts as held by those that it starts; so this one must stay small. For
    that reason it imports no PyTorch either.
    """
    process = os.fork()
    if not process:
        try:
            case.write(path)
        except BaseException as error:
            print(f"{case.name} cannot be written: {error!r}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(process, 0)
    if status:
        raise SystemExit(1)


def judge(case: Case, folder: Path, baseline: float) -> Result:
    """Write the file of a case, have it read, and delete it."""
    path = folder / case.file
    written(case, path)
    found = run(case.reader, path, folder)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    own = found.processor - baseline
    shown = message(found).replace(f"{folder}/", "")
    wrong = failures(case, found, own)
    return Result(case.name, case.reader, found.seconds, own, found.memory, found.status, shown, wrong)


def table(results: list[Result]) -> Table:
    """A line a case."""
    grid = Table("case", title="bad files", title_justify="left")
    for column in ("seconds", "own", "MB", "status"):
        grid.add_column(column, justify="right")
    grid.add_column("error", overflow="fold")
    for one in results:
        seconds, own = f"{one.seconds:.2f}", f"{max(one.own_seconds, 0):.2f}"
        mark = "[red]✗[/] " if one.failures else ""
        error = one.error if len(one.error) <= 200 else one.error[:199] + "…"
        grid.add_row(
            mark + one.case, seconds, own, f"{one.memory_mb:.0f}", str(one.status), error.replace("[", "\\[")
        )
    return grid


def write(path: Path, baselines: dict[str, list[Run]], results: list[Result]) -> None:
    """Every case, and what was measured without a file."""
    facts = {
        "benchmark": "malformed",
        "limits": {"own_seconds": SECONDS, "memory_mb": MEGABYTES},
        "baselines": {
            reader: {
                "seconds": statistics.median(one.seconds for one in runs),
                "processor_seconds": min(one.processor for one in runs),
                "memory_mb": statistics.median(one.memory for one in runs),
            }
            for reader, runs in baselines.items()
        },
        "cases": [asdict(one) for one in results],
    }
    path.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main(
    only: Annotated[str, typer.Option(help="cases whose name has this in it")] = "",
    small: Annotated[bool, typer.Option("--small", help="leave out the files that are large")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the results here")] = None,
) -> None:
    """Have every bad file read, and print what was said of it. Exits with 1 where that is not good enough."""
    console = Console(width=160)
    cases = [one for one in CASES if only.lower() in one.name.lower() and not (small and one.large)]
    if os.geteuid() == 0:
        console.print("Not among these: a file without permission to read, as root may read any.")
        cases = [one for one in cases if one.name != "no permission"]
    if not cases:
        raise typer.BadParameter(f"--only {only}: no case has that in its name")
    results: list[Result] = []
    baselines: dict[str, list[Run]] = {}
    with tempfile.TemporaryDirectory() as place, console.status("") as status:
        folder = Path(place)
        for reader in dict.fromkeys(one.reader for one in cases):
            status.update(f"{reader}: a file that does not exist")
            baselines[reader] = [run(reader, folder / "nothing.csv", folder) for _ in range(3)]
        for case in cases:
            status.update(case.name)
            seconds = min(one.processor for one in baselines[case.reader])
            results.append(judge(case, folder, seconds))
            if json_file is not None:  # after every case, so that a run cut short leaves what it has
                write(json_file, baselines, results)
    console.print(table(results))
    for reader, runs in baselines.items():
        seconds = statistics.median(one.seconds for one in runs)
        processor = min(one.processor for one in runs)
        memory = statistics.median(one.memory for one in runs)
        command = " ".join(READERS[reader]).replace("{}", "FILE")
        console.print(
            f"equilibria {command}: {seconds:.2f} s ({processor:.2f} s of the processor) and "
            f"{memory:.0f} MB where there is no FILE",
            highlight=False,
            markup=False,
        )
    own_peak = peak(resource.getrusage(resource.RUSAGE_SELF))
    least = min(one.memory for runs in baselines.values() for one in runs)
    if own_peak > least:
        console.print(
            f"This process held {own_peak:.0f} MB, more than those it measures: their memory is not known"
        )
    failed = [one for one in results if one.failures]
    whole = sum(one.seconds <= SECONDS for one in results)
    console.print(
        f"{len(results) - len(failed)} of {len(results)} files end in one clear error; at most "
        f"{max(one.own_seconds for one in results):.2f} s beyond that, and "
        f"{max(one.memory_mb for one in results):.0f} MB in all; {whole} took at most {SECONDS:g} s, imports "
        "included",
        highlight=False,
    )
    for one in failed:
        console.print(f"✗ {one.case}: {'; '.join(one.failures)}", highlight=False, markup=False)
    if failed:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
