"""The values of a column on their way to and from a file: plain Python, one kind a column."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from equilibria.errors import DataError

KINDS = {str: "text", bool: "booleans", int: "whole numbers", float: "numbers", list: "lists"}


def plain(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """Columns as lists of plain Python values, from lists, arrays or tensors.

    Raises DataError where there is no column, where lengths differ, and as `kind` does.
    """
    lists = {name: _listed(values) for name, values in columns.items()}
    if not lists:
        raise DataError("there is no column to write")
    if len({len(values) for values in lists.values()}) > 1:
        shown = ", ".join(f"{name} {len(values):,}" for name, values in lists.items())
        raise DataError(f"all columns need the same number of rows; there are: {shown}")
    return {
        name: _encodable(values) if kind(name, values) is str else values for name, values in lists.items()
    }


def kind(name: str, values: list[Any]) -> type | None:
    """The type of all values of a column but None: str, bool, int, float or list; None without any.

    Whole numbers between others are numbers. Raises DataError for a mixture, or for another type.
    """
    found = {type(value) for value in values} - {type(None)}
    if found == {int, float}:
        return float
    if unknown := found - set(KINDS):
        types = ", ".join(sorted(one.__name__ for one in unknown))
        raise DataError(f"the column {name!r} holds values of type {types}: write them as text")
    if len(found) > 1:
        mixture = " and ".join(word for one, word in KINDS.items() if one in found)
        raise DataError(f"the column {name!r} mixes {mixture}: give it values of one kind")
    return found.pop() if found else None


def texts(values: list[Any]) -> list[Any]:
    """The same values with bytes read as UTF-8: some writers store text so."""
    if bytes not in set(map(type, values)):
        return values
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]


def _listed(values: Any) -> list[Any]:
    if hasattr(values, "tolist"):
        return values.tolist()
    return [
        value.item() if isinstance(value, np.generic) else list(value) if isinstance(value, tuple) else value
        for value in values
    ]


def _encodable(values: list[Any]) -> list[Any]:
    """Text without halves of characters, which JSON can name (\\ud800) and no file can hold."""
    try:
        "".join(value for value in values if value is not None).encode()
    except UnicodeEncodeError:
        return [None if value is None else value.encode("utf-8", "replace").decode() for value in values]
    return values
