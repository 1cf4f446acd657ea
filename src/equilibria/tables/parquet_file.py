"""Parquet, read and written by pyarrow, which is an optional part of an installation."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from equilibria.errors import DataError
from equilibria.tables.chunk import Chunk, tidy, twice
from equilibria.tables.values import kind, texts

# what comes through from below for a file that is damaged: names that are no text, sizes that cannot be
UNREADABLE = (OSError, ValueError, KeyError, IndexError, OverflowError, MemoryError, NotImplementedError)


def _pyarrow() -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet. Raises DataError where they are not installed."""
    try:
        import pyarrow  # optional, and slow to import
        import pyarrow.parquet
    except ImportError:
        raise DataError(
            "Parquet files need pyarrow, which is not installed: pip install 'equilibria[parquet]'"
        ) from None
    return pyarrow, pyarrow.parquet


def read(path: Path, rows: int, only: Collection[str] | None) -> Iterator[Chunk]:
    """Chunks of at most `rows` rows with the columns `only`; null is None.

    Raises DataError where pyarrow is missing, and for a file that it cannot read.
    """
    arrow, parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            stored: list[str] = file.schema_arrow.names
            names = tuple(map(tidy, stored))
            wanted = {tidy(name): name for name in stored if only is None or tidy(name) in only}
            if name := twice([name for name in names if name in wanted]):
                raise DataError(f"{path}: two columns have the name {name!r}; rename one")
            start = 0
            batches = file.iter_batches(rows, columns=list(wanted.values())) if wanted else ()
            for batch in batches:
                columns = {name: texts(batch[at].to_pylist()) for name, at in wanted.items()}
                stop = start + batch.num_rows
                yield Chunk(names, columns, range(start, stop), range(start + 1, stop + 1), "row", [])
                start = stop
            if start == 0:
                yield Chunk(names, {name: [] for name in wanted}, range(0), range(0), "row", [])
    except (arrow.ArrowException, *UNREADABLE) as error:
        raise DataError(f"{path} is no Parquet file that can be read: {error}") from None


def write(path: Path, columns: dict[str, list[Any]]) -> None:
    """Write columns as strings, booleans, int64, float64 or lists; None is null.

    Raises DataError where pyarrow is missing, and for lists that it has no type for.
    """
    arrow, parquet = _pyarrow()
    types = {str: arrow.string(), bool: arrow.bool_(), int: arrow.int64(), float: arrow.float64()}
    arrays = {}
    for name, values in columns.items():
        of = kind(name, values) if values else str
        try:
            arrays[name] = arrow.array(values, types.get(of) if of else None)
        except (arrow.ArrowException, OverflowError) as error:
            raise DataError(f"the column {name!r} does not fit Parquet ({error}): write text") from None
    parquet.write_table(arrow.table(arrays), path)
