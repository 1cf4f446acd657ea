"""Grids of any kind as a task: symbols and shape come from the data, or from the recipe that data left."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError, field_validator, model_validator
from rich.text import Text
from torch import Tensor

from equilibria.errors import DataError
from equilibria.tables import Chunk, Format
from equilibria.tasks.grids.cells import CellError, check_symbol, place_of, unmarked
from equilibria.tasks.grids.files import grid_chunks
from equilibria.tasks.grids.fit import fit
from equilibria.tasks.grids.notation import MARK, MOST, Notation
from equilibria.tasks.grids.picture import grid_panels
from equilibria.tasks.grids.render import render_grid
from equilibria.tasks.grids.symmetry import Kind, Symmetries
from equilibria.tasks.interface import Task
from equilibria.tasks.picture import Panel
from equilibria.tasks.problems import Problems
from equilibria.tasks.reading import Scan
from equilibria.tasks.splits import source_files
from equilibria.tasks.table import RowError, Rows, placed

HELD_OUT = 0.1  # share of all inputs


class Grids(Task):
    """Make the target of an input, cell by cell: both are grids of the same shape.

    No rule is known: what is right, the targets say. A grid smaller than the board lies in its top left
    corner. Where nothing else is said, symbols and shape are those of the data (`fitted`).
    """

    name = "grids"
    noun = "grid"
    rules = False

    class Config(Task.Config):
        """`symbols`: what a cell may be, in the order of their tokens; `height`, `width`: of the largest
        grid. None: as in the data.

        `ignore`: what stands in a cell of a target that is not scored (and null in JSON). `symmetry`: whether
        mirrored grids (`mirrors`), or turned ones as well (`dihedral`), are equivalent problems. `relabel`:
        symbols that may change places without changing what is right, such as the digits of a Sudoku.
        """

        symbols: tuple[str, ...] | None = None
        height: int | None = Field(default=None, ge=1)
        width: int | None = Field(default=None, ge=1)
        ignore: str = "-100"
        symmetry: Kind = "none"
        relabel: tuple[str, ...] = ()

        @field_validator("symbols", "relabel", mode="before")
        @classmethod
        def _whole_numbers_are_symbols(cls, symbols: Any) -> Any:
            if not isinstance(symbols, (list, tuple)):
                return symbols
            return tuple(str(one) if type(one) is int else one for one in symbols)

        @field_validator("ignore", mode="before")
        @classmethod
        def _a_whole_number_too(cls, ignore: Any) -> Any:
            return str(ignore) if type(ignore) is int else ignore

        @field_validator("symbols", "relabel")
        @classmethod
        def _are_symbols(cls, symbols: tuple[str, ...] | None) -> tuple[str, ...] | None:
            for symbol in symbols or ():
                try:
                    check_symbol(symbol)
                except CellError as error:
                    raise ValueError(str(error)) from None
            if len(set(symbols or ())) < len(symbols or ()):
                raise ValueError("a symbol stands there twice")
            if symbols and len(symbols) > MOST:
                raise ValueError(f"there may be {MOST} symbols, these are {len(symbols)}")
            if symbols and " " in symbols and any(len(symbol) > 1 for symbol in symbols):
                raise ValueError("a space can be a symbol only where every symbol is one character")
            return symbols

        @model_validator(mode="after")
        def _fits(self) -> Self:
            if self.symbols is not None and (strange := sorted(set(self.relabel) - set(self.symbols))):
                raise ValueError(f"relabel: {strange[0]!r} is none of the symbols {' '.join(self.symbols)}")
            if len(self.relabel) == 1:
                raise ValueError("relabel: name at least two symbols that may change places")
            sides = {self.height, self.width}
            if self.symmetry == "dihedral" and None not in sides and len(sides) > 1:
                raise ValueError(
                    "symmetry: dihedral turns grids, so the board must be square, not "
                    f"{self.height}×{self.width}; set height and width to the greater, or choose mirrors"
                )
            return self

    config: Config

    def __init__(self, config: Config | None = None):
        super().__init__(config)
        self.draws = self.symmetries.draws if self._is_open() is None else 0

    def _is_open(self) -> str | None:
        """The first thing that only data can say."""
        fields = ("symbols", "height", "width")
        return next((name for name in fields if getattr(self.config, name) is None), None)

    def fitted(self, source: str, held_out: str | None = None) -> Self:
        """The task with symbols and shape as in the data, where its config leaves them open.

        Raises DataError where these cannot be read, or do not fit the rest of the config.
        """
        if self._is_open() is None:
            return self
        if source == "generated":
            raise DataError(
                "grids are yours to bring: name a file, a folder or a Hub data set with data.source=…, "
                'such as JSON lines of {"input": [[0, 1], [1, 0]], "target": [[1, 1], [1, 1]]}'
            )
        symbols, (height, width) = fit(
            source_files(source, held_out), self.config.ignore, self.config.symbols
        )
        known = {name: value for name, value in self.config.model_dump().items() if value is not None}
        try:
            return type(self)(
                self.Config.model_validate({"symbols": symbols, "height": height, "width": width} | known)
            )
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise DataError(f"{source} does not fit the task: {reason}") from None

    @cached_property
    def notation(self) -> Notation:
        """How grids are written. Raises DataError where symbols or shape are still open."""
        if missing := self._is_open():
            raise DataError(
                f"the {missing} of these grids is not known: name the data they are read from "
                f"(data.source=FILE), or set task.{missing}"
            )
        return Notation(self.config.symbols or (), self.board, self.config.ignore)

    @cached_property
    def symmetries(self) -> Symmetries:
        """What turns a problem into an equivalent one."""
        tokens = {symbol: token for token, symbol in enumerate(self.config.symbols or (), 1)}
        relabel = tuple(tokens.get(symbol, 0) for symbol in self.config.relabel)
        return Symmetries(self.board, self.config.symmetry, relabel)

    @property
    def vocab_size(self) -> int:
        """Symbols and the pad; without symbols where these are open."""
        return 1 + len(self.config.symbols or ())

    @property
    def board(self) -> tuple[int, int]:
        """Of the largest grid; 1 where it is open."""
        return self.config.height or 1, self.config.width or 1

    def chunks(
        self, path: Path, format: Format, *, labelled: bool, limit: int | None = None
    ) -> Iterator[Chunk]:
        """Rows of the columns input and target (or question and answer), as text."""
        return grid_chunks(path, format, labelled=labelled, limit=limit)

    def parse_with_lines(self, text: str, where: str) -> tuple[Tensor, list[int]]:
        """A grid a line, its rows with `/` between."""
        numbered = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if not numbered:
            raise DataError(f"{where} holds no grid: write one a line, with / between its rows")
        lines = [number for number, _ in numbered]
        with placed(where, lines):
            inputs, _ = self.notation.encode([line for _, line in numbered], "input")
        return torch.from_numpy(inputs), lines

    def content(self, line: str) -> str:
        """The line itself: any character may be a symbol."""
        return line

    def decode(self, rows: Rows) -> Problems:
        inputs, shapes = self.notation.encode(rows.questions, "input")
        labels = None
        if rows.answers is not None:
            labels, wanted = self.notation.encode(rows.answers, "target")
            for row, (shape, other) in enumerate(zip(shapes, wanted, strict=True)):
                if shape != other:
                    raise RowError(
                        row,
                        f"the target is {other[0]}×{other[1]} and the input {shape[0]}×{shape[1]}: give both "
                        "the same shape; fill the input up with a symbol of its own, and the target with "
                        f"{self.config.ignore} (or null) where nothing is asked",
                    )
            for row in np.flatnonzero(~labels.any(1))[:1].tolist():
                raise RowError(row, "no cell of the target is scored")
        return Problems(
            torch.from_numpy(inputs),
            None if labels is None else torch.from_numpy(labels),
            tuple(rows.sources),
            None if rows.ratings is None else torch.from_numpy(rows.ratings),
        )

    def scan(self, path: str | Path, *, labelled: bool = False) -> Scan:
        """As `Task.scan`."""
        found = super().scan(path, labelled=labelled)
        rejected = [replace(one, text=unmarked(one.text)) for one in found.rejected]
        return replace(found, rejected=rejected)

    def write(self, problems: Problems, path: str | Path) -> None:
        """As `Task.write`; cells that are not scored are written as `ignore`."""
        if problems.labels is not None:
            unscored = (problems.labels == 0) & (problems.inputs != 0)
            if unscored.any() and " " in self.notation.symbols and len(self.config.ignore) > 1:
                raise DataError(
                    f"{self.config.ignore!r}, for cells that are not scored, cannot be written beside the "
                    "symbol ' ': set the task's ignore to one character"
                )
            problems = replace(problems, labels=problems.labels.masked_fill(unscored, MARK))
        super().write(problems, path)

    def label(self, inputs: Tensor) -> tuple[Tensor, dict[int, str]]:
        """No answers: no program knows the rule."""
        reason = "its answer cannot be computed: give it in a table (column target)"
        return torch.zeros_like(inputs), dict.fromkeys(range(len(inputs)), reason)

    def held_out(self, problems: Problems) -> Tensor:
        """A tenth of all inputs, by a hash of each: so no order and no other problem decides about it.

        Problems that are equivalent under the task's symmetries fall on the same side. Where the hash picks
        none, the input with the least is held out.
        """
        return torch.from_numpy(chosen(self.hashes(self.canonical(problems.inputs))))

    def canonical(self, inputs: Tensor) -> Tensor:
        """One representative of each problem [count, tokens]: the same for all that `augment` makes of it."""
        return self.symmetries.canonical(inputs)

    def hashes(self, grids: Tensor) -> NDArray[np.uint64]:
        """64 bits of each grid [count, tokens], by its symbols: neither vocabulary nor padding enter."""
        digests = (
            hashlib.blake2b(self.notation.text(grid, spaced=True).encode(), digest_size=8).digest()
            for grid in grids.numpy()
        )
        return np.frombuffer(b"".join(digests), "<u8")

    def overlap(self, train: Problems, held_out: Problems) -> str:
        """How many held-out grids have a new target, and how many are new under the task's symmetries."""
        assert train.labels is not None
        assert held_out.labels is not None
        new = _new(train.labels, held_out.labels)
        words = f"{new:,} of {len(held_out):,} held-out grids have a target no training grid has"
        if not self.draws:
            return words
        new = _new(*(self.canonical(part.inputs) for part in (train, held_out)))
        return f"{words}; {new:,} are inequivalent to every training grid under the task's symmetries"

    def augment(self, inputs: Tensor, labels: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """Equivalent problems, by the symmetries that the config names."""
        return self.symmetries.apply(inputs, labels, uniforms)

    def violations(self, inputs: Tensor, answers: Tensor) -> list[list[str]]:
        """Cells that are asked and empty: whether the others are right, no rule says."""
        width = self.board[1]
        return [
            [f"{place_of(*(1 + part for part in divmod(cell, width)))} is empty" for cell in row.tolist()]
            for row in (empty.nonzero()[:, 0] for empty in (inputs != 0) & (answers == 0))
        ]

    def valid(self, inputs: Tensor, answers: Tensor) -> Tensor:
        """Whether every cell that is asked has a symbol, which is all that can be checked."""
        return ((inputs == 0) | (answers != 0)).all(1)

    def format(self, tokens: Tensor) -> str:
        """Cells without spaces where each is one character, with spaces otherwise; `/` between rows."""
        return self.notation.text(tokens.cpu().numpy())

    def render(self, inputs: Tensor, answers: Tensor | None = None, labels: Tensor | None = None) -> Text:
        """The problem, and beside it (or, where that is too wide, alone) the answer, wrong cells marked."""
        answer, label = (None if tokens is None else tokens.cpu().numpy() for tokens in (answers, labels))
        return render_grid(self.notation, inputs.cpu().numpy(), answer, label)

    def panels(
        self, inputs: Tensor, answers: Tensor | None = None, labels: Tensor | None = None
    ) -> list[Panel]:
        answer, label = (None if tokens is None else tokens.cpu().numpy() for tokens in (answers, labels))
        return grid_panels(self.notation, inputs.cpu().numpy(), answer, label)


def chosen(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which inputs, by their hashes, are held out: a tenth of all there could be, and the least at least."""
    return (hashes < HELD_OUT * 2.0**64) | (hashes == hashes.min())


def _new(known: Tensor, grids: Tensor) -> int:
    """How many of `grids` [count, tokens] are none of those that are `known`."""
    rows = {row.tobytes() for row in known.numpy()}
    return sum(row.tobytes() not in rows for row in grids.numpy())
