"""What a task is: how problems become rows of tokens, and the rules that say which answers are right."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict
from rich.text import Text
from torch import Tensor

from equilibria.errors import DataError
from equilibria.tables import Chunk, Format, existing_file, write_columns
from equilibria.tasks.picture import Panel, board_panels
from equilibria.tasks.picture.board import symbols_of
from equilibria.tasks.problems import Problems
from equilibria.tasks.reading import Scan, read_problems, scan_problems
from equilibria.tasks.table import Rows, read_chunks


class Task(ABC):
    """A kind of problem: how it is read and written, generated, varied and checked. It knows no model."""

    class Config(BaseModel):
        """What a recipe may say about the task, next to its name."""

        model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    noun: ClassVar[str] = "problem"  # what a person calls one
    rules: ClassVar[bool] = True  # whether `valid` can tell right answers from wrong ones
    ambiguous: ClassVar[bool] = False  # whether a problem may have right answers besides its label
    draws: int = 0  # uniforms that `augment` and `vary` take per problem

    def __init__(self, config: Config | None = None):
        self.config = self.Config() if config is None else config

    @classmethod
    def for_text(cls, text: str) -> Self:
        """The task in the shape of the first problem in `text`; as it is where there is one shape only."""
        del text
        return cls()

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of token values, pad (0) included."""

    @property
    @abstractmethod
    def board(self) -> tuple[int, int]:
        """Height and width of the grid that the tokens form, row by row."""

    @property
    def tokens(self) -> int:
        """Tokens of one problem."""
        height, width = self.board
        return height * width

    @property
    def identifiers(self) -> int:
        """Number of puzzle identifiers: 1 where problems share one rule."""
        return 1

    @abstractmethod
    def parse_with_lines(self, text: str, where: str) -> tuple[Tensor, list[int]]:
        """The problems written in `text`, uint8 [count, tokens], and the line on which each begins.

        `where` names the text in errors. Raises DataError, also where there is no problem in it.
        """

    def fitted(self, source: str, held_out: str | None = None) -> Self:
        """The task with what its config leaves open filled in from data; itself where nothing is open.

        `source` and `held_out` are those of `load_splits`. Raises DataError.
        """
        del source, held_out
        return self

    def chunks(
        self, path: Path, format: Format, *, labelled: bool, limit: int | None = None
    ) -> Iterator[Chunk]:
        """The rows of a table in chunks, at most the first `limit`, with columns that `rows_of` takes.

        Raises DataError for a table without the columns that are needed, and one that cannot be read.
        """
        return read_chunks(path, format, labelled=labelled, spell=self.spell, limit=limit)

    @abstractmethod
    def decode(self, rows: Rows) -> Problems:
        """The problems of some rows of a table, with labels where the rows have answers.

        Raises RowError for a row whose question or answer is not right.
        """

    @abstractmethod
    def label(self, inputs: Tensor) -> tuple[Tensor, dict[int, str]]:
        """An answer to each problem [count, tokens], and for those without a single right one the reason."""

    def faults(self, problems: Problems) -> dict[int, str]:
        """Which labelled problems of a table are no good though `decode` takes them, and why.

        What is too dear to ask of each row; of a large table a sample may be looked at.
        """
        del problems
        return {}

    def spell(self, cells: list[int]) -> str | None:
        """The text of a problem or an answer given as whole numbers; None where these mean nothing.

        Raises RowError(0, …) for a number that cannot be a cell.
        """
        del cells
        return None

    def content(self, line: str) -> str:
        """What a line of a text file says, without comments and ornament."""
        return line.split("#")[0].strip()

    def parse(self, text: str, where: str = "input") -> Problems:
        """The unlabelled problems written in `text`; `where` names it in errors. Raises DataError."""
        inputs, _ = self.parse_with_lines(text, where)
        return Problems(inputs, None, (where,) * len(inputs))

    def read(self, path: str | Path, *, limit: int | None = None, labelled: bool = True) -> Problems:
        """The problems of a file, at most the first `limit`.

        The file is a table (.csv, .jsonl, .npz, .parquet) with the columns question and answer, and perhaps
        source and rating; or text as `parse` takes it, for which answers are found. Every row and answer is
        checked. Raises DataError naming line and cell.
        """
        if limit is not None and limit < 1:
            raise DataError(f"limit {limit}: read at least one {self.noun}")
        return read_problems(self, existing_file(path), limit=limit, labelled=labelled)

    def scan(self, path: str | Path, *, labelled: bool = False) -> Scan:
        """All problems of a file as `read` takes it, with bad rows set aside instead of raised.

        Of a text file that does not parse, bad lines are set aside where most problems stand on one line
        each; in drawn grids a mistake is raised, because it leaves open where the next one begins. Raises
        DataError for a file that is empty, unreadable or without the columns that are needed.
        """
        return scan_problems(self, existing_file(path), labelled=labelled)

    def write(self, problems: Problems, path: str | Path) -> None:
        """Write `problems` as a table that `read` takes back, in the format of the file's name.

        A killed write leaves the old file whole. Raises DataError for another name than .csv, .jsonl, .npz or
        .parquet, and for a folder that does not exist.
        """
        columns: dict[str, list[Any]] = {"source": list(problems.sources)}
        columns["question"] = [self.format(row) for row in problems.inputs]
        if problems.labels is not None:
            columns["answer"] = [self.format(row) for row in problems.labels]
        if problems.ratings is not None:
            # by way of the shortest text of a float32, so that 0.1 is not written as 0.10000000149
            columns["rating"] = [float(str(rating)) for rating in problems.ratings.numpy()]
        write_columns(path, columns)

    def generate(self, count: int, *, seed: int, min_rating: int = 0) -> Problems:
        """`count` new labelled problems rated `min_rating` or harder, the same for the same seed.

        Raises DataError where there is no way to make them.
        """
        del count, seed, min_rating
        raise DataError(f"{self.name} problems cannot be generated: name a file of them")

    def generate_splits(self, counts: Mapping[str, int], *, seed: int) -> dict[str, Problems]:
        """Sets of new labelled problems, of these sizes, that have no problem in common."""
        problems, splits, start = self.generate(sum(counts.values()), seed=seed), {}, 0
        for name, count in counts.items():
            splits[name] = problems[start : start + count]
            start += count
        return splits

    def own_splits(self, source: str) -> tuple[Problems, Problems, str] | None:
        """Training and held-out problems of a `source` that this task alone knows, and where they are from.

        None where `source` is to be read as `load_splits` says. Raises DataError.
        """
        del source
        return None

    def held_out(self, problems: Problems) -> Tensor | None:
        """Which problems of a file are kept from training: bool [count]; None: the last ones."""
        del problems
        return None

    def overlap(self, train: Problems, held_out: Problems) -> str:
        """What the two sets have in common beyond equal problems, in words; empty where nothing is known."""
        del train, held_out
        return ""

    def augment(self, inputs: Tensor, labels: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """Equivalent problems: a pure function of `uniforms` [batch, draws] in [0, 1), on their device."""
        del uniforms
        return inputs, labels

    def vary(
        self, inputs: Tensor, labels: Tensor, identifiers: Tensor, uniforms: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Training problems varied: `augment`, for problems with puzzle identities [batch].

        Where a task numbers its puzzles, an equivalent of a problem may be another puzzle.
        """
        inputs, labels = self.augment(inputs, labels, uniforms)
        return inputs, labels, identifiers

    def asked(self, inputs: Tensor) -> Tensor:
        """Which tokens an answer has: bool [count, tokens]. Where a problem is padded, nothing is asked."""
        return inputs != 0

    def difficulty(self, inputs: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """How hard each problem looks, by the name of what is counted: float32 [count]; empty: unknown.

        What can be read off the problems and, where there are any, their labels [count, tokens]; ratings that
        came with them are not among it.
        """
        del inputs, labels
        return {}

    @abstractmethod
    def violations(self, inputs: Tensor, answers: Tensor) -> list[list[str]]:
        """For each problem the rules its answer breaks, in words: an empty list is a valid answer."""

    @abstractmethod
    def valid(self, inputs: Tensor, answers: Tensor) -> Tensor:
        """Whether each answer [count, tokens] solves its problem: bool [count], on the tensors' device."""

    @abstractmethod
    def format(self, tokens: Tensor) -> str:
        """One problem or answer [tokens] on one line."""

    @abstractmethod
    def render(self, inputs: Tensor, answers: Tensor | None = None, labels: Tensor | None = None) -> Text:
        """One problem [tokens] for a terminal, with its answer, and marks where that is wrong."""

    def panels(
        self, inputs: Tensor, answers: Tensor | None = None, labels: Tensor | None = None
    ) -> list[Panel]:
        """One problem [tokens] for a picture, with its answer and the right one where there are any.

        Any board of tokens can be shown: each as `format` writes it, or as its number where that does not
        tell. A task with a look of its own says so here (`tasks.picture`).
        """
        broken = None
        if self.rules and answers is not None:
            broken = self.violations(inputs[None], answers[None])[0]
        answer, label = (None if tokens is None else tokens.tolist() for tokens in (answers, labels))
        symbol = symbols_of(self.format, self.tokens)
        return board_panels(self.board, symbol, inputs.tolist(), answer, label, broken)
