"""Sudoku as a task: boards of any box shape up to side 16, read, written, generated, varied and checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
import torch
from pydantic import field_validator
from rich.text import Text
from torch import Tensor

from equilibria.errors import DataError
from equilibria.tasks.interface import Problems, Task
from equilibria.tasks.sudoku import generator, rules
from equilibria.tasks.sudoku.board import DIGITS, Box, side, symbol
from equilibria.tasks.sudoku.render import render_board
from equilibria.tasks.sudoku.symmetry import CANONICAL_SIDE, Symmetry, canonical, draws
from equilibria.tasks.sudoku.table import read_boards, unique_solutions
from equilibria.tasks.sudoku.text import infer_box, parse_boards
from equilibria.tasks.table import existing_file, header


class Sudoku(Task):
    """Fill the board so that each row, column and box holds every digit once."""

    name = "sudoku"

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

    def parse(self, text: str, where: str = "input") -> Problems:
        """The puzzles of `text`: one-line strings or grids, any number of them (see `parse_boards`)."""
        boards, _ = parse_boards(text, self.box, where)
        return Problems(torch.from_numpy(boards), None, (where,) * len(boards))

    def read(self, path: str | Path, *, limit: int | None = None, labelled: bool = True) -> Problems:
        """The puzzles of a CSV table, or of a text file as `parse` takes it, at most the first `limit`.

        A table is checked as `read_boards` says. The solver finds the labels of a text file; each puzzle must
        have one solution. Raises DataError.
        """
        if limit is not None and limit < 1:
            raise DataError(f"limit {limit}: read at least one puzzle")
        path = existing_file(path)
        if names := header(path):
            return read_boards(path, names, self.box, limit=limit, labelled=labelled)
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        boards, lines = parse_boards(text, self.box, str(path))
        boards, lines = boards[:limit], lines[:limit]
        labels = torch.from_numpy(unique_solutions(boards, lines, self.box, str(path))) if labelled else None
        return Problems(torch.from_numpy(boards), labels, (path.stem,) * len(boards))

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
