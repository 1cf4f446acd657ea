"""Tables in four formats: what is written reads back, and what cannot be read is said, row by row."""

import json
import math
import os
import pickle
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from equilibria.errors import DataError
from equilibria.tables import Broken, read_columns, shortened, table_format, write_columns

SUFFIXES = ["csv", "jsonl", "ndjson", "npz", "parquet"]
TYPED = ["jsonl", "npz", "parquet"]  # numbers stay numbers
AWKWARD = [
    "plain",
    "a, b",
    'say "so"',
    '"',
    "two\nlines",
    "two\r\nlines",
    "a lone\rreturn",
    "",
    "  spaces  ",
    "grün 九 😀",
    "line\u2028separator\x85",
    "tab\tand\x1cmore",
    "# no comment",
    "null",
    "nan",
    "'",
]


def columns_of(path, **options):
    """All rows of a table that has no broken ones."""
    columns = {}
    for chunk in read_columns(path, **options):
        assert not chunk.broken
        for name, values in chunk.columns.items():
            columns.setdefault(name, []).extend(values)
    return columns


@pytest.fixture
def file(tmp_path):
    def write(content, name="some.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def no_pyarrow(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_awkward_text_reads_back(tmp_path, suffix):
    path = tmp_path / f"made.{suffix}"
    write_columns(path, {"question": AWKWARD, "second one": AWKWARD[::-1]})
    assert columns_of(path) == {"question": AWKWARD, "second one": AWKWARD[::-1]}
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(
        st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8), min_size=1, max_size=8
    ),
    rows=st.integers(1, 4),
)
def test_any_text_reads_back_in_chunks_of_any_size(tmp_path, suffix, texts, rows):
    path = tmp_path / f"made.{suffix}"
    write_columns(path, {"a": texts, "b": texts[::-1]})
    assert columns_of(path, rows=rows) == {"a": texts, "b": texts[::-1]}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_single_column_with_empty_rows_keeps_them(tmp_path, suffix):
    path = tmp_path / f"made.{suffix}"
    write_columns(path, {"question": ["", "x", ""]})
    assert columns_of(path) == {"question": ["", "x", ""]}


@pytest.mark.parametrize("suffix", TYPED)
def test_numbers_and_booleans_keep_their_type(tmp_path, suffix):
    path = tmp_path / f"made.{suffix}"
    columns = {
        "whole": [-3, 0, 2**62],
        "real": [0.1, 1 / 3, 1e300],
        "right": [True, False, True],
        "cells": [[1, 2], [3, 4], [5, 6]],
        "file": ["a name that", "np.savez", "cannot take"],
    }
    write_columns(path, columns)
    back = columns_of(path)
    assert back == columns
    for name in ("whole", "real", "right"):
        assert {type(value) for value in back[name]} == {type(columns[name][0])}


def test_numbers_in_csv_are_their_shortest_text(tmp_path):
    path = tmp_path / "made.csv"
    write_columns(
        path,
        {"n": [1, 2], "f": [2.0, 2.5], "x": [0.1, math.nan], "b": [True, False], "l": [[1, 2], [3, None]]},
    )
    assert path.read_bytes() == b'n,f,x,b,l\n1,2,0.1,true,"[1, 2]"\n2,2.5,nan,false,"[3, null]"\n'


@pytest.mark.parametrize("suffix", ["csv", *TYPED])
def test_missing_values(tmp_path, suffix):
    path = tmp_path / f"made.{suffix}"
    write_columns(
        path, {"t": ["a", None], "i": [1, None], "x": [0.5, None], "b": [True, None], "n": [None, None]}
    )
    back = columns_of(path)
    if suffix == "csv":
        assert back == {"t": ["a", ""], "i": ["1", ""], "x": ["0.5", ""], "b": ["true", ""], "n": ["", ""]}
    elif suffix == "npz":
        assert back["t"] == ["a", ""]
        assert [back[name][0] for name in "ixb"] == [1.0, 0.5, 1.0]
        assert all(math.isnan(back[name][1]) for name in "ixbn")
    else:
        assert back == {
            "t": ["a", None],
            "i": [1, None],
            "x": [0.5, None],
            "b": [True, None],
            "n": [None] * 2,
        }


@pytest.mark.parametrize("suffix", TYPED)
def test_what_is_no_finite_number(tmp_path, suffix):
    path = tmp_path / f"made.{suffix}"
    write_columns(path, {"x": [math.nan, math.inf, -1.5], "y": [[math.nan], [0.5], [1]]})
    back = columns_of(path)
    if suffix == "jsonl":
        assert back == {"x": [None, None, -1.5], "y": [[None], [0.5], [1]]}
        for line in path.read_text().splitlines():
            json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    else:
        assert math.isnan(back["x"][0]) and back["x"][1:] == [math.inf, -1.5]
        assert math.isnan(back["y"][0][0]) and back["y"][1:] == [[0.5], [1]]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_half_a_character_is_replaced_where_no_file_could_hold_it(tmp_path, suffix):
    path = tmp_path / f"made.{suffix}"
    write_columns(path, {"t": [json.loads('"a\\ud800"'), "b", None]})
    assert columns_of(path)["t"][:2] == ["a?", "b"]


@pytest.mark.parametrize("suffix", TYPED)
def test_arrays_and_tensors_are_columns_too(tmp_path, suffix):
    path = tmp_path / f"made.{suffix}"
    write_columns(
        path,
        {
            "array": np.arange(6, dtype=np.uint8).reshape(2, 3),
            "tensor": torch.tensor([0.5, 0.25]),
            "scalars": [np.float32(0.5), np.float32(2)],
            "tuples": ((1, 2), (3, 4)),
        },
    )
    assert columns_of(path) == {
        "array": [[0, 1, 2], [3, 4, 5]],
        "tensor": [0.5, 0.25],
        "scalars": [0.5, 2.0],
        "tuples": [[1, 2], [3, 4]],
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_come_in_chunks_and_know_their_places(tmp_path, suffix):
    path = tmp_path / f"made.{suffix}"
    write_columns(path, {"question": list("abcdefg"), "other": list("ABCDEFG")})
    chunks = list(read_columns(path, rows=3, only=["question"]))
    assert [len(chunk) for chunk in chunks] == [3, 3, 1]
    assert all(
        chunk.names == ("question", "other") and set(chunk.columns) == {"question"} for chunk in chunks
    )
    assert [row for chunk in chunks for row in chunk.rows] == list(range(7))
    first = {"csv": 2}.get(suffix, 1)  # the header of a CSV file is line 1
    assert [place for chunk in chunks for place in chunk.places] == list(range(first, first + 7))
    assert {chunk.word for chunk in chunks} == {"row" if suffix in ("npz", "parquet") else "line"}
    part = chunks[1][1:]
    assert (part.columns, list(part.rows)) == ({"question": ["e", "f"]}, [4, 5])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_without_rows_is_one_empty_chunk(tmp_path, suffix):
    path = tmp_path / f"made.{suffix}"
    write_columns(path, {"question": [], "answer": []})
    (chunk,) = read_columns(path)
    assert len(chunk) == 0 and not chunk.broken
    assert chunk.names == (() if "js" in suffix else ("question", "answer"))


def test_the_name_tells_the_format(file):
    assert [table_format(f"x.{suffix}") for suffix in SUFFIXES] == ["csv", "jsonl", "jsonl", "npz", "parquet"]
    assert table_format("X.CSV") == "csv" and table_format("x.txt") is None and table_format("csv") is None
    path = file("question\nx\n", "some.TXT")
    assert columns_of(path, format="csv") == {"question": ["x"]}
    for call in (lambda: read_columns(path), lambda: write_columns(path, {"a": [1]})):
        with pytest.raises(DataError, match=r"TXT: the name must end in \.csv, \.jsonl .*\.npz or \.parquet"):
            call()


def test_paths_that_are_no_file(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        read_columns(tmp_path)
    with pytest.raises(DataError, match="there is no such file"):
        read_columns(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"there is no folder .*none; make it first"):
        write_columns(tmp_path / "none" / "made.csv", {"a": [1]})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "there is no column to write"),
        ({"a": [1, 2], "b": [1]}, "same number of rows; there are: a 2, b 1"),
        ({"a": [1, "x"]}, "'a' mixes text and whole numbers: give it values of one kind"),
        ({"a": [True, 0.5]}, "'a' mixes booleans and numbers"),
        ({"a": [{"b": 1}]}, "'a' holds values of type dict: write them as text"),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", *TYPED])
def test_columns_that_are_no_table(tmp_path, suffix, columns, message):
    path = tmp_path / f"made.{suffix}"
    with pytest.raises(DataError, match=f"made.{suffix}: .*{message}"):
        write_columns(path, columns)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("suffix", "values", "message"),
    [
        ("npz", [[1], [1, 2]], "lists that do not form an array of numbers: write text"),
        ("npz", [["a"], ["b"]], "lists that do not form an array"),
        ("npz", [[1], None], "lists that do not form an array"),
        ("npz", [2**70], "numbers beyond 64 bits"),
        ("parquet", [2**70], "does not fit Parquet .*: write text"),
        ("parquet", [[1], ["a"]], "does not fit Parquet"),
    ],
)
def test_values_that_a_format_cannot_hold(tmp_path, suffix, values, message):
    path = tmp_path / f"made.{suffix}"
    write_columns(path, {"a": [1]})
    before = path.read_bytes()
    with pytest.raises(DataError, match=f"made.{suffix}: the column 'a' .*{message}"):
        write_columns(path, {"a": values})
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_lists_of_any_length_fit_json_and_parquet(tmp_path):
    for suffix in ("jsonl", "parquet"):
        write_columns(tmp_path / f"made.{suffix}", {"a": [[1], [], [1, 2], None]})
        assert columns_of(tmp_path / f"made.{suffix}") == {"a": [[1], [], [1, 2], None]}


def test_the_same_columns_give_the_same_npz(tmp_path):
    for name in ("one.npz", "two.npz"):
        write_columns(tmp_path / name, {"a": ["x", "y"], "b": [1, 2]})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


KILLED = """
import os, signal, sys
from equilibria import files, tables
files.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # all is written but not yet in place
tables.write_columns(sys.argv[1], {"question": ["new"] * 1000})
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal here")
@pytest.mark.parametrize("suffix", ["csv", *TYPED])
def test_a_killed_write_leaves_the_old_file(tmp_path, suffix):
    path = tmp_path / f"made.{suffix}"
    write_columns(path, {"question": ["old"]})
    before = path.read_bytes()
    killed = subprocess.run([sys.executable, "-c", KILLED, path], env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    write_columns(path, {"question": ["newer"]})
    assert columns_of(path) == {"question": ["newer"]}
    assert list(tmp_path.iterdir()) == [path]  # the next write cleared up as well


# --- names


def test_names_are_looked_up_tidied(file, tmp_path):
    assert columns_of(file("\ufeff Question ,,ANSWER\n1,2,3\n")) == {"question": ["1"], "answer": ["3"]}
    assert columns_of(file('{" Question ": 1}\n', "some.jsonl")) == {"question": [1]}
    np.savez(tmp_path / "some.npz", **{" Question": np.array(["1"])})
    assert columns_of(tmp_path / "some.npz") == {"question": ["1"]}
    write_columns(tmp_path / "some.parquet", {"QUESTION ": ["1"]})
    assert columns_of(tmp_path / "some.parquet") == {"question": ["1"]}


def test_two_columns_of_one_name(file, tmp_path):
    with pytest.raises(DataError, match="line 1: two columns have the name 'a'; rename one"):
        list(read_columns(file("a,b,A\n1,2,3\n")))
    assert columns_of(file("a,b,A\n1,2,3\n"), only=["b"]) == {"b": ["2"]}
    for suffix in ("npz", "parquet"):
        write_columns(tmp_path / f"some.{suffix}", {"a": [1], "A": [2], "b": [3]})
        with pytest.raises(DataError, match=r"two (arrays|columns) have the name 'a'; rename one"):
            list(read_columns(tmp_path / f"some.{suffix}"))
        assert columns_of(tmp_path / f"some.{suffix}", only=["b"]) == {"b": [3]}


# --- CSV


def test_broken_csv_rows_cost_no_other(file):
    text = (
        "question,answer\n"
        "one,1\n"  # line 2
        "too,many,fields\n"  # 3
        "\n"
        "few\n"  # 5
        '"two\nlines",2\n'  # 6-7
        f"{'x' * 140_000},3\n"  # 8
        'stray"s are,no"harm\n'  # 9
        '"closed" early,4\n'  # 10
        "last,5"  # 11
    )
    for rows in (1, 2, 100):
        chunks = list(read_columns(file(text), rows=rows))
        columns = {name: [v for chunk in chunks for v in chunk.columns[name]] for name in chunks[0].columns}
        assert columns == {
            "question": ["one", "two\nlines", 'stray"s are', "last"],
            "answer": ["1", "2", 'no"harm', "5"],
        }
        assert [row for chunk in chunks for row in chunk.rows] == [0, 3, 5, 7]
        assert [place for chunk in chunks for place in chunk.places] == [2, 6, 9, 11]
        many, few, long, closed = (broken for chunk in chunks for broken in chunk.broken)
        assert many == Broken(1, 3, "too,many,fields", "has 3 fields; the header names 2: question, answer")
        assert (few.row, few.place, few.text) == (2, 5, "few")
        assert (long.row, long.place, len(long.text)) == (4, 8, 200)
        assert "not CSV: field larger than" in long.reason
        assert (closed.row, closed.place) == (6, 10) and "not CSV: ',' expected" in closed.reason


@pytest.mark.parametrize("column", [0, 1], ids=["first column", "last column"])
@pytest.mark.parametrize("below", [1, 5, 20_000], ids=lambda below: f"{below} rows below")
def test_an_open_quote_costs_its_own_line_only(file, column, below):
    fields = ["one", "1"]
    fields[column] = '"' + fields[column]
    path = file("question,answer\n" + "good,0\n" + ",".join(fields) + "\n" + "good,2\n" * below)
    (chunk,) = read_columns(path)
    assert chunk.columns == {"question": ["good"] * (below + 1), "answer": ["0"] + ["2"] * below}
    assert chunk.places == [2, *range(4, below + 4)]
    (broken,) = chunk.broken
    assert (broken.row, broken.place, broken.text) == (1, 3, ",".join(fields))
    assert "is a quote left open?" in broken.reason


def test_two_open_quotes_cost_two_lines(file):
    path = file('question,answer\n"one,1\ngood,2\n"three,3\ngood,4\n')
    (chunk,) = read_columns(path)
    assert chunk.columns["answer"] == ["2", "4"]
    assert [broken.place for broken in chunk.broken] == [2, 4]


def test_csv_of_other_programs(file):
    assert columns_of(file("a,b\r\n1,2\r\n3,4\r\n")) == {"a": ["1", "3"], "b": ["2", "4"]}
    assert columns_of(file("a,b\r1,2\r3,4\r")) == {"a": ["1", "3"], "b": ["2", "4"]}
    assert columns_of(file(b"a\n\xff\n")) == {"a": ["\ufffd"]}
    with pytest.raises(DataError, match="line 1 is not CSV: unexpected end of data"):
        list(read_columns(file('"question,answer\n1,2\n')))


# --- JSON lines


def test_broken_json_lines_cost_no_other(file):
    lines = [
        '{"question": "one", "answer": 1}',
        '{"question": "two"',
        "",
        "[1, 2]",
        '{"question": "x", "Question ": "y"}',
        "[" * 100_000,
        '{"answer": 7, "question": null}',
        '{"question": "line\u2028separator", "more": true}',
    ]
    path = file("\n".join(lines), "some.jsonl")
    for rows in (1, 3, 100):
        chunks = list(read_columns(path, rows=rows))
        questions = [value for chunk in chunks for value in chunk.columns.get("question", [])]
        assert questions == ["one", None, "line\u2028separator"]
        assert [row for chunk in chunks for row in chunk.rows] == [0, 5, 6]
        assert [place for chunk in chunks for place in chunk.places] == [1, 7, 8]
        broken = [broken for chunk in chunks for broken in chunk.broken]
        assert [(one.row, one.place) for one in broken] == [(1, 2), (2, 4), (3, 5), (4, 6)]
        for one, reason in zip(
            broken, ["is not JSON", "not an object", "'question' twice", "JSON"], strict=True
        ):
            assert reason in one.reason
        assert broken[0].text == lines[1] and len(broken[3].text) == 200
    (chunk,) = read_columns(path)
    assert chunk.columns["more"] == [None, None, True]


# --- NPZ


class Evil:
    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def test_nothing_is_ever_unpickled(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    objects = np.empty(1, object)
    objects[0] = Evil()
    np.savez("some.npz", question=objects, answer=np.array(["a"]))
    with pytest.raises(DataError, match=r"the array 'question' holds Python objects.*dtype=str"):
        list(read_columns("some.npz"))
    assert columns_of("some.npz", only=["answer"]) == {"answer": ["a"]}
    with pytest.raises(DataError, match="is no NPZ archive"):
        list(read_columns(file(pickle.dumps(Evil()), "pickled.npz")))
    assert not (tmp_path / "unpickled").exists()


def test_arrays_that_are_no_columns(tmp_path):
    path = tmp_path / "some.npz"
    np.savez(path, a=np.arange(3), b=np.arange(4), version=np.array(1))
    with pytest.raises(DataError, match="'version' is no column: save an array with one entry a row"):
        list(read_columns(path))
    with pytest.raises(DataError, match="their lengths differ: a 3, b 4"):
        list(read_columns(path, only=["a", "b"]))
    assert columns_of(path, only=["a"]) == {"a": [0, 1, 2]}
    with path.open("wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(DataError, match=r"is a single array: save the columns by name, with np\.savez"):
        list(read_columns(path))


def test_arrays_of_bytes_are_text(tmp_path):
    np.savez(tmp_path / "some.npz", question=np.array(["ä".encode(), b"b"]))
    assert columns_of(tmp_path / "some.npz") == {"question": ["ä", "b"]}


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_damaged_files(file, tmp_path, suffix):
    path = tmp_path / f"whole.{suffix}"
    write_columns(path, {"question": [f"{row * 7919}" for row in range(1000)]})
    whole = path.read_bytes()
    spoilt = bytearray(whole)
    spoilt[len(whole) // 3 : len(whole) // 2] = bytes(len(whole) // 2 - len(whole) // 3)
    for content in (b"", b"question,answer\n", whole[:-20], whole[: len(whole) // 2], bytes(spoilt)):
        damaged = file(content, f"some.{suffix}")
        with pytest.raises(DataError, match=f"some.{suffix}.*(is no NPZ archive|cannot be read|can be read)"):
            list(read_columns(damaged))


def test_a_member_that_is_no_array(tmp_path):
    with zipfile.ZipFile(tmp_path / "some.npz", "w") as archive:
        archive.writestr("question", "text")
    with pytest.raises(DataError, match="'question' is no column"):
        list(read_columns(tmp_path / "some.npz"))


# --- Parquet


@pytest.mark.usefixtures("no_pyarrow")
def test_without_pyarrow_the_remedy_is_named(file, tmp_path):
    path = file(b"PAR1", "some.parquet")
    remedy = r"need pyarrow, which is not installed: pip install 'equilibria\[parquet\]'"
    with pytest.raises(DataError, match=remedy):
        list(read_columns(path))
    with pytest.raises(DataError, match=f"made.parquet: .*{remedy}"):
        write_columns(tmp_path / "made.parquet", {"a": [1]})
    assert list(tmp_path.iterdir()) == [path]
    write_columns(tmp_path / "made.csv", {"a": [1]})  # the other formats do without


def test_parquet_of_other_programs(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "question": pa.array(["a", "b", "a"]).dictionary_encode(),
            "answer": pa.array([b"x", None, "ä".encode()]),
            "nested": pa.array([{"deep": 1}, None, {"deep": 2}]),
        }
    )
    pq.write_table(table, tmp_path / "some.parquet", row_group_size=2)
    chunks = list(read_columns(tmp_path / "some.parquet", rows=3))
    assert [place for chunk in chunks for place in chunk.places] == [1, 2, 3]
    assert columns_of(tmp_path / "some.parquet", only=["question", "answer"]) == {
        "question": ["a", "b", "a"],
        "answer": ["x", None, "ä"],
    }
    assert columns_of(tmp_path / "some.parquet", only=["none"]) == {}


def test_long_text_is_shortened():
    assert shortened("x" * 200) == "x" * 200
    assert shortened("x" * 201) == "x" * 199 + "…"
