"""EqR Fig. 13: one trajectory as boards; cells that were right are erased and found again.

The shipped 9×9 reasoner tries its example puzzles, or more. Of those that it solves, the one with the most
erased cells is drawn: an answer after every iteration, right cells shaded, one that oscillates circled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Circle, Rectangle
from numpy.typing import NDArray

from equilibria.diagnostics.drawing import COLOURS, COLUMN, STYLE
from equilibria.diagnostics.oscillation import flips
from equilibria.files import write_atomically
from equilibria.inference.recording import Record, Recorder
from equilibria.loading import load
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet
from equilibria.runs import evaluation_problems
from equilibria.shipped import find_checkpoint
from equilibria.tasks import Task

REASONER = "sudoku-9x9"
DEPTH = 32
MANY = 256
"""Held-out puzzles at the scale `paper`."""
ACROSS = 8
RIGHT = "#C9E7DC"  # a light tint of the green of Okabe and Ito
"""Fill of right cells."""


@dataclass(frozen=True)
class Trajectory:
    """A puzzle and what became of it.

    Attributes:
        problem, label: `[tokens]`.
        answers: `[depth + 1, tokens]`, by iteration; 0 is the decoded initial state.
        changes: `[tokens]` how often the answer of a cell changed, from iteration 1 on.
        retried: `[tokens]` bool: right, then wrong, then right again, likewise.
    """

    problem: NDArray[np.uint8]
    label: NDArray[np.uint8]
    answers: NDArray[np.uint8]
    changes: NDArray[np.int64]
    retried: NDArray[np.bool_]

    @property
    def right(self) -> NDArray[np.bool_]:
        """`[depth + 1, tokens]`."""
        return self.answers == self.label

    @property
    def solved(self) -> bool:
        """Whether it ends with the right answer."""
        return bool(self.right[-1].all())

    @property
    def oscillating(self) -> int:
        """The cell that changes most, of those that were erased and found again where there are any."""
        return int(np.where(self.retried, self.changes + len(self.answers), self.changes).argmax())

    def values(self) -> list[int]:
        """Tokens of that cell, one after the other, each once as long as it stays."""
        column = self.answers[1:, self.oscillating].tolist()
        return [token for place, token in enumerate(column) if not place or token != column[place - 1]]


def trajectories(setup: Setup) -> tuple[Task, list[Trajectory]]:
    """Every puzzle tried once, to the depth of the figure: the examples, or held-out ones of its sources."""
    pipeline = load(REASONER, "cpu" if setup.device == "auto" else setup.device, setup.overrides)
    if setup.scale == "cpu":
        problems = pipeline.task.read(find_checkpoint(REASONER) / "held-out.csv")
    else:
        problems = evaluation_problems(pipeline, None, MANY)
    recorder = Recorder(Record(states=0))
    pipeline.engine.pools(
        problems.inputs, depths=(DEPTH,), breadth=1, seed=setup.seeds - 1, recorders=(recorder,)
    )
    answers = recorder.recording().answers
    assert problems.labels is not None
    found = flips(answers[:, 1:], problems.labels)  # what is decoded from a random state is no attempt
    return pipeline.task, [
        Trajectory(*arrays)
        for arrays in zip(
            *(problems.inputs.numpy(), problems.labels.numpy(), answers),
            *(found.changes.numpy(), found.retried.numpy()),
            strict=True,
        )
    ]


def chosen(tried: Sequence[Trajectory]) -> int:
    """Of the puzzles that were solved, or of all, the one with the most erased cells; then the most
    changes."""
    return max(
        range(len(tried)),
        key=lambda place: (tried[place].solved, tried[place].retried.sum(), tried[place].changes.sum()),
    )


def run(setup: Setup) -> Findings:
    """Try the puzzles, choose one, and draw it."""
    setup.say(f"{REASONER} to depth {DEPTH}")
    task, tried = trajectories(setup)
    place = chosen(tried)
    one = tried[place]
    drawing = setup.out / "erase-and-retry.png"
    draw(one, task, drawing)
    rows = [_row(number, each) for number, each in enumerate(tried)]
    columns = {
        "puzzle": "{puzzle}",
        "solved": "{solved}",
        "changes": "{changes}",
        "cells that changed": "{changed}",
        "erased and found again": "{retried}",
        "right cells, most": "{most}",
        "in the end": "{end}",
    }
    steps = [
        {"iteration": step, "right": int(right.sum()), "answer": task.format(torch.from_numpy(answer))}
        for step, (right, answer) in enumerate(zip(one.right, one.answers, strict=True))
    ]
    return Findings(
        [
            Sheet("erase-and-retry", f"{REASONER}, every puzzle to depth {DEPTH}", rows, columns),
            Sheet("trajectory", "the one that is drawn", steps, {}),
        ],
        notes(tried, place, task),
        [drawing],
        {"reasoner": REASONER, "depth": DEPTH, "drawn": task.format(torch.from_numpy(one.problem))},
    )


def _row(number: int, one: Trajectory) -> Row:
    right = one.right[1:].sum(axis=1)
    return {
        "puzzle": number,
        "solved": "yes" if one.solved else "no",
        "changes": int(one.changes.sum()),
        "changed": int((one.changes > 0).sum()),
        "retried": int(one.retried.sum()),
        "most": int(right.max()),
        "end": int(right[-1]),
    }


def notes(tried: Sequence[Trajectory], place: int, task: Task) -> list[str]:
    """What is seen in the trajectories."""
    one = tried[place]
    solved = [each for each in tried if each.solved]
    erased = sum(bool(each.retried.any()) for each in solved)
    drops = sum(int((np.diff(each.right[1:].sum(axis=1)) < 0).any()) for each in solved)
    width = task.board[1]
    row, column = divmod(one.oscillating, width)
    told = " → ".join(_symbol(task, token) for token in one.values())
    return [
        f"{len(solved)} of {len(tried)} puzzles are solved at depth {DEPTH}. In {erased} of them a cell is "
        f"erased that was right, and found again; in {drops} the number of right cells falls at some "
        f"iteration. Reasoning is monotone (published: no): {'no' if drops or erased else 'yes'}.",
        f"Drawn is puzzle {place}: {int(one.retried.sum())} cells are erased and found again. The circled "
        f"cell (row {row + 1}, column {column + 1}) goes {told}.",
        "Published (Fig. 13): TRM on a puzzle of Sudoku-Extreme, a cell that goes between 2 and 6.",
    ]


def _symbol(task: Task, token: int) -> str:
    """How the task writes a token."""
    return task.format(torch.tensor([token]))


def draw(one: Trajectory, task: Task, path: Path) -> None:
    """The boards of all iterations, in rows."""
    from matplotlib import pyplot as plt  # without a display, as `drawing` has it

    steps, (height, width) = len(one.answers) - 1, task.board
    down = -(-steps // ACROSS)
    with plt.rc_context(STYLE):
        pads: Any = {"w_pad": 0.02, "h_pad": 0.02, "wspace": 0.01, "hspace": 0.01}
        size = (2.3 * COLUMN, 2.3 * COLUMN / ACROSS * 1.16 * down)
        figure, grid = plt.subplots(down, ACROSS, figsize=size, layout=ConstrainedLayoutEngine(**pads))
        try:
            for step, axes in enumerate(np.ravel(grid), start=1):
                axes.set_axis_off()
                if step <= steps:
                    _board(axes, one, step, task, height, width)
            write_atomically(path, lambda partial: figure.savefig(partial, format="png", dpi=300))
        finally:
            plt.close(figure)


def _board(axes: Any, one: Trajectory, step: int, task: Task, height: int, width: int) -> None:
    answer, given = one.answers[step], one.answers[step] == one.problem
    axes.set_xlim(-0.05, width + 0.05)
    axes.set_ylim(height + 0.05, -0.05)
    axes.set_aspect("equal")
    axes.set_title(f"{step}", fontsize=6, pad=1.5)
    for cell, token in enumerate(answer.tolist()):
        row, column = divmod(cell, width)
        if one.right[step, cell]:
            axes.add_patch(Rectangle((column, row), 1, 1, color=RIGHT, linewidth=0))
        look: Any = {"weight": "bold"} if given[cell] else {"color": COLOURS[0]}
        axes.text(
            *(column + 0.5, row + 0.54, _symbol(task, token)),
            fontsize=3.6,
            ha="center",
            va="center",
            **look,
        )
    tall, wide = getattr(task, "box", (height, width))
    for line in range(height + 1):
        axes.axhline(
            line, color="0.35" if line % tall == 0 else "0.8", linewidth=0.5 if line % tall == 0 else 0.2
        )
    for line in range(width + 1):
        axes.axvline(
            line, color="0.35" if line % wide == 0 else "0.8", linewidth=0.5 if line % wide == 0 else 0.2
        )
    row, column = divmod(one.oscillating, width)
    axes.add_patch(
        Circle(
            (column + 0.5, row + 0.5), 0.75, fill=False, edgecolor=COLOURS[1], linewidth=1.0, clip_on=False
        )
    )


REPRODUCTION = Reproduction(
    name="erase-and-retry",
    what="EqR Fig. 13: a trajectory that erases and retries",
    scales={
        "cpu": "the 20 example puzzles of the shipped 9×9 reasoner: 10 seconds on one core, no training",
        "paper": "256 held-out puzzles beside a folder sudoku-forum: 2 minutes on one core, no training",
    },
    run=run,
    seeds=1,
)
