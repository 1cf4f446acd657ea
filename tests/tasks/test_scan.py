"""Problems in four formats: read strictly, or scanned so that bad rows are set aside and the rest is kept."""

import json

import numpy as np
import pytest
import torch

from equilibria.errors import DataError
from equilibria.tables import write_columns
from equilibria.tasks import load_splits, load_task
from equilibria.tasks import table as tables
from equilibria.tasks.sudoku import Sudoku

SUFFIXES = ["csv", "jsonl", "npz", "parquet"]
SOLVED = "1234341221434321"
OTHER = "1234341243212143"
GOOD = SOLVED[:-4] + "4..."


@pytest.fixture(scope="module")
def four():
    return Sudoku(Sudoku.Config(box=(2, 2)))


@pytest.fixture(scope="module")
def made(four):
    return four.generate(40, seed=0)


@pytest.fixture
def decoded(monkeypatch):
    """The numbers of rows that Sudoku is given to decode, call by call."""
    sizes = []
    decode = Sudoku.decode

    def count(self, rows):
        sizes.append(len(rows.questions))
        return decode(self, rows)

    monkeypatch.setattr(Sudoku, "decode", count)
    return sizes


def columns_of(task, problems):
    return {
        "question": [task.format(row) for row in problems.inputs],
        "answer": [task.format(row) for row in problems.labels],
    }


def place_of(suffix, row):
    """Where a person finds row `row`, counted from 0, of a file that `write_columns` wrote."""
    return {"csv": f"line {row + 2}", "jsonl": f"line {row + 1}"}.get(suffix, f"row {row + 1}")


def check_rejected(task, problems, scan, bad, suffix):
    """The rows `bad` {row: (text, reason)} are rejected, and all others of `problems` kept in order."""
    kept = [row for row in range(len(problems)) if row not in bad]
    assert scan.places.tolist() == kept
    assert scan.places.dtype == torch.int64
    assert torch.equal(scan.problems.inputs, problems.inputs[kept])
    if scan.problems.labels is not None:
        assert torch.equal(scan.problems.labels, problems.labels[kept])
    assert [one.row for one in scan.rejected] == sorted(bad)
    for one in scan.rejected:
        text, reason = bad[one.row]
        assert one.place == place_of(suffix, one.row)
        assert (one.text, reason in one.reason) == (text, True), one


TASKS = {
    "sudoku": {"name": "sudoku", "box": [2, 3]},
    "maze": {"name": "maze", "size": 7},
    "permutations": {"name": "permutations", "group": "S3", "length": 5, "shortest": 3},
}


@pytest.mark.parametrize("suffix", [*SUFFIXES, "ndjson", "PARQUET"])
@pytest.mark.parametrize("config", TASKS.values(), ids=TASKS)
def test_what_a_task_writes_reads_back_in_every_format(tmp_path, config, suffix):
    task = load_task(config)
    problems = task.generate(12, seed=1)
    path = tmp_path / f"made.{suffix}"
    task.write(problems, path)
    again = task.read(path)
    assert again.fingerprint() == problems.fingerprint()
    assert again.sources == problems.sources and torch.equal(again.ratings, problems.ratings)
    assert task.read(path, limit=5).fingerprint() == problems[:5].fingerprint()
    assert task.read(path, labelled=False).labels is None
    scan = task.scan(path, labelled=True)
    assert scan.problems.fingerprint() == problems.fingerprint()
    assert scan.places.tolist() == list(range(12)) and scan.rejected == []
    assert task.scan(path).problems.labels is None


def test_a_name_without_a_format_is_not_written(four, made, tmp_path):
    with pytest.raises(DataError, match=r"must end in \.csv, \.jsonl"):
        four.write(made, tmp_path / "made.txt")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_optional_columns_and_missing_values(four, made, tmp_path, suffix):
    path = tmp_path / f"some.{suffix}"
    columns = columns_of(four, made[:2])
    write_columns(path, columns)
    problems = four.read(path)
    assert problems.sources == ("some", "some") and problems.ratings is None
    write_columns(path, columns | {"rating": [2.5, 1], "source": ["web", "me"]})
    problems = four.read(path)
    assert problems.sources == ("web", "me") and problems.ratings.tolist() == [2.5, 1]
    if suffix in ("jsonl", "parquet"):
        write_columns(path, columns | {"rating": [2.5, None], "source": [None, "me"]})
        problems = four.read(path)
        assert problems.sources == ("some", "me")
        assert problems.ratings[0] == 2.5 and problems.ratings[1].isnan()


BAD = {
    "length": (GOOD + ".", SOLVED, "the question has 17 cells; a 4×4 board has 16"),
    "character": (f"5{GOOD[1:]}", SOLVED, "question, row 1, column 1 (character 1): '5' is neither"),
    "clues": (f"11{GOOD[2:]}", SOLVED, "the clues contradict each other: 1 stands at"),
    "nothing": ("", SOLVED, "the question has 0 cells"),
    "short answer": (GOOD, SOLVED[1:], "the answer has 15 cells"),
    "wrong answer": (GOOD, OTHER, "the answer is wrong"),
    "no solution": ("123....4" + "." * 8, SOLVED, "; and the puzzle has no solution"),
    "several": ("." * 16, SOLVED, "the puzzle has several solutions"),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("chunk", [3, 65_536])
def test_bad_rows_are_set_aside_and_strictly_raised(four, made, tmp_path, monkeypatch, suffix, chunk):
    monkeypatch.setattr(tables, "CHUNK", chunk)
    path = tmp_path / f"some.{suffix}"
    columns = columns_of(four, made)
    bad = {}
    for row, (question, answer, reason) in zip([0, 1, 9, 10, 17, 25, 30, 39], BAD.values(), strict=True):
        columns["question"][row], columns["answer"][row] = question, answer
        bad[row] = (question, reason)
        one = tmp_path / f"one.{suffix}"
        write_columns(one, {"question": [GOOD, question], "answer": [SOLVED, answer]})
        with pytest.raises(DataError) as error:
            four.read(one)
        assert str(error.value).startswith(f"{one}, {place_of(suffix, 1)}: ") and reason in str(error.value)
    write_columns(path, columns)
    check_rejected(four, made, four.scan(path, labelled=True), bad, suffix)
    scan = four.scan(path)  # answers, and how many there are, do not matter now
    assert [one.row for one in scan.rejected] == [0, 1, 9, 10]
    assert len(scan.problems) == 36 and scan.problems.labels is None


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_bad_rating_is_a_bad_row(four, made, tmp_path, suffix):
    path = tmp_path / f"some.{suffix}"
    columns = columns_of(four, made) | {"rating": ["3"] * 39 + ["hard"]}
    write_columns(path, columns)
    with pytest.raises(DataError, match=f"{place_of(suffix, 39)}: rating 'hard' is not a number"):
        four.read(path)
    bad = {39: (columns["question"][39], "rating 'hard' is not a number")}
    check_rejected(four, made, four.scan(path, labelled=True), bad, suffix)


def test_csv_rows_that_are_no_rows(four, made, tmp_path):
    columns = columns_of(four, made)
    lines = [f"{one},{other}" for one, other in zip(*columns.values(), strict=True)]
    lines[3] += ",more"
    lines[7] = lines[7].split(",")[0]
    lines[20] = '"' + lines[20]
    path = tmp_path / "some.csv"
    path.write_text("question,answer\n" + "\n".join(lines))
    bad = {
        3: (lines[3], "has 3 fields; the header names 2"),
        7: (lines[7], "has 1 fields"),
        20: (lines[20], "is not CSV"),
    }
    check_rejected(four, made, four.scan(path, labelled=True), bad, "csv")
    with pytest.raises(
        DataError, match=r"some\.csv, line 5 has 3 fields; the header names 2: question, answer"
    ):
        four.read(path)
    assert len(four.read(path, limit=3)) == 3


def test_json_lines_that_are_no_problems(four, made, tmp_path):
    columns = columns_of(four, made)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    lines = [json.dumps(row) for row in rows]
    lines[0] = '{"question":'
    lines[2] = "[]"
    lines[5] = json.dumps({"answer": SOLVED})
    lines[6] = json.dumps({"question": GOOD})
    lines[8] = json.dumps(rows[8] | {"question": 1234})
    lines[9] = json.dumps(rows[9] | {"question": [[1, 2], 3]})
    lines[10] = json.dumps(rows[10] | {"question": [5] * 16})
    lines[11] = json.dumps(rows[11] | {"rating": [1]})
    path = tmp_path / "some.jsonl"
    path.write_text("\n".join(lines))
    bad = {
        0: (lines[0], "is not JSON"),
        2: ("[]", "is JSON, but not an object"),
        5: (f"{{'answer': '{SOLVED}'}}", "there is no question"),
        6: (GOOD, "there is no answer"),
        8: ("1234", "the question is 1234; write text, or whole numbers for cells as a list"),
        9: ("[[1, 2], 3]", "the question is [[1, 2], 3]; write text"),
        10: (str([5] * 16), "question, row 1, column 1: 5 is neither a digit (1-4) nor 0"),
        11: (rows[11]["question"], "rating [1] is not a number"),
    }
    check_rejected(four, made, four.scan(path, labelled=True), bad, "jsonl")
    for row, (_, reason) in bad.items():
        path.write_text(lines[1] + "\n\n" + lines[row])
        with pytest.raises(DataError) as error:
            four.read(path)
        assert str(error.value).startswith(f"{path}, line 3") and reason in str(error.value)


@pytest.mark.parametrize("bad", [f"{GOOD},{SOLVED},more", f"x,{SOLVED}"], ids=["broken", "wrong"])
@pytest.mark.parametrize("chunk", [2, 3, 65_536])
def test_a_limit_looks_at_no_row_beyond_it(four, tmp_path, monkeypatch, chunk, bad):
    monkeypatch.setattr(tables, "CHUNK", chunk)
    path = tmp_path / "some.csv"
    path.write_text("question,answer\n" + f"{GOOD},{SOLVED}\n" * 3 + bad)
    assert len(four.read(path, limit=3)) == 3
    with pytest.raises(DataError, match="line 5"):
        four.read(path, limit=4)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_few_bad_rows_cost_little(four, tmp_path, decoded, suffix):
    count, bad = 20_000, [5, 6, 9_000, 19_999]
    questions = [GOOD] * count
    for row in bad:
        questions[row] = "x"
    path = tmp_path / f"some.{suffix}"
    write_columns(path, {"question": questions})
    scan = four.scan(path)
    assert [one.row for one in scan.rejected] == bad and len(scan.problems) == count - len(bad)
    assert len(decoded) < 150 and sum(decoded) < 6 * count
    assert scan.places[[4, 5, -1]].tolist() == [4, 7, 19_998]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_clean_chunk_is_decoded_once(four, made, tmp_path, decoded, suffix):
    path = tmp_path / f"some.{suffix}"
    four.write(made, path)
    four.scan(path)
    assert decoded == [40]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_where_every_row_is_bad_nothing_is_kept(four, tmp_path, suffix):
    path = tmp_path / f"some.{suffix}"
    write_columns(path, {"question": ["x" * 300, "y"], "answer": [SOLVED] * 2})
    for labelled in (False, True):
        scan = four.scan(path, labelled=labelled)
        assert scan.problems.inputs.shape == (0, 16) and len(scan.places) == 0
        assert (scan.problems.labels is not None) == labelled
        assert [one.text for one in scan.rejected] == ["x" * 199 + "…", "y"]


@pytest.mark.parametrize("read", [Sudoku.read, Sudoku.scan], ids=["read", "scan"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_no_table_of_problems_is_an_error(four, tmp_path, suffix, read):
    path = tmp_path / f"some.{suffix}"
    header = suffix == "csv"
    write_columns(path, {"puzzle": [GOOD], "id": [1]})
    said = (
        "line 1: the header must name the columns question"
        if header
        else "no column question, only puzzle, id"
    )
    with pytest.raises(DataError, match=f"some.{suffix}.*{said}"):
        read(four, path)
    write_columns(path, {"question": [GOOD]})
    with pytest.raises(DataError, match="there is no column answer, only question; add the answers, or read"):
        read(four, path, labelled=True)
    assert read(four, path, labelled=False)
    if suffix != "jsonl":
        write_columns(path, {"question": [], "answer": []})
        said = "there is nothing below its header" if header else "its table has no rows"
        with pytest.raises(DataError, match=f"holds no puzzle: {said}"):
            read(four, path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=f"some.{suffix}"):
        read(four, path)
    with pytest.raises(DataError, match="there is no such file"):
        read(four, tmp_path / f"none.{suffix}")


def test_a_file_without_one_json_object_is_an_error(four, tmp_path):
    path = tmp_path / "some.jsonl"
    path.write_text(f"{GOOD}\n{GOOD}\n")
    with pytest.raises(DataError, match=r"some\.jsonl, line 1 is not JSON \(Extra data at character 14\)"):
        four.scan(path)


# --- whole numbers for cells


@pytest.mark.parametrize("shape", [(-1, 16), (-1, 4, 4)], ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_whole_numbers_are_cells_of_a_sudoku(four, made, tmp_path, shape, dtype):
    path = tmp_path / "some.npz"
    question, answer = (
        np.maximum(tokens.numpy().astype(dtype), 1).reshape(shape) - dtype(1)  # token 1 is blank
        for tokens in (made.inputs, made.labels)
    )
    np.savez(path, question=question, answer=answer)
    assert four.read(path).fingerprint() == made.fingerprint()
    assert four.scan(path, labelled=True).problems.fingerprint() == made.fingerprint()
    spoilt = question.copy()
    spoilt[7].flat[6] = 5
    np.savez(path, question=spoilt, answer=answer)
    reason = "question, row 2, column 3: 5 is neither a digit (1-4) nor 0 for an empty cell"
    bad = {7: (str(spoilt[7].tolist()), reason)}
    check_rejected(four, made, four.scan(path, labelled=True), bad, "npz")
    with pytest.raises(DataError, match=r"row 8: question, row 2, column 3: 5 is neither"):
        four.read(path)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_lists_of_whole_numbers_are_cells(four, made, tmp_path, suffix):
    path = tmp_path / f"some.{suffix}"
    cells = (made.inputs.int() - 1).view(-1, 4, 4)
    write_columns(path, {"question": cells, "answer": columns_of(four, made)["answer"]})
    assert four.read(path).fingerprint() == made.fingerprint()


def test_of_sixteen_digits_each_can_be_a_number(tmp_path):
    task = Sudoku(Sudoku.Config(box=(4, 4)))
    cells = np.zeros((1, 256), np.int64)
    cells[0, 5:7] = 16, 10
    np.savez(tmp_path / "some.npz", question=cells)
    problems = task.read(tmp_path / "some.npz", labelled=False)
    assert task.format(problems.inputs[0])[:8] == ".....GA."


def test_whole_numbers_are_elements_of_a_group(tmp_path):
    task = load_task(TASKS["permutations"])
    problems = task.generate(20, seed=3)
    lists = [[int(token) - 1 for token in row if token] for row in problems.inputs]
    write_columns(tmp_path / "some.jsonl", {"question": lists})
    again = task.read(tmp_path / "some.jsonl", labelled=False)
    assert again.inputs.tolist() == problems.inputs.tolist()


def test_where_numbers_mean_nothing_text_is_asked_for(tmp_path):
    task = load_task(TASKS["maze"])
    np.savez(tmp_path / "some.npz", question=np.ones((3, 7, 7), np.int64))
    for read in (task.read, task.scan):
        with pytest.raises(DataError, match=r"some\.npz: the question is made of numbers.*: store text"):
            read(tmp_path / "some.npz", labelled=False)
    problems = task.generate(2, seed=0)
    questions = [task.format(row) for row in problems.inputs]
    write_lines = [json.dumps({"question": value}) for value in (questions[0], [1, 2], questions[1])]
    (tmp_path / "some.jsonl").write_text("\n".join(write_lines))
    scan = task.scan(tmp_path / "some.jsonl")
    assert scan.places.tolist() == [0, 2]
    assert [(one.row, one.place) for one in scan.rejected] == [(1, "line 2")]
    assert "store text" in scan.rejected[0].reason


def test_numbers_that_are_no_cells_are_wrong_as_a_whole(four, tmp_path):
    for values in (np.full((2, 16), 0.5), np.arange(2), np.ones((2, 16), bool)):
        np.savez(tmp_path / "some.npz", question=values)
        with pytest.raises(DataError, match=r"some\.npz: the question is .*; write text, or whole numbers"):
            four.scan(tmp_path / "some.npz")


# --- text files


def test_bad_lines_of_a_list_are_set_aside(four, made, tmp_path):
    path = tmp_path / "list.txt"
    questions = columns_of(four, made)["question"]
    lines = ["# made", *questions]
    lines[3] = lines[3][:-1]
    lines[4] = "garbage"
    lines[5] = "1234"  # as long as a row of a grid
    lines[6] = "12 34|34 12|21 43|43 2. # bordered and commented"
    lines[7] = "11" + "." * 14
    path.write_text("\n".join(lines) + "\n\n")
    scan = four.scan(path)
    assert [(one.row, one.place, one.text) for one in scan.rejected] == [
        (2, "line 4", lines[3]),
        (3, "line 5", "garbage"),
        (4, "line 6", "1234"),
        (6, "line 8", lines[7]),
    ]
    assert "has 15 cells" in scan.rejected[0].reason and "contradict" in scan.rejected[3].reason
    assert scan.places.tolist() == [0, 1, 5, *range(7, 40)]
    assert four.format(scan.problems.inputs[2]) == "123434122143432."
    assert set(scan.problems.sources) == {"list"}
    with pytest.raises(DataError, match=r"list\.txt, line 4"):
        four.read(path)


def test_a_labelled_list_is_solved_and_ambiguous_puzzles_set_aside(four, made, tmp_path):
    path = tmp_path / "list.txt"
    questions = columns_of(four, made)["question"]
    path.write_text("\n".join([questions[0], "." * 16, "x", questions[1]]))
    scan = four.scan(path, labelled=True)
    assert torch.equal(scan.problems.labels, made.labels[:2]) and scan.places.tolist() == [0, 3]
    assert [(one.row, one.place) for one in scan.rejected] == [(1, "line 2"), (2, "line 3")]
    assert "several solutions" in scan.rejected[0].reason and scan.rejected[0].text == "." * 16


def test_drawn_grids_stay_strict(four, tmp_path):
    path = tmp_path / "grids.txt"
    grid = "12|34\n34|12\n--+--\n21|43\n43|2.\n"
    path.write_text(grid + "\n" + grid)
    scan = four.scan(path)
    assert len(scan.problems) == 2 and scan.places.tolist() == [0, 1] and not scan.rejected
    path.write_text(grid + "\n" + grid.replace("21|43\n", ""))
    with pytest.raises(DataError, match="lines 7-10: this grid has 3 rows"):
        four.scan(path)
    path.write_text("# nothing\n")
    with pytest.raises(DataError, match="holds no puzzle"):
        four.scan(path)
    path.write_text("x" * 200_000)  # no header is so long
    with pytest.raises(DataError, match="line 1, character 1: 'x' is neither"):
        four.scan(path)


def test_lists_of_mazes_and_of_words(tmp_path):
    for config in (TASKS["maze"], TASKS["permutations"]):
        task = load_task(config)
        problems = task.generate(5, seed=2)
        lines = [task.format(row) for row in problems.inputs]
        lines.insert(2, "what")
        path = tmp_path / "list.txt"
        path.write_text("\n".join(lines))
        scan = task.scan(path, labelled=True)
        assert scan.problems.inputs.tolist() == problems.inputs.tolist()
        assert scan.places.tolist() == [0, 1, 3, 4, 5]
        assert task.valid(scan.problems.inputs, scan.problems.labels).all()
        assert [(one.row, one.place, one.text) for one in scan.rejected] == [(2, "line 3", "what")]


def test_splits_come_from_any_format(four, made, tmp_path):
    four.write(made, tmp_path / "all.parquet")
    splits = load_splits(four, tmp_path / "all.parquet")
    assert len(splits.train) == 36
    with pytest.raises(DataError, match="no such file or folder"):
        load_splits(four, "data/none.parquet")  # looks like the name of a Hub dataset
