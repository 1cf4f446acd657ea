"""A file of problems to a file of answers."""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from equilibria.batch.identity import identity
from equilibria.errors import DataError, EquilibriaError
from equilibria.inference.calibration import UntilConfident
from equilibria.jobs import Job, Record, ranks, work
from equilibria.pipeline import Answer, Pipeline
from equilibria.tables import table_format, write_columns
from equilibria.tasks import Scan

SHARD = 1024  # problems: enough that a shard's last ones do not leave many slots idle for long
NUMBERS = ("residual", "relative_residual", "halting_score", "agreement", "confidence")
COLUMNS = ("row", "question", "answer", "valid", "settled", "nfe", "restarts", "complete", *NUMBERS)


@dataclass(frozen=True)
class Summary:
    """What became of a file.

    Attributes:
        out: where the answers are.
        rejected: where the rows are that are no problems; None: there are none.
        rows: of the file.
        answers: rows with an answer; those without missed the confidence that was asked for.
        settled: answers that settled, or reached the confidence asked for.
        valid: answers that keep the rules of the task.
        nfe: function evaluations in all.
        wrote: whether this process wrote the file; another may have.
    """

    out: Path
    rejected: Path | None
    rows: int
    answers: int
    settled: int
    valid: int
    nfe: int
    wrote: bool


def record(answer: Answer, row: int, unsure: bool) -> Record:
    """One row of the output; `row` counts the rows of the input from 0.

    `unsure`: a confidence was asked for and is not reached; then nothing is claimed.
    """
    numbers = {name: getattr(answer, name) for name in NUMBERS}
    return {
        "row": row,
        "question": answer.problem,
        "answer": None if unsure else answer.answer,
        "valid": None if unsure else answer.valid,
        "settled": answer.settled,
        "nfe": answer.nfe,
        "restarts": answer.restarts,
        "complete": answer.complete,
    } | {name: None if math.isnan(value) else value for name, value in numbers.items()}


def solve_file(
    pipeline: Pipeline,
    scan: Scan,
    out: Path,
    *,
    seed: int = 0,
    verify: bool = False,
    shard: int = SHARD,
    progress: Callable[[int, int], object] | None = None,
    **budget: Any,
) -> Summary:
    """Answer the problems of a file into `out`, whose suffix says the format, by any number of processes.

    Answers are kept in the folder `<out>.parts` as they come. Interrupt or kill the call at any moment and
    make it again: what was answered stays, and the rest is done. Several processes with the same arguments
    (by torchrun, `accelerate launch`, or by hand, on machines that share the folder) divide the work among
    them. At the end one of them writes `out` in one step, and rows that are no problems to a file
    `.rejected.jsonl` beside it.

    Args:
        pipeline: what solves them.
        scan: the problems, and the rows that are none.
        out: .csv, .jsonl, .npz or .parquet.
        seed: of all draws.
        verify: let the task's own checker decide when a problem is done and which restart answers.
        shard: problems in a shard.
        progress: called with the problems answered so far by all processes, and all problems.
        budget: see `Pipeline.budget`.

    Raises:
        DataError: `out` cannot be written.
        EquilibriaError: the folder holds the answers of another call, or these very answers already.
    """
    check_output(out)
    rank, world = ranks()
    spent = pipeline.budget(**budget)
    sure = isinstance(spent.restarts, UntilConfident)
    folder = out.with_name(out.name + ".parts")
    about = identity(
        pipeline,
        scan.problems,
        seed,
        budget=spent,
        verify=verify,
        rows_sha256=_sha256(scan.places.numpy().tobytes()),
        calibration_sha256=_calibration(pipeline),
    )
    job = Job(folder, len(scan.problems), shard, about)
    if job.finished and not (world > 1 and out.exists()):  # else started late, or again by a launcher
        raise EquilibriaError(
            f"{out} is answered already, by this very call; remove the folder {folder} to answer it anew"
        )

    def solve(items: list[int]) -> Iterator[tuple[int, Record]]:
        some = scan.problems[torch.tensor(items)]
        for answer in pipeline.stream(some, seed=seed, verify=verify, **budget):
            item = items[answer.index]
            yield item, record(answer, int(scan.places[item]), sure and not answer.settled)

    work(job, solve, rank=rank, world=world, progress=progress)
    counts: dict[str, int] = {}

    def write(records: Iterator[Record]) -> None:
        counts.update(_write(out, scan, records))

    wrote = job.finish(write)
    if wrote:
        # Others may still come, started late or again by a launcher: they must see that it is done.
        job.remove(trace=world > 1)
    return Summary(
        out=out,
        rejected=rejected_file(out) if scan.rejected else None,
        rows=len(scan.problems) + len(scan.rejected),
        answers=counts.get("answers", 0),
        settled=counts.get("settled", 0),
        valid=counts.get("valid", 0),
        nfe=counts.get("nfe", 0),
        wrote=wrote,
    )


def write_answers(out: Path, scan: Scan, answers: Sequence[Answer], sure: bool) -> None:
    """Write answers to the problems of `scan`, in the order of these, and the rows that are none.

    `sure`: a confidence was asked for; where it is not reached, no answer is written.
    """
    _write(out, scan, [record(a, int(scan.places[a.index]), sure and not a.settled) for a in answers])


def _write(out: Path, scan: Scan, records: Iterable[Record]) -> dict[str, int]:
    """Write answers and rejected rows; returns counts of answers, settled, valid and nfe."""
    rows = list(records)
    if scan.rejected:
        rejects = [asdict(rejected) for rejected in scan.rejected]
        write_columns(rejected_file(out), {name: [row[name] for row in rejects] for name in rejects[0]})
    else:
        rejected_file(out).unlink(missing_ok=True)  # of a call before this one
    write_columns(out, {name: [row[name] for row in rows] for name in COLUMNS})
    return {
        "answers": sum(row["answer"] is not None for row in rows),
        "settled": sum(row["settled"] for row in rows),
        "valid": sum(bool(row["valid"]) for row in rows),
        "nfe": sum(row["nfe"] for row in rows),
    }


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _calibration(pipeline: Pipeline) -> str | None:
    """Says which calibration the confidences come from."""
    return None if pipeline.calibration is None else _sha256(pipeline.calibration.to_json().encode())


def check_output(out: Path) -> None:
    """Raises DataError where answers could not be written to `out`, before anything is computed."""
    if table_format(out) is None:
        raise DataError(f"{out}: write answers to a file named .csv, .jsonl, .npz or .parquet")
    if not out.absolute().parent.is_dir():
        raise DataError(f"{out}: there is no folder {out.parent}; make it first")


def rejected_file(out: Path) -> Path:
    """Where the rows go that are no problems."""
    return out.with_suffix(".rejected.jsonl")
