"""Word problems of a group as a task (state tracking; FPRM, A5 and S5)."""

from typing import Self

import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator
from rich.text import Text
from torch import Tensor

from equilibria.errors import DataError
from equilibria.tasks.interface import Task
from equilibria.tasks.permutations.group import Group, group
from equilibria.tasks.permutations.picture import product_panels
from equilibria.tasks.permutations.rows import draw_mixed, draw_rows, products
from equilibria.tasks.permutations.text import decode, encode, parse_rows, symbol
from equilibria.tasks.picture import Panel
from equilibria.tasks.problems import Problems
from equilibria.tasks.table import RowError, Rows

ACROSS = 12  # elements on a line of a terminal


class Permutations(Task):
    """Multiply the elements of a row from left to right, and say the product after each of them.

    Token: the number of an element + 1. An element is written as `Group` writes it: permutations in one-line
    notation (`21345`), integers as themselves; either may be given by number as well.
    """

    name = "permutations"

    class Config(Task.Config):
        """`group`: A3-A5, S2-S5 or Z2-Z254; `length`: elements of a problem, the longest there are.

        With `shortest`, generated problems have all lengths from that to `length`, equally often, and pads.
        """

        group: str = "A5"
        length: int = Field(default=32, ge=1)
        shortest: int | None = Field(default=None, ge=1)

        @field_validator("group")
        @classmethod
        def _exists(cls, name: str) -> str:
            try:
                return group(name).name
            except DataError as error:
                raise ValueError(str(error)) from None

        @field_validator("shortest")
        @classmethod
        def _in_order(cls, shortest: int | None, others: ValidationInfo) -> int | None:
            if shortest is not None and shortest > others.data.get("length", shortest):
                raise ValueError(f"it must not exceed the length {others.data['length']}")
            return shortest

    config: Config

    def __init__(self, config: Config | None = None):
        super().__init__(config)
        self.group: Group = group(self.config.group)
        self.length = self.config.length

    @classmethod
    def for_text(cls, text: str) -> Self:
        """Problems of A5 as long as the first one in `text`. Raises DataError where that is none."""
        first: list[str] = next(
            (words for line in text.splitlines() if (words := line.split("#")[0].split())), []
        )
        task = cls(cls.Config(length=max(len(first), 1)))
        task.parse(" ".join(first))
        return task

    def at_length(self, length: int) -> Self:
        """The same group with problems of another length, all of them that long."""
        return type(self)(self.Config(group=self.config.group, length=length))

    @property
    def vocab_size(self) -> int:
        return self.group.size + 1

    @property
    def board(self) -> tuple[int, int]:
        return 1, self.length

    def parse_with_lines(self, text: str, where: str) -> tuple[Tensor, list[int]]:
        """A problem a line: elements with spaces between. Shorter ones are padded."""
        rows, lines = parse_rows(text, self.group, self.length, where)
        return torch.from_numpy(rows), lines

    def decode(self, rows: Rows) -> Problems:
        inputs = torch.from_numpy(decode(rows.questions, self.group, self.length, "question"))
        labels = None
        if rows.answers is not None:
            labels = torch.from_numpy(decode(rows.answers, self.group, self.length, "answer"))
            for row in torch.nonzero((labels != products(self.group, inputs)).any(1))[:1, 0].tolist():
                mistake = self._mistakes(inputs[row], labels[row])[0]
                raise RowError(row, f"the answer is wrong: {mistake}")
        ratings = None if rows.ratings is None else torch.from_numpy(rows.ratings)
        return Problems(inputs, labels, tuple(rows.sources), ratings)

    def label(self, inputs: Tensor) -> tuple[Tensor, dict[int, str]]:
        """The product after each element."""
        return products(self.group, inputs), {}

    def spell(self, cells: list[int]) -> str:
        """Elements by their numbers."""
        return " ".join(map(str, cells))

    def generate(self, count: int, *, seed: int, min_rating: float = 0) -> Problems:
        """`count` distinct problems with all their prefix products; a rating is the number of elements.

        Sets of `generate_splits` have no row in common; the published ones are not held against each other.
        """
        if count < 1:
            raise DataError(f"generate at least one problem, not {count}")
        shortest = max(self.config.shortest or self.length, int(np.ceil(min_rating)))
        if shortest > self.length:
            raise DataError(
                f"no problem is rated {min_rating:g}: a rating is a problem's length, at most {self.length}"
            )
        rng = np.random.default_rng(seed)
        if shortest == self.length:
            rows = draw_rows(self.group, self.length, count, rng)
        else:
            rows = draw_mixed(self.group, range(shortest, self.length + 1), count, rng, self.length)
        inputs = torch.from_numpy(rows)
        ratings = (inputs > 0).sum(1).float()
        return Problems(inputs, products(self.group, inputs), ("generated",) * count, ratings)

    def difficulty(self, inputs: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """The elements of a row."""
        return {"sequence length": (inputs > 0).sum(1).float()}

    def violations(self, inputs: Tensor, answers: Tensor) -> list[list[str]]:
        return [self._mistakes(row, answer) for row, answer in zip(inputs, answers, strict=True)]

    def _mistakes(self, inputs: Tensor, answers: Tensor) -> list[str]:
        """What is wrong with one answer [tokens]."""
        right = products(self.group, inputs[None])[0].tolist()
        return [
            f"position {place}: {symbol(token, self.group)} stands there, "
            + (
                f"the first {place} elements multiply to {symbol(wanted, self.group)}"
                if wanted
                else "the problem has no element there"
            )
            for place, (token, wanted) in enumerate(zip(answers.tolist(), right, strict=True), 1)
            if token != wanted
        ]

    def valid(self, inputs: Tensor, answers: Tensor) -> Tensor:
        return ((answers == products(self.group, inputs)) | (inputs == 0)).all(1)

    def format(self, tokens: Tensor) -> str:
        """Elements with spaces between, pads at the end left out."""
        return encode(tokens.tolist(), self.group)

    def render(self, inputs: Tensor, answers: Tensor | None = None, labels: Tensor | None = None) -> Text:
        """Elements, and under each the product so far; `!` after one that is wrong."""
        del labels  # the products say what is right
        count = int((inputs > 0).sum())
        right = products(self.group, inputs[None])[0].tolist()
        width = max(map(len, self.group.symbols)) + 2
        text = Text()
        for start in range(0, count, ACROSS):
            places = range(start, min(start + ACROSS, count))
            text.append("\n" if start else "")
            text.append(f"{start + 1:>4} · ", "dim")
            for place in places:
                text.append(f"{symbol(int(inputs[place]), self.group):<{width}}", "bold")
            if answers is None:
                continue
            text.append("\n     = ", "dim")
            for place in places:
                token = int(answers[place])
                wrong = token != right[place]
                shown = symbol(token, self.group) + ("!" if wrong else "")
                text.append(f"{shown:<{width}}", "underline red" if wrong else None)
        return text

    def panels(
        self, inputs: Tensor, answers: Tensor | None = None, labels: Tensor | None = None
    ) -> list[Panel]:
        """Elements, and under each the product so far."""
        broken = None if answers is None else self._mistakes(inputs, answers)
        return product_panels(self.group, inputs, answers, labels, broken)
