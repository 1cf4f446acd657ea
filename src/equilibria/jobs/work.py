"""What each process of a job does: claim what is free, solve what is pending, until all is done."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from equilibria.errors import EquilibriaError
from equilibria.jobs.job import Job
from equilibria.jobs.shard import Record, Shard

Solve = Callable[[list[int]], Iterator[tuple[int, Record]]]
"""Gives each of the items it is given once, with its record, in any order."""

REPORT_EVERY = 1.0  # seconds: counting what others have recorded reads their journals


def work(
    job: Job,
    solve: Solve,
    *,
    rank: int = 0,
    world: int = 1,
    progress: Callable[[int, int], object] | None = None,
    patience: float = 0.5,
) -> None:
    """Work on a job, beside any number of other processes, until all its shards are whole.

    Each record is kept as soon as `solve` yields it; whatever ends this process, others or the next run take
    up its shard where it stood. While others hold all that is left, this one waits for them: it takes up what
    a process leaves behind when it dies.

    Args:
        job: the same for all.
        solve: given the pending items of one shard, yields each with its record as soon as it has it.
        rank: which of the processes this is: it begins at its own share of the shards.
        world: how many processes there are; more or fewer may come.
        progress: called about once a second with the items that all processes have recorded, and all items.
        patience: seconds between looks while others hold all that is left.

    Raises:
        RuntimeError: `solve` left out an item.
        ValueError: it gave one that it was not asked for, or gave it twice.
        EquilibriaError: the folder cannot be written; and whatever `solve` raises.
    """
    last = -REPORT_EVERY

    def report(now: float = float("inf")) -> None:
        nonlocal last
        if progress is not None and now - last >= REPORT_EVERY:
            progress(job.recorded, job.items)
            last = time.monotonic()

    first = job.shards * rank // world
    while not job.done:
        idle = True
        for number in [*range(first, job.shards), *range(first)]:
            shard = job.claim(number)
            if shard is not None:
                idle = False
                with shard:
                    _solve(shard, solve, lambda: report(time.monotonic()))
        if idle and not job.done:
            report(time.monotonic())
            time.sleep(patience)
    report()


def _solve(shard: Shard, solve: Solve, report: Callable[[], None]) -> None:
    with ExitStack() as stack:
        results = solve(list(shard.pending))
        if (close := getattr(results, "close", None)) is not None:
            stack.callback(close)  # a generator lets go of what it holds before the shard is let go
        for item, record in results:
            shard.record(item, record)
            report()
    if shard.pending:
        raise RuntimeError(f"no record came for {len(shard.pending)} items, the first {shard.pending[0]}")


# How launchers tell a process its place: torchrun and accelerate, then what starts them over MPI, then srun.
_PLACES = (
    ("RANK", "WORLD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)


def ranks() -> tuple[int, int]:
    """This process's rank and the number of processes, as its launcher says in the environment; else (0, 1).

    Raises:
        EquilibriaError: what it says is no rank in a world.
    """
    for names in _PLACES:
        said = [os.environ.get(name) for name in names]
        if None in said:
            continue
        try:
            rank, world = (int(value or "") for value in said)
        except ValueError:
            rank, world = 0, 0
        if not 0 <= rank < world:
            given = ", ".join(f"{name}={value}" for name, value in zip(names, said, strict=True))
            raise EquilibriaError(f"{given} in the environment is no rank in a world: unset both")
        return rank, world
    return 0, 1
