"""A reasoner on a Ray cluster: a Ray data set of problems to one of answers. An extra: `equilibria[ray]`."""

import importlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from equilibria.errors import DataError, EquilibriaError
from equilibria.pipeline import Answer, Pipeline, load
from equilibria.tasks import Problems

if TYPE_CHECKING:
    from ray.data import Dataset

Batch = dict[str, list[Any]]
COLUMNS = (
    "answer",
    "valid",
    "settled",
    "confidence",
    "residual",
    "relative_residual",
    "halting_score",
    "nfe",
    "restarts",
    "agreement",
)


def answers(
    dataset: "Dataset",
    name: str,
    *,
    workers: int,
    seed: int = 0,
    batch: int = 256,
    threads: int = 1,
    gpus: float = 0,
    overrides: Sequence[str] = (),
    **budget: Any,
) -> "Dataset":
    """Answer the problems of a Ray data set, which has them in its column `question`.

    Every other column stays. There come the columns `answer` to `agreement` of `Answer`, and `rejected`: why
    a row is no problem, and then nothing else is said of it. Answers are those of `Pipeline.solve`, whatever
    shares a batch. A worker that dies is started anew and its batch is done again. Nothing runs before the
    result is used.

    Args:
        dataset: from `ray.data`, with text in `question`.
        name: a shipped reasoner, a checkpoint folder that all nodes see, or a Hub id.
        workers: processes, each with a reasoner of its own.
        seed: of all draws.
        batch: problems that a worker takes at a time; more use its slots better.
        threads: processor cores of a worker.
        gpus: of a worker.
        overrides: of the recipe; see `load`.
        budget: see `Pipeline.budget`.

    Raises:
        EquilibriaError: Ray is not installed, or the budget makes no sense.
    """
    try:
        importlib.import_module("ray.data")  # slow to import, and an extra
    except ImportError as error:
        raise EquilibriaError("Ray is not installed: pip install 'equilibria[ray]'") from error
    load(name, overrides=overrides).budget(**budget)  # a mistake is told here, not by every worker
    return dataset.map_batches(
        Worker,
        fn_constructor_kwargs={
            "name": name,
            "seed": seed,
            "threads": threads,
            "overrides": tuple(overrides),
            "budget": budget,
        },
        batch_size=batch,
        batch_format="numpy",
        concurrency=workers,
        num_cpus=threads,
        num_gpus=gpus,
        max_restarts=-1,
        max_task_retries=-1,
    )


class Worker:
    """One process of `answers`."""

    def __init__(
        self, name: str, seed: int, threads: int, overrides: Sequence[str], budget: dict[str, Any]
    ) -> None:
        torch.set_num_threads(threads)
        self.pipeline = load(name, "cuda" if torch.cuda.is_available() else "cpu", overrides)
        self.seed, self.budget = seed, budget

    def __call__(self, batch: Batch) -> Batch:
        """Answers beside what is there already."""
        found, reasons = solved(
            self.pipeline, [str(text) for text in batch["question"]], self.seed, self.budget
        )
        columns = {
            name: [None if answer is None else _plain(getattr(answer, name)) for answer in found]
            for name in COLUMNS
        }
        return batch | columns | {"rejected": reasons}


def solved(
    pipeline: Pipeline, texts: Sequence[str], seed: int, budget: dict[str, Any]
) -> tuple[list[Answer | None], list[str | None]]:
    """The answer to every text, or why it is no problem."""
    parsed: dict[int, Problems] = {}
    reasons: list[str | None] = [None] * len(texts)
    for place, text in enumerate(texts):
        try:
            one = pipeline.task.parse(text, where="question")
            if len(one) != 1:
                raise DataError(f"question: {len(one)} problems in one row")
            parsed[place] = one
        except DataError as error:
            reasons[place] = str(error)
    found: list[Answer | None] = [None] * len(texts)
    if parsed:
        places = list(parsed)
        whole = Problems.concatenate(list(parsed.values()))
        for answer in pipeline.stream(whole, seed=seed, **budget):
            found[places[answer.index]] = answer
    return found, reasons


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
