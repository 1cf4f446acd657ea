"""Parquet, read and written by pyarrow, which is an optional part of an installation."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from equilibria.errors import DataError
from equilibria.tables.chunk import Chunk, shortened, tidy, twice
from equilibria.tables.values import kind, texts

# what comes through from below for a file that is damaged: names that are no text, sizes that cannot be
UNREADABLE = (OSError, ValueError, KeyError, IndexError, OverflowError, MemoryError, NotImplementedError)

LARGE, SQUEEZED = 2**26, 200  # bytes of a column, and times smaller in the file: no table is like that
HELD = 2**22  # values, or a quarter of the bytes, that are held at a time; as many of one row are too many


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
                raise DataError(f"{path}: two columns have the name {shortened(name)!r}; rename one")
            start = 0
            most = _rows_held(path, file.metadata, set(wanted.values()), rows) if wanted else rows
            batches = file.iter_batches(most, columns=list(wanted.values())) if wanted else ()
            for batch in batches:
                if batch.nbytes > 16 * HELD:
                    raise DataError(
                        f"{path}, row {start + 1} and the {batch.num_rows - 1:,} below have {batch.nbytes:,} "
                        "bytes, and a row is one problem; write a row for each"
                    )
                columns = {name: texts(batch[at].to_pylist()) for name, at in wanted.items()}
                stop = start + batch.num_rows
                yield Chunk(names, columns, range(start, stop), range(start + 1, stop + 1), "row", [])
                start = stop
            if start == 0:
                yield Chunk(names, {name: [] for name in wanted}, range(0), range(0), "row", [])
    except (arrow.ArrowException, *UNREADABLE) as error:
        raise DataError(
            f"{path} is no Parquet file that can be read: {_one_line(error)}; save it again"
        ) from None


def _one_line(error: Exception) -> str:
    return shortened(" ".join(str(error).split()))


def _rows_held(path: Path, about: Any, wanted: Collection[str], rows: int) -> int:
    """How many rows to read at a time, at most `rows`, by what the file says of itself.

    Raises DataError for columns that unpack to far more than is in the file, and for rows of too many values.
    """
    for number in range(about.num_row_groups):
        group = about.row_group(number)
        for part in map(group.column, range(group.num_columns)):
            name = part.path_in_schema.split(".")[0]
            if name not in wanted:
                continue
            where = f"{path}: the column {shortened(name)!r}"
            size, packed = part.total_uncompressed_size, part.total_compressed_size
            if size > LARGE and size > SQUEEZED * packed:
                raise DataError(
                    f"{where} unpacks to {size:,} bytes from {packed:,}, which is no table; "
                    "save it without repetition"
                )
            values = part.num_values // max(group.num_rows, 1)
            if values > HELD:
                raise DataError(
                    f"{where} has some {values:,} values in each row, and a row is one problem; "
                    "write a row for each"
                )
            rows = min(rows, HELD // max(values, 1))
    return rows


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
