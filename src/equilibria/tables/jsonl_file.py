"""JSON lines: an object a line, whose keys are the columns."""

import json
import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from equilibria.tables.chunk import Broken, Chunk, shortened, tidy, twice
from equilibria.tables.json_text import NotJsonError, parse_json
from equilibria.tables.lines import batches, lines, opened


def read(path: Path, rows: int, only: Collection[str] | None) -> Iterator[Chunk]:
    """Chunks of at most `rows` rows with the keys `only`; a key that an object lacks has the value None.

    Fewer where these are long. Raises DataError for a line that is too long to be a row, and where the file
    is no text.
    """
    with opened(path) as file:
        numbered = (
            (len(line), (number, line))
            for number, line in enumerate(lines(path, file), 1)
            if not line.isspace()
        )
        start = 0
        for batch in batches(numbered, rows):
            yield _chunk(batch, start, only)
            start += len(batch)


def _chunk(batch: list[tuple[int, str]], start: int, only: Collection[str] | None) -> Chunk:
    rows: list[int] = []
    places: list[int] = []
    records: list[dict[str, Any]] = []
    broken: list[Broken] = []
    for row, (place, line) in enumerate(batch, start):
        record = _record(line)
        if isinstance(record, str):
            broken.append(Broken(row, place, shortened(line.rstrip("\n")), record))
        else:
            rows.append(row)
            places.append(place)
            records.append(record)
    names = tuple(dict.fromkeys(name for record in records for name in record))
    wanted = [name for name in names if only is None or name in only]
    columns = {name: [record.get(name) for record in records] for name in wanted}
    return Chunk(names, columns, rows, places, "line", broken)


def _record(line: str) -> dict[str, Any] | str:
    """The object of one line, or why there is none."""
    try:
        record = parse_json(line, "write one object a line")
    except NotJsonError as error:
        return str(error)
    if not isinstance(record, dict):
        return "is JSON, but not an object: write one {…} a line, with a key for each column"
    names = [tidy(name) for name in record]
    if name := twice(names):
        return f"has the key {shortened(name)!r} twice; leave one out"
    return dict(zip(names, record.values(), strict=True))


def write(path: Path, columns: dict[str, list[Any]]) -> None:
    """Write columns; None, and numbers that JSON has no word for (NaN, infinities), are null."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for values in zip(*columns.values(), strict=True):
            record = dict(zip(columns, map(_value, values), strict=True))
            file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def _value(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return [_value(part) for part in value] if isinstance(value, list) else value
