"""An evaluation that several processes share, and that goes on after a kill."""

import base64
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from equilibria.batch.identity import identity
from equilibria.diagnostics.evaluation import Evaluation, Tries, described, tabulate
from equilibria.diagnostics.metrics import exactly_right
from equilibria.diagnostics.validity import valid_answers
from equilibria.dynamics.noise import fingerprint
from equilibria.errors import DataError
from equilibria.inference.pool import Pool
from equilibria.inference.slots import FACTS, End
from equilibria.jobs import Job, Record, ranks, work
from equilibria.pipeline import Pipeline
from equilibria.tasks import Problems, Task

SHARD = 256  # problems; each has as many trajectories as the greatest breadth
NUMBERS = (*FACTS, "right")
VALID = "valid"  # beside them, where a label is not the only right answer


def evaluate_shared(
    pipeline: Pipeline,
    problems: Problems,
    folder: Path,
    *,
    depths: tuple[int, ...],
    breadths: tuple[int, ...],
    halting: str = "recipe",
    seed: int = 0,
    shard: int = SHARD,
    progress: Callable[[int, int], object] | None = None,
) -> Evaluation:
    """As `Pipeline.evaluate`, with what is found kept in `folder` as it comes.

    Interrupt or kill the call at any moment and make it again: what was found stays. Several processes with
    the same arguments (by torchrun, `accelerate launch`, or by hand, on machines that share the folder)
    divide the work, and each returns the whole evaluation. The folder keeps some 45 bytes a trajectory and
    depth, and stays.

    Args:
        pipeline: what is evaluated.
        problems: labelled problems.
        folder: the job's own.
        depths: to report.
        breadths: to report.
        halting: a rule by name.
        seed: of all draws.
        shard: problems in a shard.
        progress: called with the problems done so far by all processes, and all problems.

    Raises:
        DataError: the problems have no labels, or there are none.
        EquilibriaError: the folder holds another job.
    """
    if problems.labels is None or not len(problems):
        raise DataError("an evaluation needs problems with answers")
    depths, breadths = tuple(sorted(set(depths))), tuple(sorted(set(breadths)))
    rule, engine = pipeline.halting(halting), pipeline.engine
    rank, world = ranks()
    task = pipeline.task
    names = (*NUMBERS, VALID) if task.ambiguous else NUMBERS
    about = identity(
        pipeline, problems, seed, depths=depths, breadth=breadths[-1], halting=rule, numbers=names
    )
    job = Job(folder, len(problems), shard, about)

    def solve(items: list[int]) -> Iterator[tuple[int, Record]]:
        some = problems[torch.tensor(items)]
        assert some.labels is not None
        since = time.perf_counter()
        for index, ends in engine.looks(
            some.inputs,
            depths=depths,
            breadth=breadths[-1],
            halting=rule,
            seed=seed,
            identifiers=some.identifiers,
        ):
            now = time.perf_counter()
            tries = pack(ends, some.inputs[index], some.labels[index], task)
            yield items[index], {"seconds": now - since, "tries": tries}
            since = now

    work(job, solve, rank=rank, world=world, progress=progress)
    found = list(job.records())
    tries = unpack([record["tries"] for record in found], breadths[-1], names)
    context = pipeline.origin() | described(engine, problems, rule, seed)
    # A reasoner with a limit has fewer marks than there are depths: all beyond it are the last.
    by_depth = {depth: tries[min(place, len(tries) - 1)] for place, depth in enumerate(depths)}
    seconds = sum(record["seconds"] for record in found)
    return tabulate(by_depth, problems, breadths, seconds, context)


def pack(ends: Sequence[End], given: Tensor, label: Tensor, task: Task) -> str:
    """A problem's restarts at all marks, as text: of an answer, a hash and whether it is right.

    `given` and `label`: the problem [tokens], and its answer.
    """
    answers = torch.stack([end.answers for end in ends], dim=1)
    facts = torch.tensor([end.facts for end in ends]).transpose(0, 1)
    judged = [exactly_right(answers, label)]
    valid = valid_answers(task, given[None], answers.flatten(0, 1)[None])
    if valid is not None:
        judged.append(valid.view(judged[0].shape))
    numbers = torch.cat([facts, torch.stack(judged, dim=-1).float()], dim=-1)
    keys = fingerprint(answers.flatten(0, 1)).view(judged[0].shape)
    whole = numbers.numpy().astype("<f4").tobytes() + keys.numpy().astype("<i8").tobytes()
    return base64.b64encode(whole).decode("ascii")


def unpack(packed: Sequence[str], breadth: int, names: Sequence[str]) -> list[Tries]:
    """What `pack` made of every problem, numbers called `names`: mark by mark, all problems."""
    numbers, keys = [], []
    for text in packed:
        whole = base64.b64decode(text)
        marks = len(whole) // (breadth * (4 * len(names) + 8))
        cut = marks * breadth * 4 * len(names)
        numbers.append(np.frombuffer(whole[:cut], "<f4").reshape(marks, breadth, len(names)))
        keys.append(np.frombuffer(whole[cut:], "<i8").reshape(marks, breadth, 1))
    every = torch.from_numpy(np.stack(numbers, axis=1).astype(np.float32))
    answers = torch.from_numpy(np.stack(keys, axis=1).astype(np.int64))
    tries: list[Tries] = []
    for mark in range(len(every)):
        named = dict(zip(names, every[mark].unbind(dim=-1), strict=True))
        right = named.pop("right").bool()
        valid = named.pop(VALID).bool() if VALID in named else None
        whole = {"evaluations": named["evaluations"].long(), "halted": named["halted"].bool()}
        tries.append(Tries(Pool(answers[mark], **(named | whole)), right, valid))
    return tries
