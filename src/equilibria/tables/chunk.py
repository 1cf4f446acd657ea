"""Consecutive rows of a table, and those among them that could not be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CHUNK = 65_536  # rows held as Python objects at a time; the largest published table has four million
SHOWN = 200  # characters of a bad row that are worth showing


@dataclass(frozen=True)
class Broken:
    """A row that is no row: with the wrong number of fields, say, or that is not JSON.

    `row`: its number from 0 over all rows of the file; `place`: its line from 1 (CSV, JSONL); `text`: what
    stands there, shortened; `reason`: what is wrong, as the end of a sentence that begins with the place.
    """

    row: int
    place: int
    text: str
    reason: str


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of a table, as columns of equal length.

    `names`: all columns the file has (JSONL: that these rows have), stripped and in lower case; `columns`:
    the values of those that were asked for; `rows`: the number of each row from 0 over all rows of the file,
    broken ones counted; `places`: where a person finds it, its line (CSV, JSONL) or row (NPZ, Parquet), from
    1; `word`: "line" or "row"; `broken`: the rows between these that could not be read.
    """

    names: tuple[str, ...]
    columns: dict[str, list[Any]]
    rows: Sequence[int]
    places: Sequence[int]
    word: str
    broken: list[Broken]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: slice) -> "Chunk":
        """The readable rows of a slice, without the broken ones."""
        columns = {name: values[key] for name, values in self.columns.items()}
        return Chunk(self.names, columns, self.rows[key], self.places[key], self.word, [])


def shortened(text: str) -> str:
    """At most the first 200 characters of `text`, the last of them an ellipsis where more was there."""
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def tidy(name: str) -> str:
    """The name of a column as it is looked up: stripped and in lower case."""
    return name.strip().lower()


def twice(names: Sequence[str]) -> str | None:
    """The first name that stands twice among `names`."""
    if len(set(names)) == len(names):
        return None
    return next(name for place, name in enumerate(names) if name in names[:place])
