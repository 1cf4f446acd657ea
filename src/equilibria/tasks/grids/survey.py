"""What a file of grids holds: how it was understood, and what in it will make training hard."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equilibria.tasks.grids.files import refuse_broken
from equilibria.tasks.grids.fit import format_of
from equilibria.tasks.grids.notation import MOST
from equilibria.tasks.grids.task import Grids, chosen
from equilibria.tasks.problems import Problems
from equilibria.tasks.reading import decode_chunk
from equilibria.tasks.splits import source_files

EXAMPLES = 3


@dataclass(frozen=True)
class Survey:
    """What is known of a file, or of the files of a folder, taken together.

    Attributes:
        task: with symbols and shape as found.
        files: path, format and rows of each.
        shapes: how many problems have which height and width, the most frequent first.
        inputs, targets: how often each symbol stands in them, in the order of the task's symbols.
        unscored: cells of targets that are not scored.
        padding: share of the board's cells that are pads, over all problems.
        kept: share of scored cells whose target is their input.
        repeated: rows that stand there before with the same input and target.
        repeated_places: where some of them and their first are.
        ambiguous: inputs that have several targets.
        ambiguous_rows: rows with such an input.
        ambiguous_places: where some of them are, with different targets.
        shared: inputs that stand in both files, where there are two.
        held_out: rows that are kept from training.
    """

    task: Grids
    files: tuple[tuple[Path, str, int], ...]
    shapes: tuple[tuple[tuple[int, int], int], ...]
    inputs: dict[str, int]
    targets: dict[str, int]
    unscored: int
    padding: float
    kept: float
    repeated: int
    repeated_places: tuple[tuple[str, str], ...]
    ambiguous: int
    ambiguous_rows: int
    ambiguous_places: tuple[tuple[str, str], ...]
    shared: int
    held_out: int

    @property
    def rows(self) -> int:
        """Problems in all files."""
        return sum(rows for _, _, rows in self.files)


def survey(source: str | Path, settings: dict[str, Any] | None = None) -> Survey:
    """Read all problems of a file, a folder with train and test tables, or a Hub data set.

    `settings` are those of `Grids.Config`. Raises DataError for the first row that is no problem, and
    ValidationError for settings that cannot be.
    """
    task = Grids(Grids.Config.model_validate(settings or {})).fitted(str(source))
    seen = _Seen(task)
    files: list[tuple[Path, str, int]] = []
    for number, path in enumerate(source_files(source)):
        format = format_of(path)
        before = len(seen.inputs)
        for chunk in task.chunks(path, format, labelled=True):
            refuse_broken(path, chunk)
            if len(chunk):
                problems = decode_chunk(task, chunk, path, labelled=True)
                seen.add(problems, chunk.places, number)
        files.append((path, format, len(seen.inputs) - before))
    return seen.survey(tuple(files))


class _Seen:
    """Counts over all rows. Of each row only two hashes and its place are kept, so large files are fine."""

    def __init__(self, task: Grids):
        self.task = task
        self.counts = np.zeros((2, MOST + 2), np.int64)  # tokens of inputs and of targets
        self.shapes: Counter[tuple[int, int]] = Counter()
        self.unscored = self.same = 0
        self.inputs, self.targets, self.kinds = array("Q"), array("Q"), array("Q")  # hashes
        self.places, self.files = array("Q"), array("B")

    def add(self, problems: Problems, places: Sequence[int], file: int) -> None:
        assert problems.labels is not None
        inputs, labels = problems.inputs, problems.labels
        for row, tokens in enumerate((inputs, labels)):
            self.counts[row] += np.bincount(tokens.numpy().ravel(), minlength=MOST + 2)
        self.unscored += int(((inputs != 0) & (labels == 0)).sum())
        self.same += int(((inputs == labels) & (labels != 0)).sum())
        filled = inputs.view(-1, *self.task.board) != 0
        tall, wide = filled.any(2).sum(1).tolist(), filled.any(1).sum(1).tolist()
        self.shapes.update(zip(tall, wide, strict=True))
        self.inputs.frombytes(self.task.hashes(inputs).tobytes())
        # A target may leave out a border, so it is hashed as it lies on the input.
        marked = labels.masked_fill((inputs != 0) & (labels == 0), MOST + 1)
        self.targets.frombytes(self.task.hashes(marked).tobytes())
        kinds = self.task.symmetries.canonical(inputs) if self.task.draws else None
        self.kinds.extend(self.inputs[-len(inputs) :] if kinds is None else self.task.hashes(kinds).tolist())
        self.places.extend(places)
        self.files.extend([file] * len(problems))

    def survey(self, files: tuple[tuple[Path, str, int], ...]) -> Survey:
        inputs, targets = np.array(self.inputs, np.uint64), np.array(self.targets, np.uint64)
        order = np.lexsort((np.arange(len(inputs)), targets, inputs))  # equal rows together, in file order
        new_input = np.r_[True, inputs[order][1:] != inputs[order][:-1]]
        new_pair = new_input | np.r_[True, targets[order][1:] != targets[order][:-1]]
        group = np.cumsum(new_input) - 1
        answers = np.bincount(group, new_pair)
        ambiguous = answers > 1
        repeats = np.flatnonzero(~new_pair)
        firsts = np.maximum.accumulate(np.where(new_pair, np.arange(len(order)), 0))
        begins = np.flatnonzero(new_input)
        others = np.flatnonzero(new_pair & ~new_input)
        others = others[np.r_[True, group[others][1:] != group[others][:-1]]] if len(others) else others
        file_of = np.array(self.files)[order]
        two = np.zeros((len(begins), 2), bool)
        two[group, np.minimum(file_of, 1)] = True
        symbols = self.task.notation.symbols
        cells = int(self.counts[0, 1:].sum())
        scored = int(self.counts[1, 1:].sum())
        board = self.task.board[0] * self.task.board[1]
        return Survey(
            task=self.task,
            files=files,
            shapes=tuple(self.shapes.most_common()),
            inputs=dict(zip(symbols, self.counts[0, 1:].tolist(), strict=False)),
            targets=dict(zip(symbols, self.counts[1, 1:].tolist(), strict=False)),
            unscored=self.unscored,
            padding=1 - cells / (len(inputs) * board),
            kept=self.same / max(scored, 1),
            repeated=len(repeats),
            repeated_places=self._examples(order, firsts[repeats], repeats, files),
            ambiguous=int(ambiguous.sum()),
            ambiguous_rows=int(ambiguous[group].sum()),
            ambiguous_places=self._examples(order, begins[group[others]], others, files),
            shared=int(two.all(1).sum()),
            held_out=files[1][2] if len(files) > 1 else int(chosen(np.array(self.kinds, np.uint64)).sum()),
        )

    def _examples(
        self,
        order: NDArray[np.int64],
        first: NDArray[np.int64],
        second: NDArray[np.int64],
        files: tuple[tuple[Path, str, int], ...],
    ) -> tuple[tuple[str, str], ...]:
        """Places of the pairs that stand first in the file."""
        rows = np.sort(np.stack([order[first], order[second]], 1), axis=1)
        pairs = sorted(map(tuple, rows.tolist()))[:EXAMPLES]
        return tuple((self._place(one, files), self._place(other, files)) for one, other in pairs)

    def _place(self, row: int, files: tuple[tuple[Path, str, int], ...]) -> str:
        path, format, _ = files[self.files[row]]
        place = f"{'line' if format in ('csv', 'jsonl') else 'row'} {self.places[row]:,}"
        return place if len(files) == 1 else f"{place} of {path.name}"
