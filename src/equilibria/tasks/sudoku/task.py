"""Sudoku as a task: boards of any box shape up to side 16, read, written, generated, varied and checked."""

from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from pydantic import field_validator
from rich.text import Text
from torch import Tensor

from equilibria.tasks.interface import Task
from equilibria.tasks.picture import Panel
from equilibria.tasks.problems import Problems
from equilibria.tasks.sudoku import generator, rules
from equilibria.tasks.sudoku.board import BLANK, DIGITS, Box, side, symbol
from equilibria.tasks.sudoku.picture import sudoku_panels
from equilibria.tasks.sudoku.render import render_board
from equilibria.tasks.sudoku.symmetry import CANONICAL_SIDE, Symmetry, canonical, draws
from equilibria.tasks.sudoku.table import ambiguous, decode_rows, unique_solutions
from equilibria.tasks.sudoku.text import content, infer_box, parse_boards, spell
from equilibria.tasks.table import Rows


class Sudoku(Task):
    """Fill the board so that each row, column and box holds every digit once."""

    name = "sudoku"
    noun = "puzzle"

    class Config(Task.Config):
        """`box`: rows and columns of a box; 9×9 boards have (3, 3), 6×6 (2, 3), 4×4 (2, 2)."""

        box: Box = (3, 3)

        @field_validator("box")
        @classmethod
        def _fits(cls, box: Box) -> Box:
            if min(box) < 2 or side(box) > len(DIGITS):
                raise ValueError(f"a box has at least 2 rows and 2 columns, and at most {len(DIGITS)} cells")
            return box

    config: Config

    def __init__(self, config: Config | None = None):
        super().__init__(config)
        self.box = self.config.box
        self.draws = draws(self.box)

    @classmethod
    def for_text(cls, text: str) -> Self:
        """The task whose boards have as many cells as the first puzzle of `text` (see `infer_box`)."""
        return cls(cls.Config(box=infer_box(text)))

    @property
    def vocab_size(self) -> int:
        return side(self.box) + 2

    @property
    def board(self) -> tuple[int, int]:
        return side(self.box), side(self.box)

    def parse_with_lines(self, text: str, where: str) -> tuple[Tensor, list[int]]:
        """One-line strings or grids, any number of them (see `parse_boards`)."""
        boards, lines = parse_boards(text, self.box, where)
        return torch.from_numpy(boards), lines

    def decode(self, rows: Rows) -> Problems:
        return decode_rows(rows, self.box)

    def label(self, inputs: Tensor) -> tuple[Tensor, dict[int, str]]:
        """The solutions that a solver finds; a puzzle must have just one."""
        labels, faults = unique_solutions(inputs.numpy(), self.box)
        return torch.from_numpy(labels), faults

    def faults(self, problems: Problems) -> dict[int, str]:
        """Puzzles with several solutions, up to 50,000 looked at (see `ambiguous`)."""
        return ambiguous(problems.inputs.numpy(), self.box)

    def spell(self, cells: list[int]) -> str:
        return spell(cells, self.box)

    def content(self, line: str) -> str:
        return content(line)

    def generate(self, count: int, *, seed: int, min_rating: float = 0) -> Problems:
        """`count` distinct minimal puzzles with one solution, that take at least `min_rating` guesses."""
        return self.generate_splits({"all": count}, seed=seed, min_rating=min_rating)["all"]

    def generate_splits(
        self, counts: Mapping[str, int], *, seed: int, min_rating: float = 0
    ) -> dict[str, Problems]:
        """Sets of generated puzzles of which no two share a solved grid (see `generator.generate_splits`)."""
        splits = generator.generate_splits(counts, self.box, seed=seed, min_rating=min_rating)
        return {
            name: Problems(
                torch.from_numpy(np.stack([clues for clues, _, _ in puzzles])),
                torch.from_numpy(np.stack([solution for _, solution, _ in puzzles])),
                ("generated",) * len(puzzles),
                torch.tensor([guesses for _, _, guesses in puzzles]),
            )
            for name, puzzles in splits.items()
        }

    def overlap(self, train: Problems, held_out: Problems) -> str:
        """How many held-out puzzles, and solved grids, are new; equivalence is counted up to side 6."""
        assert train.labels is not None
        assert held_out.labels is not None
        grids = {row.tobytes() for row in train.labels.numpy()}
        fresh = sum(row.tobytes() not in grids for row in held_out.labels.numpy())
        words = f"{fresh:,} of {len(held_out):,} held-out puzzles have a solved grid no training puzzle has"
        if side(self.box) > CANONICAL_SIDE:
            return words
        known = {row.tobytes() for row in canonical(train.inputs.numpy(), self.box)}
        new = sum(row.tobytes() not in known for row in canonical(held_out.inputs.numpy(), self.box))
        return f"{words}; {new:,} are inequivalent to every training puzzle under the Sudoku symmetries"

    def augment(self, inputs: Tensor, labels: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """Equivalent puzzles under random symmetries, one a row (see `Symmetry`)."""
        symmetry = Symmetry.draw(uniforms, self.box)
        return symmetry.apply(inputs), symmetry.apply(labels)

    def difficulty(self, inputs: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """The cells to fill."""
        return {"empty cells": (inputs == BLANK).sum(1).float()}

    def violations(self, inputs: Tensor, answers: Tensor) -> list[list[str]]:
        pairs = zip(inputs.cpu().numpy(), answers.cpu().numpy(), strict=True)
        return [rules.violations(board, answer, self.box) for board, answer in pairs]

    def valid(self, inputs: Tensor, answers: Tensor) -> Tensor:
        return rules.valid(inputs, answers, self.box)

    def format(self, tokens: Tensor) -> str:
        """One character a cell, `.` for an empty one."""
        return "".join(map(symbol, tokens.tolist()))

    def render(self, inputs: Tensor, answers: Tensor | None = None, labels: Tensor | None = None) -> Text:
        answer, label = (None if tokens is None else tokens.cpu().numpy() for tokens in (answers, labels))
        return render_board(inputs.cpu().numpy(), answer, label, self.box)

    def panels(
        self, inputs: Tensor, answers: Tensor | None = None, labels: Tensor | None = None
    ) -> list[Panel]:
        answer, label = (None if tokens is None else tokens.cpu().numpy() for tokens in (answers, labels))
        return sudoku_panels(inputs.cpu().numpy(), answer, label, self.box)
