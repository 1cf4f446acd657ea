"""Mazes as a task: square grids, read, written, generated, varied and checked (Maze-Hard, Maze-Unique)."""

from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from typing import Literal, Self

import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator
from rich.text import Text
from torch import Tensor

from equilibria.errors import DataError
from equilibria.tasks.interface import Task
from equilibria.tasks.maze import rules
from equilibria.tasks.maze.generator import Kind, generate_splits
from equilibria.tasks.maze.grid import CHARACTERS, PATH, solved
from equilibria.tasks.maze.picture import maze_panels
from equilibria.tasks.maze.render import render_maze
from equilibria.tasks.maze.symmetry import symmetric
from equilibria.tasks.maze.text import check, decode, infer_size, parse_mazes
from equilibria.tasks.picture import Panel
from equilibria.tasks.problems import Problems
from equilibria.tasks.table import RowError, Rows


class Maze(Task):
    """Mark a shortest way from S to G with `o`: any, where there are several.

    Walls are `#`, open cells spaces. The answer is the maze with the cells strictly between S and G marked.
    """

    name = "maze"
    noun = "maze"
    ambiguous = True  # a label names one shortest path, and there may be several

    class Config(Task.Config):
        """`size`: cells in a row; the other fields but the last say which mazes are generated.

        `mode`: "perfect" (one way between any two cells) or "random" (each cell a wall with probability
        `walls`, one shortest path if `unique`). `shortest`, `longest`: steps of the shortest path, all
        equally often; by default 100 to 140 at size 30 (Maze-Unique), and in proportion to the number of
        cells otherwise. Walled at random, paths that long are too rare to be found at size 30. So where paths
        need not be unique and only `shortest` is given, lengths come by chance: `mode: random, unique: false,
        shortest: 111` is Maze-Hard.

        `symmetries`: vary training problems by turns and mirror images. Off, as published: where labels name
        one of several shortest paths (Maze-Hard), their images name another by no rule that can be learned,
        and FPRM's accuracy falls to about 5%. Where paths are unique there is no such conflict.
        """

        size: int = Field(default=30, ge=3)
        mode: Literal["perfect", "random"] = "perfect"
        walls: float = Field(default=0.37, ge=0, lt=1)
        unique: bool = True
        shortest: int | None = Field(default=None, ge=1)
        longest: int | None = Field(default=None, ge=1)
        symmetries: bool = False

        @field_validator("longest")
        @classmethod
        def _in_order(cls, longest: int | None, others: ValidationInfo) -> int | None:
            shortest = others.data.get("shortest")
            if longest is not None and shortest is not None and shortest > longest:
                raise ValueError(f"it must not be below shortest, {shortest}")
            return longest

    config: Config

    def __init__(self, config: Config | None = None):
        super().__init__(config)
        self.size = self.config.size
        self.draws = int(self.config.symmetries)

    @classmethod
    def for_text(cls, text: str) -> Self:
        """The task whose mazes have the size of the first one in `text` (see `infer_size`)."""
        return cls(cls.Config(size=infer_size(text)))

    @property
    def vocab_size(self) -> int:
        return PATH + 1

    @property
    def board(self) -> tuple[int, int]:
        return self.size, self.size

    @property
    def kind(self) -> Kind:
        """The mazes that are generated."""
        config, cells = self.config, self.size**2
        perfect = config.mode == "perfect"
        if config.shortest and not (config.longest or perfect or config.unique):
            return Kind(self.size, config.shortest, None, perfect, config.walls, config.unique)
        longest = config.longest or max(config.shortest or 1, round(cells * 7 / 45))
        shortest = config.shortest or min(longest, round(cells / 9))
        return Kind(self.size, shortest, longest, perfect, config.walls, config.unique)

    def parse_with_lines(self, text: str, where: str) -> tuple[Tensor, list[int]]:
        """One-line strings or grids, any number of them (see `parse_mazes`)."""
        mazes, lines = parse_mazes(text, self.size, where)
        return torch.from_numpy(mazes), lines

    def decode(self, rows: Rows) -> Problems:
        mazes = decode(rows.questions, self.size, "question")
        check(mazes, self.size)
        answers = None
        if rows.answers is not None:
            answers = decode(rows.answers, self.size, "answer")
            for row in np.flatnonzero(~rules.valid(mazes, answers, self.size))[:1].tolist():
                problem = rules.violations(mazes[row], answers[row], self.size)[0]
                raise RowError(row, f"the answer is wrong: {problem}")
        return Problems(
            torch.from_numpy(mazes),
            None if answers is None else torch.from_numpy(answers),
            tuple(rows.sources),
            None if rows.ratings is None else torch.from_numpy(rows.ratings),
        )

    def label(self, inputs: Tensor) -> tuple[Tensor, dict[int, str]]:
        """One of the shortest paths of each maze."""
        labels = inputs.numpy().copy()
        for row, maze in enumerate(inputs.numpy()):
            labels[row] = solved(maze, self.size)
        return torch.from_numpy(labels), {}

    def content(self, line: str) -> str:
        """The line itself: `#` is a wall, and a space an open cell."""
        return line

    def generate(self, count: int, *, seed: int, min_rating: float = 0) -> Problems:
        """`count` distinct mazes whose shortest path takes at least `min_rating` steps; a rating is these."""
        return self.generate_splits({"all": count}, seed=seed, min_rating=min_rating)["all"]

    def generate_splits(
        self, counts: Mapping[str, int], *, seed: int, min_rating: float = 0
    ) -> dict[str, Problems]:
        """Sets of generated mazes, none of which comes twice (see `generator.generate_splits`)."""
        kind = self.kind
        if kind.longest is not None and min_rating > kind.longest:
            raise DataError(
                f"no maze is rated {min_rating:g}: a rating is the steps of the shortest path, here at most "
                f"{kind.longest}; raise longest"
            )
        kind = replace(kind, shortest=max(kind.shortest, ceil(min_rating)))
        splits = {}
        for name, (mazes, answers) in generate_splits(counts, kind, seed=seed).items():
            labels = torch.from_numpy(answers)
            steps = (labels == PATH).sum(1) + 1
            splits[name] = Problems(
                torch.from_numpy(mazes), labels, ("generated",) * len(mazes), steps.float()
            )
        return splits

    def overlap(self, train: Problems, held_out: Problems) -> str:
        """How many held-out mazes are no turned or mirrored image of a training maze."""
        images = [symmetric(train.inputs, torch.full((len(train),), which)).numpy() for which in range(8)]
        known = {row.tobytes() for image in images for row in image}
        new = sum(row.tobytes() not in known for row in held_out.inputs.numpy())
        return f"{new:,} of {len(held_out):,} held-out mazes are no turned or mirrored training maze"

    def augment(self, inputs: Tensor, labels: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """Turned and mirrored mazes, one of eight ways a row, where the task's `symmetries` ask for them."""
        if not self.draws:
            return inputs, labels
        which = (uniforms[:, 0] * 8).long()
        return symmetric(inputs, which), symmetric(labels, which)

    def difficulty(self, inputs: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """The steps of the shortest path, which a label shows."""
        return {} if labels is None else {"path length": ((labels == PATH).sum(1) + 1).float()}

    def violations(self, inputs: Tensor, answers: Tensor) -> list[list[str]]:
        pairs = zip(inputs.cpu().numpy(), answers.cpu().numpy(), strict=True)
        return [rules.violations(maze, answer, self.size) for maze, answer in pairs]

    def valid(self, inputs: Tensor, answers: Tensor) -> Tensor:
        right = rules.valid(inputs.cpu().numpy(), answers.cpu().numpy(), self.size)
        return torch.from_numpy(right).to(answers.device)

    def format(self, tokens: Tensor) -> str:
        """One character a cell, `?` for a token that is none."""
        return "".join(CHARACTERS[token] for token in tokens.tolist())

    def render(self, inputs: Tensor, answers: Tensor | None = None, labels: Tensor | None = None) -> Text:
        answer, label = (None if tokens is None else tokens.cpu().numpy() for tokens in (answers, labels))
        return render_maze(inputs.cpu().numpy(), answer, label, self.size)

    def panels(
        self, inputs: Tensor, answers: Tensor | None = None, labels: Tensor | None = None
    ) -> list[Panel]:
        answer, label = (None if tokens is None else tokens.cpu().numpy() for tokens in (answers, labels))
        return maze_panels(inputs.cpu().numpy(), answer, label, self.size)
