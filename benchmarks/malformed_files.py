"""Files that are damaged, hostile or simply wrong: how each is written, what reads it, what must be said."""

import io
import json
import os
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

READERS = {
    "inspect": ("data", "inspect", "{}"),
    "grids": ("train", "eqr-grid", "data.source={}", "--dry-run"),
    "sudoku": ("train", "eqr-sudoku6-cpu", "data.source={}", "--device", "cpu"),
    "maze": ("train", "eqr-maze-unique", "data.source={}", "--device", "cpu"),
    "solve": ("solve", "{}", "--with", "sudoku-6x6", "--device", "cpu"),
    "arc": ("train", "eqr-mini-arc", "task.corpora=[{}]", "--device", "cpu"),
}
"""Arguments of the command line, with the file's place."""

GIB = 2**30
GOOD = '{"input": [[1, 2], [2, 1]], "target": [[2, 1], [1, 2]]}\n'
GRID = np.array([[[1, 2], [2, 1]]] * 4)
SQUARE = [[1, 2], [3, 4]]
PUZZLE = {"train": [{"input": SQUARE, "output": SQUARE}], "test": [{"input": SQUARE, "output": SQUARE}]}
BOARD = "123456456123231564564231312645645312"


@dataclass(frozen=True)
class Case:
    """A file `file` that `write` makes at a path, and what a reader must say of it.

    `place`: where the mistake is, a regular expression; `remedy`: words that say what would be right, one
    too; `reader`: of `READERS`; `large`: too large or too slow to write for a test.
    """

    name: str
    file: str
    write: Callable[[Path], object]
    place: str
    remedy: str
    reader: str = "inspect"
    large: bool = False


def text(content: str | bytes) -> Callable[[Path], object]:
    """Writes this content."""
    data = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(data)


def line(content: str) -> Callable[[Path], object]:
    """Writes JSON lines, the third of them this one."""
    return text(GOOD + GOOD + content + "\n" + GOOD)


def pair(first: str, second: str = "[1, 2]") -> Callable[[Path], object]:
    """Writes JSON lines, the third with this input and this target."""
    return line(f'{{"input": {first}, "target": {second}}}')


def arrays(**columns: Any) -> Callable[[Path], object]:
    """Writes an NPZ archive."""
    return lambda path: np.savez(path, **columns)


def stored(array: Any) -> bytes:
    """An array as a member of an archive."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def claimed(shape: tuple[int, ...], kind: str = "<i8") -> bytes:
    """The beginning of an array of this shape, and nothing more."""
    file = io.BytesIO()
    header = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def members(method: int = zipfile.ZIP_STORED, **contents: bytes) -> Callable[[Path], object]:
    """Writes a zip archive with these members, `input` standing for input.npy."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, content in contents.items():
                archive.writestr(f"{name}.npy", content)

    return write


def traversal(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../../escaped.npy", "/tmp/rooted.npy", "..\\input.npy"):
            archive.writestr(name, stored(GRID))


def zeros(size: int, method: int = zipfile.ZIP_DEFLATED, turned: bool = False) -> Callable[[Path], object]:
    """Writes an archive whose two arrays unpack to `size` zeros a piece."""

    def write(path: Path) -> None:
        header = io.BytesIO()
        shape = {"descr": "|u1", "fortran_order": turned, "shape": (size // 100, 10, 10)}
        np.lib.format.write_array_header_1_0(header, shape)
        with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive:
            for name in ("input.npy", "target.npy"):
                with archive.open(name, "w", force_zip64=True) as file:
                    file.write(header.getvalue())
                    for _ in range(size // 2**20):
                        file.write(bytes(2**20))

    return write


def lying(path: Path) -> None:
    """An archive whose list and whose headers both say that its arrays are ten times as large as they are."""
    array = claimed((40, 2, 2)) + GRID.tobytes()
    members(zipfile.ZIP_DEFLATED, input=array, target=array)(path)
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\1\2")
    while at >= 0:
        size = struct.unpack_from("<I", content, at + 24)[0]
        struct.pack_into("<I", content, at + 24, 10 * size)
        at = content.find(b"PK\1\2", at + 1)
    path.write_bytes(content)


def crowded(path: Path) -> None:
    """An archive of 100,000 members."""
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(100_000):
            archive.writestr(f"{number}.npy", b"")


def pickled(path: Path) -> None:
    np.savez(path, input=np.array([{"a": 1}, None], object), target=np.array([1, 2]))


def damaged(suffix: str, how: str) -> Callable[[Path], object]:
    """Writes a good file with its end cut off (`cut`) or a stretch of it overwritten (`spoilt`)."""

    def write(path: Path) -> None:
        whole = good(suffix)
        middle = len(whole) // 2
        if how == "cut":
            path.write_bytes(whole[:middle])
        else:
            path.write_bytes(whole[: middle // 2] + bytes(middle) + whole[middle // 2 + middle :])

    return write


def good(suffix: str) -> bytes:
    """The bytes of a good file of grids."""
    file = io.BytesIO()
    if suffix == ".npz":
        np.savez_compressed(file, input=GRID, target=GRID)
    elif suffix == ".parquet":
        parquet({"input": GRID.tolist(), "target": GRID.tolist()})(file)
    elif suffix == ".csv":
        file.write(b"input,target\n" + b'12/21,21/12\n"34/43","43/34"\n' * 3)
    else:
        file.write(GOOD.encode() * 4)
    return file.getvalue()


def parquet(columns: dict[str, list[Any]]) -> Callable[[Any], object]:
    """Writes a Parquet file, to a path or an open file."""

    def write(file: Any) -> None:
        import pyarrow  # optional in an installation, so no import of the module
        from pyarrow.parquet import write_table

        write_table(pyarrow.table(columns), file)

    return write


def long_row(path: Path) -> None:
    """Parquet of one row with 20 million numbers, in a few kilobytes."""
    import pyarrow
    from pyarrow.parquet import write_table

    count = 20_000_000
    values = pyarrow.array(np.zeros(count, np.int8))
    column = pyarrow.LargeListArray.from_arrays(pyarrow.array([0, count], pyarrow.int64()), values)
    write_table(pyarrow.table({"input": column, "target": column}), path, compression="zstd")


def long_line(begin: bytes, filling: bytes, size: int = 2 * GIB) -> Callable[[Path], object]:
    """Writes `begin` and then `filling`, over and over without a line's end, until there are `size` bytes."""

    def write(path: Path) -> None:
        part = filling * (2**22 // len(filling))
        with path.open("wb") as file:
            file.write(begin)
            while file.tell() < size:
                file.write(part)

    return write


def sparse(begin: bytes, size: int = 2 * GIB) -> Callable[[Path], object]:
    """Writes `begin`, and a hole up to `size` bytes: NULs, which take no disk."""

    def write(path: Path) -> None:
        path.write_bytes(begin)
        os.truncate(path, size)

    return write


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to("nowhere.jsonl")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def failing(path: Path) -> None:
    """A link to a file of Linux that opens and then fails as it is read."""
    path.symlink_to("/proc/self/mem")


def folder(path: Path) -> None:
    path.mkdir()


def unreadable(path: Path) -> None:
    path.write_text(GOOD)
    path.chmod(0)


def task(content: Any) -> Callable[[Path], object]:
    """Writes a folder with one ARC task of this content."""

    def write(path: Path) -> None:
        path.mkdir()
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (path / "one.json").write_bytes(data)

    return write


def in_folder(name: str, write: Callable[[Path], object]) -> Callable[[Path], object]:
    """Writes a folder with one file."""

    def both(path: Path) -> None:
        path.mkdir()
        write(path / name)

    return both


def mutated(suffix: str, seed: int) -> Callable[[Path], object]:
    """Writes a good file with bytes changed, a stretch left out or doubled, and something before it.

    What stands before makes sure that no mutation is good by chance: a row that is none, or no archive.
    """

    def write(path: Path) -> None:
        chance = random.Random(f"{suffix} {seed}")
        content = bytearray(good(suffix))
        for _ in range(chance.randint(4, 12)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        start = chance.randrange(len(content))
        stretch = content[start : start + chance.randint(1, 40)]
        if chance.random() < 0.5:
            del content[start : start + len(stretch)]
        else:
            content[start:start] = stretch
        if suffix == ".npz" and seed % 2:  # damage among the numbers, which their checksum tells
            content = bytearray(good(suffix))
            for _ in range(4):
                content[chance.randrange(60, 160)] ^= chance.randrange(1, 256)
        elif suffix in (".npz", ".parquet"):
            del content[-chance.randint(30, 60) :]
        else:
            content = (b"input,target\n" if suffix == ".csv" else b"") + b'"\xff{[1\n' + content
        path.write_bytes(content)

    return write


def other_lines(count: int) -> Callable[[Path], object]:
    """Writes JSON lines with ever new numbers as cells."""
    rows = (f'{{"input": [{3 * row}, 7], "target": [{3 * row + 1}, 7]}}\n' for row in range(count))
    return text("".join(rows))


SUDOKU = "question,answer\n" + f"{BOARD.replace('1', '.')},{BOARD}\n"
LINE_3 = r"mine\.jsonl, line 3"


def _grids() -> Iterator[Case]:
    """A user's own grids: what stands in the cells."""
    cells = {
        "ragged rows": ("[[1, 2], [3]]", "give all rows the same length"),
        "rows beside cells": ("[[1, 2], 3]", "write whole numbers or short texts"),
        "nested too deep": ("[[[1]], [[2]]]", "write whole numbers or short texts"),
        "floats": ("[1.5, 2]", "write whole numbers"),
        "NaN": ("[NaN, 2]", "write whole numbers"),
        "infinity": ("[1, -Infinity]", "write whole numbers"),
        "an integer beyond int64": (f"[1{'0' * 40}, 2]", "too large to be one of a few kinds"),
        "a negative one beyond int64": (f"[-1{'0' * 40}, 2]", "too large to be one of a few kinds"),
        "an integer of 9,000 digits": (f"[1{'0' * 9000}, 2]", "a number has thousands of digits"),
        "booleans": ("[true, 2]", "write whole numbers or short texts"),
        "nulls": ("[null, 2]", "write whole numbers or short texts"),
        "objects as cells": ('[{"a": 1}, 2]', "write whole numbers or short texts"),
        "texts as cells": (f'["{"a" * 40}", 2]', "a symbol may have 16"),
        "control characters": (r'["\u0007", 2]', "use printable characters"),
        "half a character": (r'["\ud800", 2]', "use printable characters"),
        "an empty grid": ("[]", "it is empty"),
        "empty rows": ("[[], []]", "it is empty"),
        "a number for a grid": ("12", "write a list of cells, or text"),
        "an object for a grid": ('{"a": 1}', "write a list of cells, or text"),
        "a grid beyond the maximum": (f"[{', '.join('1' * 20_000)}]", "cut it into smaller ones"),
        "a text beyond the maximum": (f'"{"1" * 300_000}"', "more than a grid of 16,384 cells"),
    }
    for name, (cell, remedy) in cells.items():
        yield Case(name, "mine.jsonl", pair(cell), LINE_3, remedy)
    yield Case(
        "a target of another shape", "mine.jsonl", pair("[1]", "[1, 2]"), LINE_3, "give both the same shape"
    )
    yield Case("no target", "mine.jsonl", line('{"input": [1, 2]}'), LINE_3, "the target: there is none")
    yield Case(
        "nothing scored", "mine.jsonl", pair("[1]", "[null]"), LINE_3, "no cell of the target is scored"
    )
    yield Case(
        "more symbols than a token tells",
        "mine.jsonl",
        other_lines(200),
        "line 1?[0-9]{2}",
        "put them into bins",
    )


def _lines() -> Iterator[Case]:
    """JSON lines that are none."""
    yield Case(
        "JSON cut short",
        "mine.jsonl",
        line('{"input": [1, 2], "target": [1'),
        LINE_3,
        "write one object a line",
    )
    yield Case(
        "trailing garbage", "mine.jsonl", line(GOOD.strip() + ", 7"), LINE_3, "write one object a line"
    )
    yield Case("a list for an object", "mine.jsonl", line("[[1, 2], [2, 1]]"), LINE_3, "write one {…} a line")
    yield Case("a text for an object", "mine.jsonl", line('"12"'), LINE_3, "write one {…} a line")
    yield Case(
        "a key twice",
        "mine.jsonl",
        line('{"input": [1], "input": [2], "target": [1]}'),
        LINE_3,
        "leave one out",
    )
    yield Case(
        "a key twice but for capitals",
        "mine.jsonl",
        line('{"input": [1], " Input": [2], "target": [1]}'),
        LINE_3,
        "leave one out",
    )
    yield Case("brackets without end", "mine.jsonl", line("[" * 100_000), LINE_3, "write a list of rows")
    yield Case(
        "an indented JSON file",
        "mine.jsonl",
        text(json.dumps([PUZZLE], indent=1)),
        "line 1",
        "one object a line",
    )
    yield Case("no rows", "mine.jsonl", text(""), r"mine\.jsonl", "rename them or add a header")
    yield Case(
        "blank lines only", "mine.jsonl", text("\n \n\r\n"), r"mine\.jsonl", "rename them or add a header"
    )
    yield Case("other keys", "mine.jsonl", text('{"x": [1], "y": [2]}\n'), r"mine\.jsonl", "rename them")
    yield Case(
        "CSV by the name of JSONL", "mine.jsonl", text("input,target\n12,21\n"), "line 1", "one object a line"
    )
    yield Case(
        "NPZ by the name of JSONL",
        "mine.jsonl",
        lambda path: path.write_bytes(good(".npz")),
        "line 1",
        "object a line|UTF-8",
    )
    yield Case("UTF-16 with a mark", "mine.jsonl", text(GOOD.encode("utf-16")), "line 1", "save it as UTF-8")
    yield Case(
        "UTF-16 without a mark",
        "mine.jsonl",
        text(GOOD.encode("utf-16-le")),
        "line 1",
        "save the file as UTF-8",
    )
    latin = '{"input": ["é"], "target": ["é"]}'.encode("latin-1")
    yield Case("Latin-1", "mine.jsonl", text(2 * GOOD.encode() + latin), LINE_3, "save the file as UTF-8")
    yield Case("NUL bytes in a row", "mine.jsonl", line("\0\0\0"), LINE_3, "one object a line")
    yield Case(
        "a mark in the middle", "mine.jsonl", line("\ufeff" + GOOD.strip()), LINE_3, "one object a line"
    )
    yield Case(
        "2 GB in a line",
        "mine.jsonl",
        long_line(GOOD.encode() + b'{"input": [', b"1, "),
        "line 2",
        "a line for each",
        large=True,
    )
    yield Case(
        "2 GB of NULs in a line", "mine.jsonl", sparse(GOOD.encode()), "line 2", "a line for each", large=True
    )
    yield Case("2 GB of NULs", "mine.jsonl", sparse(b""), "line 1", "save the file as UTF-8", large=True)
    yield Case(
        "a million empty lists",
        "mine.jsonl",
        pair("[" + "[], " * 1_000_000 + "[]]"),
        LINE_3,
        "it is empty",
        large=True,
    )


def _csv() -> Iterator[Case]:
    """CSV that is none."""
    head = "input,target\n12,21\n"
    yield Case(
        "CSV without a header",
        "mine.csv",
        text("12,21\n21,12\n"),
        r"mine\.csv",
        "rename them or add a header",
    )
    yield Case(
        "CSV, header only", "mine.csv", text("input,target\n"), r"mine\.csv", "give it a row a problem"
    )
    yield Case("CSV, empty", "mine.csv", text(""), r"mine\.csv", "rename them or add a header")
    yield Case("CSV, no target", "mine.csv", text("input\n12\n"), r"mine\.csv", "rename them or add a header")
    yield Case("CSV, a column twice", "mine.csv", text("input,target,Input\n1,2,3\n"), "line 1", "rename one")
    yield Case("CSV, a field too many", "mine.csv", text(head + "12,21,3\n"), "line 3", "the header names 2")
    yield Case("CSV, a cell empty", "mine.csv", text(head + "12,\n"), "line 3", "it is empty")
    yield Case(
        "CSV, ragged rows", "mine.csv", text(head + "12/1,21/1\n"), "line 3", "give all rows the same length"
    )
    yield Case(
        "CSV, floats", "mine.csv", text(head + '"[1.5, 2]","[1, 2]"\n'), "line 3", "write whole numbers"
    )
    yield Case(
        "CSV, an open quote",
        "mine.csv",
        text(head + '"12,21\n' + "12,21\n" * 9),
        "line 3",
        "is a quote left open",
    )
    yield Case(
        "CSV, an open quote in 100,000 rows",
        "mine.csv",
        text(head + '"12,21\n' + "12,21\n" * 100_000),
        "line 3",
        "is a quote left open",
    )
    yield Case(
        "CSV, a bad row among CRLFs",
        "mine.csv",
        text(b"input,target\r\n12,21\r\n12,21\n12,2\r12,21\r\n"),
        "line 4",
        "give both the same shape|same length",
    )
    yield Case(
        "CSV, Latin-1",
        "mine.csv",
        text(head.encode() + "éü,üé\n".encode("latin-1")),
        "line 3",
        "save the file as UTF-8",
    )
    yield Case("CSV, UTF-16", "mine.csv", text(head.encode("utf-16")), "line 1", "save it as UTF-8")
    yield Case("CSV, UTF-32", "mine.csv", text(head.encode("utf-32-be")), "line 1", "save the file as UTF-8")
    yield Case(
        "CSV, NULs as cells", "mine.csv", text(head + "\0\0,\0\0\n"), r"mine\.csv", "use printable characters"
    )
    yield Case(
        "CSV, a field of 100 MB",
        "mine.csv",
        long_line(head.encode() + b'"', b"12", 100 * 2**20),
        "line 3",
        "a line for each",
        large=True,
    )
    yield Case(
        "CSV, 2 GB in a line",
        "mine.csv",
        long_line(head.encode(), b"12 "),
        "line 3",
        "a line for each",
        large=True,
    )
    yield Case(
        "CSV, 2 GB in the header",
        "mine.csv",
        long_line(b"input,", b"x,"),
        "line 1",
        "a line for each",
        large=True,
    )
    yield Case(
        "CSV, a million columns",
        "mine.csv",
        text("input,target," + "x," * 10**6 + "\n1,2\n"),
        "line 2",
        "the header names",
        large=True,
    )


def _npz() -> Iterator[Case]:
    """Archives that are none, or would do harm."""
    name, save = r"mine\.npz", "save it again|save the file again"
    yield Case("NPZ cut short", "mine.npz", damaged(".npz", "cut"), name, save)
    yield Case("NPZ overwritten", "mine.npz", damaged(".npz", "spoilt"), name, save)
    yield Case("NPZ, empty", "mine.npz", text(""), name, save)
    yield Case("NPZ without arrays", "mine.npz", members(), name, "rename them or add a header")
    yield Case("NPZ, one array", "mine.npz", text(stored(GRID)), name, "save the columns by name")
    yield Case("NPZ, pickled objects", "mine.npz", pickled, "'input'", "dtype=str")
    yield Case(
        "a pickle by the name of NPZ", "mine.npz", text(b"\x80\x04cos\nsystem\n(S'false'\ntR."), name, save
    )
    yield Case(
        "NPZ, floats", "mine.npz", arrays(input=GRID + 0.5, target=GRID), "row 1", "write whole numbers"
    )
    yield Case(
        "NPZ, NaN", "mine.npz", arrays(input=GRID * np.nan, target=GRID), "row 1", "write whole numbers"
    )
    yield Case(
        "NPZ, booleans", "mine.npz", arrays(input=GRID > 1, target=GRID), "row 1", "write whole numbers"
    )
    yield Case(
        "NPZ, dates",
        "mine.npz",
        arrays(input=GRID.astype("datetime64[s]"), target=GRID),
        "row 1",
        "write whole numbers",
    )
    yield Case(
        "NPZ, uint64 beyond int64",
        "mine.npz",
        arrays(input=GRID.astype(np.uint64) << 62, target=GRID),
        "row 1",
        "one of a few kinds",
    )
    yield Case(
        "NPZ, four dimensions",
        "mine.npz",
        arrays(input=GRID[..., None], target=GRID),
        "row 1",
        "write whole numbers",
    )
    yield Case(
        "NPZ, no dimension", "mine.npz", arrays(input=np.array(3), target=GRID), "'input'", "one entry a row"
    )
    yield Case(
        "NPZ, lengths that differ",
        "mine.npz",
        arrays(input=GRID, target=GRID[:3]),
        name,
        "must have one entry a row",
    )
    yield Case(
        "NPZ, no rows", "mine.npz", arrays(input=GRID[:0], target=GRID[:0]), name, "give it a row a problem"
    )
    yield Case("NPZ, other names", "mine.npz", arrays(x=GRID, y=GRID), name, "rename them")
    yield Case(
        "NPZ, a name twice", "mine.npz", arrays(input=GRID, target=GRID, Input=GRID), name, "rename one"
    )
    yield Case("NPZ, paths that climb", "mine.npz", traversal, name, "rename them")
    yield Case(
        "NPZ, a header claims 2^53 rows",
        "mine.npz",
        members(input=claimed((2**50, 9)), target=claimed((2**50, 9))),
        "'input'",
        save,
    )
    yield Case(
        "NPZ, a header claims a vast text",
        "mine.npz",
        members(input=claimed((1,), "<U500000000"), target=stored(GRID)),
        "'input'",
        save,
    )
    yield Case("NPZ, a list of members that lies", "mine.npz", lying, "'(input|target)'", save)
    yield Case(
        "NPZ, a bomb of 1 GB",
        "mine.npz",
        zeros(GIB),
        "'input'",
        "save it without repetition",
        large=True,
    )
    yield Case(
        "NPZ, a bomb in LZMA",
        "mine.npz",
        zeros(2**25, zipfile.ZIP_LZMA),
        "'input'",
        "use np.savez_compressed",
        large=True,
    )
    yield Case(
        "NPZ, a bomb in Fortran's order",
        "mine.npz",
        zeros(2**28, zipfile.ZIP_STORED, turned=True),
        "'input'",
        "save np.ascontiguousarray",
        large=True,
    )
    yield Case(
        "NPZ, a row of 64 MB",
        "mine.npz",
        members(input=claimed((1, 2**26), "|u1") + bytes(2**26), target=stored(GRID)),
        "'input'",
        "one entry a row",
        large=True,
    )
    yield Case("NPZ of 100,000 members", "mine.npz", crowded, name, "save few columns", large=True)


def _parquet() -> Iterator[Case]:
    """Parquet that is none."""
    name, grid = r"mine\.parquet", GRID.tolist()
    yield Case("Parquet cut short", "mine.parquet", damaged(".parquet", "cut"), name, "save it again")
    yield Case("Parquet overwritten", "mine.parquet", damaged(".parquet", "spoilt"), name, "save it again")
    yield Case("Parquet, empty", "mine.parquet", text(""), name, "save it again")
    yield Case(
        "CSV by the name of Parquet", "mine.parquet", text("input,target\n12,21\n"), name, "save it again"
    )
    yield Case("Parquet, other names", "mine.parquet", parquet({"x": grid, "y": grid}), name, "rename them")
    yield Case(
        "Parquet, floats",
        "mine.parquet",
        parquet({"input": (GRID + 0.5).tolist(), "target": grid}),
        "row 1",
        "write whole numbers",
    )
    yield Case(
        "Parquet, nulls",
        "mine.parquet",
        parquet({"input": [*grid[:3], None], "target": grid}),
        "row 4",
        "there is none",
    )
    yield Case(
        "Parquet, ragged rows",
        "mine.parquet",
        parquet({"input": [*grid[:3], [[1, 2], [3]]], "target": grid}),
        "row 4",
        "give all rows the same length",
    )
    yield Case(
        "Parquet, structures",
        "mine.parquet",
        parquet({"input": [{"a": 1}] * 4, "target": grid}),
        "row 1",
        "write a list of cells",
    )
    yield Case(
        "Parquet, a row of 20 million cells",
        "mine.parquet",
        long_row,
        "'input'",
        "write a row for each",
        large=True,
    )


def _places() -> Iterator[Case]:
    """What stands where a file should be."""
    yield Case("nothing there", "mine.jsonl", lambda path: None, r"mine\.jsonl", "give one")
    yield Case("an unknown suffix", "mine.xlsx", text(GOOD), r"mine\.xlsx", r"the name must end in \.jsonl")
    yield Case("a folder for a file", "mine.jsonl", folder, r"mine\.jsonl", "add it, or name a file")
    yield Case("a link to nowhere", "mine.jsonl", link, r"mine\.jsonl", "mend it")
    yield Case("a link to itself", "mine.jsonl", loop, r"mine\.jsonl", "cannot be read|mend it")
    yield Case("a pipe", "mine.jsonl", fifo, r"mine\.jsonl", "copy what it gives into a file")
    if Path("/proc/self/mem").exists():
        yield Case("a failing disk", "mine.jsonl", failing, r"mine\.jsonl", "cannot be read")
    yield Case("no permission", "mine.jsonl", unreadable, r"mine\.jsonl", "are its permissions right")
    yield Case(
        "a folder with a bad test file",
        "mine",
        in_folder("train.csv", text("input,target\n12,21\n")),
        "test.csv",
        "add it, or name a file",
    )


def _other_commands() -> Iterator[Case]:
    """The same kinds of mistakes where other commands and tasks read."""
    yield Case(
        "train on grids: ragged rows", "mine.jsonl", pair("[[1, 2], [3]]"), LINE_3, "same length", "grids"
    )
    yield Case(
        "train on grids: a bomb",
        "mine.npz",
        zeros(GIB),
        "'input'",
        "save it without repetition",
        "grids",
        large=True,
    )
    yield Case(
        "Sudoku: a field is missing",
        "mine.csv",
        text(SUDOKU + BOARD + "\n"),
        "line 3",
        "the header names 2",
        "sudoku",
    )
    yield Case(
        "Sudoku: a cell is no digit",
        "mine.csv",
        text(SUDOKU + f"x{BOARD[1:]},{BOARD}\n"),
        "line 3",
        "'x'",
        "sudoku",
    )
    yield Case(
        "Sudoku: an answer breaks the rules",
        "mine.csv",
        text(SUDOKU + f"{BOARD},{BOARD[::-1]}\n"),
        "line 3",
        "answer",
        "sudoku",
    )
    yield Case(
        "Sudoku: no answers", "mine.csv", text(f"question\n{BOARD}\n"), "line 1", "add the answers", "sudoku"
    )
    yield Case(
        "Sudoku: pickled objects",
        "mine.npz",
        lambda path: np.savez(path, question=np.array([{}, 1], object), answer=np.array([1, 2])),
        "'question'",
        "dtype=str",
        "sudoku",
    )
    yield Case(
        "Sudoku: 2 GB in a line of text",
        "mine.txt",
        long_line(b"", b"123456"),
        "line 1",
        "a line for each",
        "sudoku",
        large=True,
    )
    yield Case("Sudoku: a pipe", "mine.csv", fifo, r"mine\.csv", "copy what it gives", "sudoku")
    yield Case(
        "maze: a character that is none",
        "mine.csv",
        text(f"question,answer\n{'#' * 899}?,{'#' * 900}\n"),
        "line 2",
        "'\\?'",
        "maze",
    )
    yield Case(
        "solve: no such column", "mine.csv", text("puzzle\n1\n"), "line 1", "must name the columns", "solve"
    )
    yield Case(
        "solve: an archive cut short",
        "mine.npz",
        damaged(".npz", "cut"),
        r"mine\.npz",
        "save it again",
        "solve",
    )
    yield Case(
        "solve: 2 GB in a line of text",
        "mine.txt",
        sparse(b"12"),
        "line 1",
        "a line for each",
        "solve",
        large=True,
    )
    yield Case(
        "solve: UTF-16", "mine.csv", text(SUDOKU.encode("utf-16")), "line 1", "save it as UTF-8", "solve"
    )
    wrong = PUZZLE | {"test": [{"input": [[1, 10]]}]}
    where = r"one\.json, task one"
    yield Case(
        "ARC: a colour that is none",
        "arc",
        task(wrong),
        rf"{where}, test pair 1, input",
        "colours are 0 to 9",
        "arc",
    )
    yield Case(
        "ARC: ragged rows",
        "arc",
        task(PUZZLE | {"test": [{"input": [[1, 2], [3]]}]}),
        where,
        "row 2 has 1 cells",
        "arc",
    )
    yield Case(
        "ARC: no demonstrations", "arc", task({"test": PUZZLE["test"]}), where, "it needs 'train'", "arc"
    )
    yield Case(
        "ARC: a key missing",
        "arc",
        task(PUZZLE | {"train": [{"input": SQUARE}]}),
        where,
        "the key 'output'",
        "arc",
    )
    yield Case("ARC: a key twice", "arc", task(b'{"train": [], "train": []}'), where, "leave one out", "arc")
    yield Case(
        "ARC: an integer of 9,000 digits",
        "arc",
        task(b"[1" + b"0" * 9000 + b"]"),
        where,
        "thousands of digits",
        "arc",
    )
    yield Case("ARC: brackets without end", "arc", task(b"[" * 100_000), where, "write a list of rows", "arc")
    yield Case("ARC: UTF-16", "arc", task(json.dumps(PUZZLE).encode("utf-16")), where, "save it so", "arc")
    yield Case(
        "ARC: trailing garbage",
        "arc",
        task(json.dumps(PUZZLE).encode() + b"}"),
        where,
        "mend it there",
        "arc",
    )
    yield Case(
        "ARC: a pipe in the folder",
        "arc",
        in_folder("one.json", fifo),
        r"one\.json",
        "copy what it gives",
        "arc",
    )
    yield Case("ARC: no tasks in the folder", "arc", folder, "arc", "it needs challenges.json", "arc")
    yield Case(
        "ARC: 2 GB of lists",
        "arc",
        in_folder("one.json", long_line(b"[", b"[],")),
        where,
        "split it",
        "arc",
        large=True,
    )


def _fuzzed() -> Iterator[Case]:
    """Good files with random damage, the same at every run."""
    for suffix in (".jsonl", ".csv", ".npz", ".parquet"):
        for seed in range(4):
            place = rf"mine\{suffix}"
            yield Case(f"fuzzed {suffix[1:]} {seed}", f"mine{suffix}", mutated(suffix, seed), place, "[;:] ")


CASES = tuple(
    case
    for family in (_grids, _lines, _csv, _npz, _parquet, _places, _other_commands, _fuzzed)
    for case in family()
)
