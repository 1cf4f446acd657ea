"""Training runs that are done once: kept by what determines them, gone on with where they were killed."""

import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from equilibria.checkpoint import WEIGHTS
from equilibria.errors import Stopped
from equilibria.files import write_text
from equilibria.loading import load
from equilibria.pipeline import Pipeline
from equilibria.recipes import Recipe, load_recipe
from equilibria.reproduce.reproduction import cores
from equilibria.runs import read_splits, train
from equilibria.tasks import Splits
from equilibria.training.launch import Launch
from equilibria.training.state import read_progress

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class CachedRun:
    """A training run and where it is kept.

    Attributes:
        recipe: what is trained.
        splits: what it is trained on, and what is held out.
        folder: of this run alone: its name is a hash of all that determines the weights.
    """

    recipe: Recipe
    splits: Splits
    folder: Path

    @classmethod
    def of(cls, recipe: Recipe, cache: Path) -> "CachedRun":
        """The run of a recipe, whether it was made or not."""
        splits = read_splits(recipe, recipe.build_task())
        determined = [recipe.identity(splits.train.fingerprint()), recipe.training.steps]
        key = hashlib.sha256(json.dumps(determined).encode()).hexdigest()[:16]
        return cls(recipe, splits, cache / key)

    def trained(self, device: str = "auto") -> tuple[Pipeline, float]:
        """The reasoner and the seconds its training took, evaluations and saves left out.

        Trains it if that was not done; where a training was cut off, it goes on from its last saved state.

        Raises:
            Stopped: the training was stopped before its end.
        """
        whole, state = self.folder / "trained", self.folder / "state.safetensors"
        if not (whole / WEIGHTS).is_file():  # it is written last
            pipeline = train(self.recipe, out=self.folder, resume=state.is_file(), device=device, quiet=True)
            progress = read_progress(state, self.recipe.identity(self.splits.train.fingerprint()))
            if progress.step < self.recipe.training.steps:
                raise Stopped(
                    f"{self.recipe.name} stopped at step {progress.step:,} of "
                    f"{self.recipe.training.steps:,}; all is saved: the same command goes on from there"
                )
            pipeline.facts = {"step": str(progress.step), "seconds": str(progress.seconds)}
            pipeline.save(whole)
        pipeline = load(whole, Launch(device).device)
        return pipeline, float((pipeline.facts or {})["seconds"])

    def once(self, name: str, asked: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `measure` says of this run, kept in `<name>.json` beside it with the question it answers."""
        path = self.folder / f"{name}.json"
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["asked"] == asked:
                return kept["found"]
        found = measure()
        write_text(path, json.dumps({"asked": asked, "found": found}, indent=1) + "\n")
        return found


def side_by_side(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> Iterator[tuple[Item, Result]]:
    """Each item with what `work` makes of it, as soon as it is there; several at a time in own processes.

    A process has its share of the cores. If this one is killed, the others save their runs and stop.
    """
    if jobs == 1:
        for item in items:
            yield item, work(item)
        return
    threads = max(cores() // jobs, 1)
    pool = ProcessPoolExecutor(
        min(jobs, len(items)),
        multiprocessing.get_context("spawn"),  # a fork would copy locks of PyTorch's threads
        initializer=_begin,
        initargs=(threads, os.getpid()),
    )
    try:
        futures = {pool.submit(_while_alive, os.getpid(), work, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _while_alive(parent: int, work: Callable[[Item], Result], item: Item) -> Result:
    """The work, unless the process that asked for it is gone: what lay in its queue is nobody's any more."""
    if os.getppid() != parent:
        os._exit(1)
    return work(item)


def seeded(name: str, changes: Sequence[str], seed: int) -> Recipe:
    """The recipe `name` with `changes`, its own seed moved on by `seed`."""
    first = load_recipe(name, changes).training.seed
    return load_recipe(name, [*changes, f"training.seed={first + seed}"])


class Remaining:
    """How long the rest of some items takes, by how long the last ones took.

    Args:
        items: in all.
    """

    def __init__(self, items: int) -> None:
        self.items, self.done = items, 0
        self.worked: list[float] = []

    def finish(self, seconds: float, jobs: int) -> str:
        """One more is done, that took so long; where things stand, in words. What was cached says nothing."""
        self.done += 1
        if seconds > 10:
            self.worked.append(seconds)
        left = self.items - self.done
        if not left or not self.worked:
            return f"{self.done} of {self.items}"
        minutes = sum(self.worked) / len(self.worked) * left / jobs / 60
        return f"{self.done} of {self.items}, about {minutes:.0f} min to go"


def _begin(threads: int, parent: int) -> None:
    """Of a process that works beside others."""
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches runs in training, which save and stop

    def watch() -> None:
        while True:
            time.sleep(1.0)
            if os.getppid() != parent:  # a run in training saves and stops; the next signal ends the process
                os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
