"""Files of grids: which columns hold inputs and targets, read a few rows at a time."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from equilibria.errors import DataError
from equilibria.tables import Broken, Chunk, Format, read_columns, shortened
from equilibria.tasks.grids.cells import CellError, text_of

PAIRS = (("input", "target"), ("question", "answer"))
OTHERS = ("source", "rating")
ROWS = 512  # held at a time: a row may be a large grid


def grid_chunks(path: Path, format: Format, *, labelled: bool, limit: int | None = None) -> Iterator[Chunk]:
    """The rows of a table in chunks, at most the first `limit`, as text in the columns question and answer.

    Rows that are no grids are among the chunk's `broken`. Raises DataError for a table without the columns
    that are needed, and one that cannot be read at all.
    """
    pair: tuple[str, str] | None = None
    done = 0
    columns = (*PAIRS[0], *PAIRS[1], *OTHERS)
    for chunk in read_columns(path, format=format, only=columns, rows=min(ROWS, limit or ROWS)):
        pair = pair or _pair(path, chunk, labelled)
        if limit is not None and done + len(chunk) + len(chunk.broken) > limit:
            last = sorted([*chunk.rows, *(one.row for one in chunk.broken)])[limit - done - 1]
            broken = [one for one in chunk.broken if one.row <= last]
            chunk = replace(chunk[: sum(row <= last for row in chunk.rows)], broken=broken)
        done += len(chunk) + len(chunk.broken)
        yield _as_text(chunk, pair, labelled)
        if limit is not None and done >= limit:
            return


def refuse_broken(path: Path, chunk: Chunk) -> None:
    """Raise DataError for the first row of a chunk that could not be read."""
    for one in chunk.broken:
        raise DataError(f"{path}, {chunk.word} {one.place} {one.reason}")


def _pair(path: Path, chunk: Chunk, labelled: bool) -> tuple[str, str]:
    """The names of the columns of inputs and targets."""
    for given, wanted in PAIRS:
        if given in chunk.names and (wanted in chunk.names or not labelled):
            return given, wanted
    if not len(chunk):
        refuse_broken(path, chunk)
    names = ", ".join(map(repr, chunk.names))
    found = f"its columns are {shortened(names)}" if names else "there is nothing in it"
    needed = "input and target (or question and answer)" if labelled else "input (or question)"
    raise DataError(f"{path} needs the columns {needed}, and {found}; rename them or add a header")


def _as_text(chunk: Chunk, pair: tuple[str, str], labelled: bool) -> Chunk:
    """The rows that are grids, as text; the others join those that are broken."""
    missing: list[Any] = [None] * len(chunk)
    inputs = chunk.columns.get(pair[0], missing)
    targets = chunk.columns.get(pair[1], missing) if labelled else None
    kept: list[int] = []
    questions: list[str] = []
    answers: list[str] = []
    broken = list(chunk.broken)
    for row in range(len(chunk)):
        column = pair[0]
        try:
            question = text_of(inputs[row], target=False)
            column = pair[1]
            answer = "" if targets is None else text_of(targets[row], target=True)
        except CellError as error:
            text = shortened(repr(inputs[row] if column == pair[0] else (targets or missing)[row]))
            broken.append(
                Broken(chunk.rows[row], chunk.places[row], text, f"is no problem: the {column}: {error}")
            )
        else:
            kept.append(row)
            questions.append(question)
            answers.append(answer)
    values: dict[str, list[Any]] = {"question": questions}
    if targets is not None:
        values["answer"] = answers
    for name in OTHERS:
        if name in chunk.columns:
            values[name] = [chunk.columns[name][row] for row in kept]
    rows, places = [chunk.rows[row] for row in kept], [chunk.places[row] for row in kept]
    return Chunk(chunk.names, values, rows, places, chunk.word, sorted(broken, key=lambda one: one.row))
