"""Two hundred kills and interrupts of a running evaluation: no finished answer lost, none twice.

    python benchmarks/faults.py            # some 5 minutes

A process answers a file of real puzzles (`eq.solve_file`, as `equilibria solve FILE --out` does) and is
killed (SIGKILL, SIGTERM) or interrupted (SIGINT) at a random moment, over and over; when it comes to the end
of the file it begins a new one. After every kill it is checked that all that was recorded before is still
there, once, and the same; and of every file, that it equals one of a run that nobody disturbed. POSIX only:
processes are forked, so that each does not begin by importing PyTorch.
"""

import collections
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

os.environ["OMP_NUM_THREADS"] = "1"  # a fork must not inherit threads

import torch
import typer
from engine import augmented
from rich.console import Console

import equilibria as eq
from equilibria.inference.engine import Engine

SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)


def recorded(folder: Path) -> dict[int, str]:
    """The records that stand in the job's folder: item → record. Fails where one stands there twice."""
    found: dict[int, str] = {}
    for path in sorted(folder.glob("shard-*.jsonl")) + sorted(folder.glob("shard-*.journal")):
        part = path.with_suffix(".jsonl")
        if path.suffix == ".journal" and part.exists():
            continue  # killed between the part's arrival and the journal's end: the part counts
        for line in path.read_bytes().split(b"\n")[:-1]:
            entry = json.loads(line)
            assert entry["item"] not in found, f"{entry['item']} stands in the records twice"
            found[entry["item"]] = json.dumps(entry["record"], sort_keys=True)
    return found


def child(pipeline: eq.Pipeline, scan: eq.Scan, out: Path, shard: int, nfe: int) -> int:
    """Start a process that answers the file; returns its id."""
    process = os.fork()
    if process:
        return process
    code = 0
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
        eq.solve_file(pipeline, scan, out, shard=shard, nfe=nfe)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        code = 1
    os._exit(code)


def main(
    reasoner: Annotated[str, typer.Argument(help="a shipped reasoner")] = "sudoku-9x9",
    kills: Annotated[int, typer.Option(min=1, help="so many")] = 200,
    problems: Annotated[int, typer.Option(min=1, help="puzzles in a file")] = 300,
    shard: Annotated[int, typer.Option(min=1, help="puzzles in a shard")] = 50,
    nfe: Annotated[int, typer.Option(min=1, help="most evaluations a puzzle")] = 24,
    longest: Annotated[float, typer.Option(help="seconds that a process lives, at most")] = 0.8,
    seed: Annotated[int, typer.Option(help="of the moments")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the numbers here")] = None,
) -> None:
    """Kill a running evaluation over and over, and look for what is lost or doubled."""
    torch.set_num_threads(1)
    chance = random.Random(seed)
    pipeline = eq.load(reasoner)
    # Few slots, so that answers come one by one and a kill falls among them.
    pipeline.engine = Engine(pipeline.reasoner, solver=pipeline.recipe.solver, slots=8)
    given = eq.held_out_problems(reasoner)
    tokens = torch.cat([augmented(pipeline, given, turn) for turn in range(-(-problems // len(given)))])
    many = eq.Problems(tokens[:problems], None, ("",) * problems)
    scan = eq.Scan(many, torch.arange(problems), [])
    codes: collections.Counter[str] = collections.Counter()
    done = files = answers = useful = 0

    def finish(out: Path) -> None:
        _, status = os.waitpid(child(pipeline, scan, out, shard, nfe), 0)
        assert status == 0, f"an undisturbed run ended with {status}"

    with tempfile.TemporaryDirectory() as place:
        calm = Path(place) / "calm.jsonl"
        finish(calm)
        rows = [json.loads(line) for line in calm.read_text().splitlines()]
        assert [row["row"] for row in rows] == list(range(problems)), "a row is missing or stands there twice"
        while done < kills:
            out = Path(place) / f"answers-{files}.jsonl"
            folder = out.with_name(out.name + ".parts")
            before: dict[int, str] = {}
            while done < kills and not out.exists():
                process = child(pipeline, scan, out, shard, nfe)
                time.sleep(chance.uniform(0.01, longest))
                how = chance.choice(SIGNALS)
                os.kill(process, how)
                _, status = os.waitpid(process, 0)
                done += 1
                codes[how.name] += 1
                assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) in (0, 130), f"ended with {status}"
                if out.exists():
                    break
                after = recorded(folder)
                lost = [item for item, record in before.items() if after.get(item) != record]
                assert not lost, f"kill {done} lost or changed {lost[:5]}"
                useful += len(after) > len(before)
                before = after
            if not out.exists():
                finish(out)
            for row, other in zip(out.read_text().splitlines(), calm.read_text().splitlines(), strict=True):
                assert row == other, f"{out.name} differs from an undisturbed run:\n{row}\n{other}"
            files, answers = files + 1, answers + problems
    facts = {
        "benchmark": "faults",
        "reasoner": reasoner,
        "kills": done,
        "by_signal": dict(codes),
        "files": files,
        "answers": answers,
        "runs_that_got_somewhere": useful,
        "lost": 0,
        "doubled": 0,
    }
    Console(width=110).print(
        f"{done} kills ({', '.join(f'{count} {name}' for name, count in codes.items())}), of which {useful} "
        f"came after new answers\n{answers:,} answers in {files} files: none lost, none twice, every file "
        "equal to that of a run nobody disturbed",
        highlight=False,
    )
    if json_file is not None:
        json_file.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
