"""What a task is: problems as rows of tokens, and the rules that say which answers are right."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import torch
from pydantic import BaseModel, ConfigDict
from rich.text import Text
from torch import Tensor

from equilibria.errors import DataError
from equilibria.tasks.table import write_table


@dataclass(frozen=True)
class Problems:
    """Problems of one task, a row each.

    `inputs` uint8 [count, tokens]; `labels` uint8 [count, tokens] (0: a cell that is not scored) or None;
    `sources`: where each problem comes from; `ratings` float32 [count], how hard each is, or None.
    """

    inputs: Tensor
    labels: Tensor | None
    sources: tuple[str, ...]
    ratings: Tensor | None = None

    def __post_init__(self) -> None:
        count = len(self.inputs)
        if self.labels is not None and self.labels.shape != self.inputs.shape:
            raise DataError(f"labels {list(self.labels.shape)} must have the shape {list(self.inputs.shape)}")
        if len(self.sources) != count:
            raise DataError(f"{len(self.sources)} sources for {count} problems: give one a problem")
        if self.ratings is not None and self.ratings.shape != (count,):
            raise DataError(f"ratings {list(self.ratings.shape)} for {count} problems: give one a problem")

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, key: slice | Tensor) -> "Problems":
        """The rows of a slice, of an index tensor [n] or of a mask [count]."""
        rows = torch.arange(len(self))[key]
        return Problems(
            self.inputs[rows],
            None if self.labels is None else self.labels[rows],
            tuple(self.sources[row] for row in rows.tolist()),
            None if self.ratings is None else self.ratings[rows],
        )

    def fingerprint(self) -> str:
        """SHA-256 over inputs and labels, in hexadecimal: the same for equal problems in equal order."""
        digest = hashlib.sha256()
        for tensor in (self.inputs, self.labels):
            digest.update(b"none" if tensor is None else str(tuple(tensor.shape)).encode())
            if tensor is not None:
                digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    @staticmethod
    def concatenate(parts: "Sequence[Problems]") -> "Problems":
        """All rows of `parts` in order. Ratings stay where every part has them; labels in all or none."""
        if not parts:
            raise DataError("there is nothing to concatenate: give at least one set of problems")
        labels = [part.labels for part in parts if part.labels is not None]
        ratings = [part.ratings for part in parts if part.ratings is not None]
        if len(labels) not in (0, len(parts)):
            raise DataError("labelled and unlabelled problems cannot be concatenated: label all or none")
        return Problems(
            torch.cat([part.inputs for part in parts]),
            torch.cat(labels) if labels else None,
            tuple(source for part in parts for source in part.sources),
            torch.cat(ratings) if len(ratings) == len(parts) else None,
        )


class Task(ABC):
    """A kind of problem: how it is read and written, generated, varied and checked. It knows no model."""

    class Config(BaseModel):
        """What a recipe may say about the task, next to its name."""

        model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    draws: int = 0  # uniforms that `augment` takes per problem

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
    def parse(self, text: str, where: str = "input") -> Problems:
        """The unlabelled problems written in `text`; `where` names it in errors. Raises DataError."""

    @abstractmethod
    def read(self, path: str | Path, *, limit: int | None = None, labelled: bool = True) -> Problems:
        """The problems of a file, at most the first `limit`. Raises DataError naming line and cell."""

    def write(self, problems: Problems, path: str | Path) -> None:
        """Write `problems` as CSV that `read` takes back. A killed write leaves the old file whole."""
        columns: dict[str, list[str]] = {"source": list(problems.sources)}
        columns["question"] = [self.format(row) for row in problems.inputs]
        if problems.labels is not None:
            columns["answer"] = [self.format(row) for row in problems.labels]
        if problems.ratings is not None:
            columns["rating"] = [str(rating).removesuffix(".0") for rating in problems.ratings.numpy()]
        write_table(path, columns)

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

    def overlap(self, train: Problems, held_out: Problems) -> str:
        """What the two sets have in common beyond equal problems, in words; empty where nothing is known."""
        del train, held_out
        return ""

    def augment(self, inputs: Tensor, labels: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """Equivalent problems: a pure function of `uniforms` [batch, draws] in [0, 1), on their device."""
        del uniforms
        return inputs, labels

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
