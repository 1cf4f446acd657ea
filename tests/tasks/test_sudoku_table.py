"""Tables of Sudoku: what is written reads back, and a wrong row is found before it can mislead a run."""

import pytest
import torch

from equilibria.errors import DataError
from equilibria.tasks import table as tables
from equilibria.tasks.sudoku import Sudoku
from equilibria.tasks.sudoku import table as sudoku_table

QUESTION = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
ANSWER = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
HEADER = "source,question,answer,rating\n"
GOOD = f"web,{QUESTION},{ANSWER},2.5\n"


@pytest.fixture(scope="module")
def nine():
    return Sudoku()


@pytest.fixture
def table(tmp_path):
    def write(text, name="some.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def test_what_is_written_reads_back(nine, tmp_path):
    problems = nine.generate(20, seed=1)
    nine.write(problems, tmp_path / "made.csv")
    again = nine.read(tmp_path / "made.csv")
    assert again.fingerprint() == problems.fingerprint()
    assert again.sources == problems.sources
    assert torch.equal(again.ratings, problems.ratings)
    assert [path.name for path in tmp_path.iterdir()] == ["made.csv"]


def test_an_unlabelled_table_reads_back(nine, tmp_path):
    nine.write(nine.parse(QUESTION), tmp_path / "made.csv")
    again = nine.read(tmp_path / "made.csv", labelled=False)
    assert nine.format(again.inputs[0]) == QUESTION
    assert again.labels is None
    with pytest.raises(DataError, match="no column answer, only source, question; add the answers"):
        nine.read(tmp_path / "made.csv")


def test_a_failed_write_leaves_the_old_file(nine, tmp_path, monkeypatch):
    path = tmp_path / "made.csv"
    nine.write(nine.parse(QUESTION), path)
    before = path.read_text()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        nine.write(nine.generate(2, seed=0), path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_writing_into_no_folder_is_the_users_mistake(nine, tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        nine.write(nine.parse(QUESTION), tmp_path / "none" / "made.csv")


def test_columns_are_found_by_name_and_optional_ones_may_lack(nine, table):
    problems = nine.read(table(f"answer,question\n{ANSWER},{QUESTION}\n", "plain.csv"))
    assert nine.format(problems.labels[0]) == ANSWER
    assert problems.sources == ("plain",)
    assert problems.ratings is None
    assert nine.read(table(HEADER + GOOD)).ratings.tolist() == [2.5]


def test_limit_takes_the_first_rows_and_looks_at_no_other(nine, table):
    path = table(HEADER + GOOD + "broken\n")
    assert len(nine.read(path, limit=1)) == 1
    with pytest.raises(DataError, match="limit 0: read at least one"):
        nine.read(path, limit=0)


def test_a_table_longer_than_a_chunk_is_whole_and_its_lines_are_right(nine, table, monkeypatch):
    monkeypatch.setattr(tables, "CHUNK", 2)
    assert len(nine.read(table(HEADER + GOOD * 5))) == 5
    with pytest.raises(DataError, match="line 7: the question has 3 cells"):
        nine.read(table(HEADER + GOOD * 3 + "\n" + GOOD + f"web,123,{ANSWER},0\n"))


def test_a_text_file_is_labelled_by_the_solver(nine, table):
    path = table(f"# two\n{QUESTION}\n\n{QUESTION}\n", "list.txt")
    problems = nine.read(path)
    assert [nine.format(row) for row in problems.labels] == [ANSWER] * 2
    assert nine.read(path, limit=1, labelled=False).labels is None
    with pytest.raises(DataError, match=r"list.txt, line 2: the puzzle has several solutions"):
        nine.read(table(f"{QUESTION}\n{'.' * 81}\n", "list.txt"))
    with pytest.raises(DataError, match="line 1: the puzzle has no solution"):
        nine.read(table("12345678." + "." * 17 + "9" + "." * 54, "list.txt"))


ambiguous = ANSWER.translate(str.maketrans("12", ".."))  # 1 and 2 can be exchanged
impossible = "12345678." + "." * 17 + "9" + "." * 54

MISTAKES = {
    "no header": (GOOD, "line 1: the header must name the columns question and answer"),
    "nothing": ("", "line 1: the header must name"),
    "only a header": (HEADER, "holds no puzzle: there is nothing below its header"),
    "fields": (HEADER + GOOD + "web,1\n", "line 3 has 2 fields; the header names 4"),
    "length": (HEADER + f"web,{QUESTION},{ANSWER}1,0\n", "line 2: the answer has 82 cells; .* has 81"),
    "character": (
        HEADER + GOOD + f"web,{QUESTION[:20]}x{QUESTION[21:]},{ANSWER},0\n",
        r"line 3: question, row 3, column 3 \(character 21\): 'x' is neither a digit \(1-9\) nor",
    ),
    "beyond latin": (
        HEADER + f"web,{QUESTION},{ANSWER[:80]}九,0\n",
        r"answer, row 9, column 9 \(character 81\): '九' is neither",
    ),
    "rating": (HEADER + f"web,{QUESTION},{ANSWER},hard\n", "line 2: rating 'hard' is not a number"),
    "clues": (
        HEADER + GOOD + f"web,55{QUESTION[2:]},{ANSWER},0\n",
        "line 3: the clues contradict each other: 5",
    ),
    "clue changed": (
        HEADER + f"web,{QUESTION},{ANSWER.translate(str.maketrans('56', '65'))},0\n",
        "line 2: the answer is wrong: clue 5 at row 1, column 1 became 6",
    ),
    "answer open": (
        HEADER + f"web,{QUESTION},{ANSWER[:2]}.{ANSWER[3:]},0\n",
        "wrong: row 1, column 3 is empty",
    ),
    "answer breaks": (HEADER + f"web,{QUESTION},{ANSWER[:2]}6{ANSWER[3:]},0\n", "wrong: row 1 has 6 twice"),
    "no solution": (HEADER + f"web,{impossible},{ANSWER},0\n", "wrong: .*; and the puzzle has no solution"),
    "several": (
        HEADER + GOOD + f"web,{ambiguous},{ANSWER},0\n",
        "line 3: the puzzle has several solutions, .* row 1, column 8 can be 1 or 2, .* differ in 18 cells",
    ),
    "not csv": (HEADER + f'"{"x" * 140_000}', "not CSV"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_located_and_explained(nine, table, text, message):
    with pytest.raises(DataError, match=f"some.csv.*{message}"):
        nine.read(table(text))


def test_of_a_large_table_a_sample_is_solved(nine, table, monkeypatch):
    monkeypatch.setattr(sudoku_table, "SAMPLE", 5)
    assert len(nine.read(table(HEADER + GOOD * 9))) == 9
    with pytest.raises(DataError, match="several solutions"):
        nine.read(table(HEADER + f"web,{ambiguous},{ANSWER},0\n" * 9))


def test_a_path_that_is_no_file(nine, tmp_path):
    with pytest.raises(DataError, match=r"is a folder: name a file in it, such as .*train\.csv"):
        nine.read(tmp_path)
    with pytest.raises(DataError, match="there is no such file"):
        nine.read(tmp_path / "none.csv")


def test_hub_errors_say_what_was_tried(monkeypatch):
    import huggingface_hub

    def offline(*_, **__):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(
        DataError, match=r"train.csv of the Hub dataset a/b could not be fetched \(no route\)"
    ):
        tables.hub_file("a/b", "train.csv")
