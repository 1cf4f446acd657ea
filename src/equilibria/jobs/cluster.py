"""A reasoner on a Ray cluster: a Ray data set of problems to one of answers. An extra: `equilibria[ray]`."""

import importlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from equilibria.errors import DataError, EquilibriaError
from equilibria.loading import load
from equilibria.pipeline import Answer, Pipeline
from equilibria.tasks import Problems

if TYPE_CHECKING:
    from pyarrow import Table
    from ray.data import Dataset

# Of `Answer`, by their Arrow type: a batch in which no row is a problem must say the types of the others.
COLUMNS = {
    "answer": "string",
    "valid": "bool",
    "settled": "bool",
    "confidence": "float64",
    "residual": "float64",
    "relative_residual": "float64",
    "halting_score": "float64",
    "nfe": "int64",
    "restarts": "int64",
    "agreement": "float64",
}
REJECTED = "rejected"


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

    There come the columns `answer` to `agreement` of `Answer`, and `rejected`: why a row is no problem, and
    then those others are null. Every other column stays as it is; one that has such a name is replaced, so
    rename known answers before. Answers are those of `Pipeline.solve`, whatever shares a batch. A worker that
    dies is started anew and its batch is done again. Nothing runs before the result is used.

    Args:
        dataset: from `ray.data`, with text in `question`.
        name: a shipped reasoner, a checkpoint folder that all nodes see, or a Hub id.
        workers: processes, each with a reasoner of its own.
        seed: of all draws.
        batch: problems that a worker takes at a time; more use its slots better.
        threads: processor cores of a worker.
        gpus: of a worker, which may share one (0.5); without any it runs on processor cores.
        overrides: of the recipe; see `load`.
        budget: see `Pipeline.budget`.

    Raises:
        EquilibriaError: Ray is not installed, or the reasoner or budget makes no sense.
        DataError: there is no column `question`. Where a data set learns its columns only as it runs, this is
            raised then, within an error of Ray's.
    """
    try:
        data = importlib.import_module("ray.data")  # slow to import, and an extra
    except ImportError as error:
        raise EquilibriaError("Ray is not installed: pip install 'equilibria[ray]'") from error
    load(name, overrides=overrides).budget(**budget)  # a mistake is told here, not by every worker
    known = dataset.columns(fetch_if_missing=False)
    if known is not None:
        _require_question(known)
    # Ray Data starts actors that died without end, and does their batches again, unless told otherwise.
    return dataset.map_batches(
        Worker,
        fn_constructor_kwargs={
            "name": name,
            "device": "cuda" if gpus else "cpu",
            "seed": seed,
            "threads": threads,
            "overrides": tuple(overrides),
            "budget": budget,
        },
        batch_size=batch,
        batch_format="pyarrow",
        compute=data.ActorPoolStrategy(size=workers),
        num_cpus=threads,
        num_gpus=gpus,
    )


class Worker:
    """One process of `answers`."""

    def __init__(
        self,
        name: str,
        device: str,
        seed: int,
        threads: int,
        overrides: Sequence[str],
        budget: dict[str, Any],
    ) -> None:
        torch.set_num_threads(threads)
        self.pipeline = load(name, device, overrides)
        self.seed, self.budget = seed, budget

    def __call__(self, batch: "Table") -> "Table":
        """Answers beside what is there already."""
        import pyarrow

        _require_question(batch.column_names)
        texts = [str(text) for text in batch.column("question").to_pylist()]
        found, reasons = solved(self.pipeline, texts, self.seed, self.budget)
        batch = batch.drop_columns([name for name in batch.column_names if name in (*COLUMNS, REJECTED)])
        for name, kind in COLUMNS.items():
            values = [None if answer is None else _plain(getattr(answer, name)) for answer in found]
            batch = batch.append_column(name, pyarrow.array(values, pyarrow.type_for_alias(kind)))
        return batch.append_column(REJECTED, pyarrow.array(reasons, pyarrow.string()))


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


def _require_question(columns: Sequence[str]) -> None:
    if "question" not in columns:
        raise DataError(
            f"the data set has no column question, only {', '.join(columns)}: "
            "rename the one with the problems"
        )


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
