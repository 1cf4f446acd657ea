"""Restarts of one problem, iteration by iteration: boards, what changed, what is right, who has settled."""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equilibria.diagnostics.metrics import exactly_right
from equilibria.diagnostics.oscillation import candidates
from equilibria.diagnostics.validity import valid_answers
from equilibria.inference.recording import Recording
from equilibria.inference.slots import WINDOW
from equilibria.tasks import Problems, Task
from equilibria.tasks.picture import ANSWER, PROBLEM, RIGHT, Cell, Panel

Where = tuple[int, int]  # row and column of a cell in its panel, from 0


class Mark(Enum):
    """What is to be said of a cell of an answer."""

    GIVEN = "given"  # the problem has the same there
    RIGHT = "right"
    WRONG = "wrong"
    FILLED = "filled"  # nobody knows whether it is right


@dataclass(frozen=True)
class Board:
    """An answer at one iteration.

    Attributes:
        panel: what it shows.
        marks: of each cell that is there.
        changed: cells that were otherwise an iteration before.
    """

    panel: Panel
    marks: dict[Where, Mark]
    changed: frozenset[Where]


@dataclass(frozen=True)
class Scene:
    """One problem and what its restarts make of it; restarts count from 0, iteration 0 is the initial state.

    Attributes:
        task: of the problem.
        given: `[tokens]` the problem.
        label: `[tokens]` its right answer, or one of them; None where nobody knows.
        recording: of its restarts, at every iteration.
        settled: bool `[restarts, depth + 1]`: at rest by then (residuals of the last three iterations under
            the tolerance, on average), or ended by a halting rule.
        right: bool `[restarts, depth + 1]`: the whole answer; None where nobody can tell.
    """

    task: Task
    given: Tensor
    label: Tensor | None
    recording: Recording
    settled: NDArray[np.bool_]
    right: NDArray[np.bool_] | None

    @property
    def restarts(self) -> int:
        """How many there are."""
        return len(self.recording.restart)

    @property
    def depth(self) -> int:
        """Iterations of the longest restart."""
        return int(self.recording.length.max())

    @property
    def convergent(self) -> int:
        """The restart that moved least over its last three iterations: the one that would answer."""
        lengths = self.recording.length
        recent = [
            float(np.mean(self.recording.residuals[row, max(0, length - WINDOW) : length]))
            for row, length in enumerate(lengths.tolist())
        ]
        return int(np.argmin(recent))

    def board(self, restart: int, iteration: int) -> Board:
        """What a restart answers after so many iterations."""
        panel = self._panel(restart, iteration)
        cells = _cells(panel)
        before = _cells(self._panel(restart, iteration - 1)) if iteration else cells
        marks = {where: self._mark(where, cell) for where, cell in cells.items()}
        changed = frozenset(where for where, cell in cells.items() if _differs(cell, before.get(where)))
        return Board(panel, marks, changed)

    def changes(self, restart: int, iteration: int) -> int:
        """Tokens of the answer that changed in this iteration."""
        if not iteration:
            return 0
        said = self._said(restart)
        return int((said[iteration] != said[iteration - 1]).sum())

    def mistakes(self, restart: int, iteration: int) -> int | None:
        """Tokens of the answer that are wrong: 0 of any right answer; None where no right answer is known."""
        if self.right is not None and self.right[restart, iteration]:
            return 0
        if self.label is None:
            return None
        label = self.label.numpy()
        return int(((self._said(restart)[iteration] != label) & (label != 0)).sum())

    def last_change(self, restart: int) -> int:
        """The iteration after which the answer stayed as it is; 0: it never changed."""
        said = self._said(restart)
        changed = np.flatnonzero((said[1:] != said[:-1]).any(axis=1))
        return int(changed[-1]) + 1 if len(changed) else 0

    def moments(self, restart: int, count: int) -> list[int]:
        """Up to `count` iterations at which to look, from the first to that of the last change.

        They lie close together at first, when an answer changes most.
        """
        last = max(1, self.last_change(restart))
        steps = np.geomspace(1, last, min(count, last))
        found: list[int] = []
        for step in steps.round().astype(int).tolist():
            found.append(max(step, found[-1] + 1 if found else 1))
        return [*found[:-1], last]

    def wavering(self, restart: int) -> tuple[Where, list[str]] | None:
        """The cell of a restart that changed most often among those that returned to what they had left, and
        all it was, in order (EqR Fig. 13); None where no cell did."""
        boards = [_cells(self._panel(restart, k)) for k in range(1, self.depth + 1)]
        places = sorted({where for board in boards for where in board})
        texts = [[board[where].text if where in board else "" for where in places] for board in boards]
        codes = {text: code for code, text in enumerate(sorted({text for row in texts for text in row}))}
        found = candidates(torch.tensor([[codes[text] for text in row] for row in texts]))
        if not found:
            return None
        cell = max(found, key=lambda place: (sum(found[place].values()), -place))
        values = [row[cell] for row in texts]
        return places[cell], [
            text for place, text in enumerate(values) if not place or text != values[place - 1]
        ]

    def _said(self, restart: int) -> NDArray[np.uint8]:
        """`[depth + 1, tokens]` what it answered, without what the problem does not ask for."""
        return np.where(self.task.asked(self.given[None])[0].numpy(), self.recording.answers[restart], 0)

    def _panel(self, restart: int, iteration: int) -> Panel:
        answer = torch.from_numpy(self._said(restart)[iteration])
        # A right answer that is not the label has no wrong cells.
        right = self.right is not None and bool(self.right[restart, iteration])
        panels = self.task.panels(self.given, answer, None if right else self.label)
        return next((panel for panel in panels if panel.title == ANSWER), panels[-1])

    @cached_property
    def _known(self) -> dict[str, dict[Where, Cell]]:
        """Cells of the problem and of the right answer, where panels of their own show them."""
        return {panel.title: _cells(panel) for panel in self.task.panels(self.given, None, self.label)}

    def _mark(self, where: Where, cell: Cell) -> Mark:
        truth, problem = (self._known.get(title) for title in (RIGHT, PROBLEM))
        # A task may mark right cells too, where a wrong one is in conflict with them.
        if cell.wrong and (truth is None or _differs(cell, truth.get(where))):
            return Mark.WRONG
        if cell.bold or (problem is not None and where in problem and not _differs(cell, problem[where])):
            return Mark.GIVEN
        return Mark.FILLED if self.label is None else Mark.RIGHT


def scene_of(
    task: Task, problem: Problems, recording: Recording, *, elements: int, tolerance: float
) -> Scene:
    """What a recording of the restarts of one problem shows.

    A label that the problem does not have is asked of the task, which may be able to find it.

    Args:
        task: of the problem.
        problem: one row.
        recording: of that problem alone.
        elements: numbers that a state has.
        tolerance: root-mean-square change of one of them an iteration, under which a restart rests.
    """
    label = None if problem.labels is None else problem.labels[0]
    if label is None:
        found, faults = task.label(problem.inputs)
        label = None if faults else found[0]
    right = _right(task, problem.inputs, label, recording)
    return Scene(task, problem.inputs[0], label, recording, _settled(recording, elements, tolerance), right)


def _right(
    task: Task, inputs: Tensor, label: Tensor | None, recording: Recording
) -> NDArray[np.bool_] | None:
    if label is None and not task.rules:
        return None
    answers = torch.tensor(recording.answers)
    answers = answers.masked_fill(~task.asked(inputs), 0)
    flat = answers.flatten(0, 1)
    if label is None:
        right = task.valid(inputs.expand(len(flat), -1), flat)
    else:
        right = exactly_right(flat, label)
        valid = valid_answers(task, inputs, flat[None])
        right = right if valid is None else right | valid[0]
    return right.view(answers.shape[:2]).numpy()


def _settled(recording: Recording, elements: int, tolerance: float) -> NDArray[np.bool_]:
    residuals = recording.residuals / np.sqrt(elements)
    count, depth = residuals.shape
    settled = np.zeros((count, depth + 1), dtype=bool)
    for iteration in range(1, depth + 1):
        recent = residuals[:, max(0, iteration - WINDOW) : iteration]
        with np.errstate(invalid="ignore"):
            settled[:, iteration] = recent.mean(axis=1) <= tolerance
    for row, length in enumerate(recording.length.tolist()):
        settled[row, length:] = settled[row, length] or recording.halted[row]
    return settled


def _cells(panel: Panel) -> dict[Where, Cell]:
    return {
        (row, column): cell
        for row, cells in enumerate(panel.rows)
        for column, cell in enumerate(cells)
        if cell is not None
    }


def _differs(cell: Cell, other: Cell | None) -> bool:
    return other is None or (cell.text, cell.fill, cell.dot) != (other.text, other.fill, other.dot)
