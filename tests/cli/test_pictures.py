"""`--png` of `equilibria solve` and `equilibria data inspect`: what is drawn, and what cannot be."""

import json
import re

import pytest
from typer.testing import CliRunner

import equilibria as eq
from equilibria.cli import app, main

NAME = "sudoku-6x6"


@pytest.fixture(scope="module")
def problems():
    return eq.held_out_problems(NAME)[:8]


@pytest.fixture
def drawn(monkeypatch):
    """What is drawn: a list of captions and panels a call. It is drawn all the same."""
    calls = []

    def draw(rows, path, draw_panels=eq.draw_panels):
        calls.append(rows)
        draw_panels(rows, path)

    monkeypatch.setattr(eq, "draw_panels", draw, raising=False)
    return calls


def run(*arguments, code=0):
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "120"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return re.sub(r"\s+", " ", result.output)


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG")


def titles(panels):
    return [panel.title for panel in panels]


def test_one_problem_is_drawn_with_its_answer(problems, drawn, tmp_path):
    task, png = eq.load(NAME).task, tmp_path / "answer.png"
    assert f"1 problem drawn in {png}" in run("solve", task.format(problems.inputs[0]), "--png", png)
    (((caption, panels),),) = drawn
    assert caption.startswith("1 · ended by its halting rule")
    assert titles(panels) == ["problem", "answer"]
    assert (panels[1].wrong, panels[1].note) == ([], "keeps all rules")
    assert is_png(png)


def test_of_a_file_the_first_are_drawn_and_right_answers_where_it_has_them(problems, drawn, tmp_path):
    task, png = eq.load(NAME).task, tmp_path / "answers.png"
    task.write(problems, tmp_path / "problems.csv")
    said = run("solve", tmp_path / "problems.csv", "--depth", "1", "--breadth", "1", "--png", png, code=1)
    assert f"the first 6 of 8 problems drawn in {png}" in said
    assert "8 broken" in said
    assert [titles(panels) for _, panels in drawn[0]] == [["problem", "answer", "right answer"]] * 6
    for row, (caption, panels) in enumerate(drawn[0]):
        assert caption.startswith(f"{row + 1} · not settled")
        assert "".join(cell.text for cells in panels[2].rows for cell in cells) == task.format(
            problems.labels[row]
        )
        assert panels[1].wrong and panels[1].note
    (tmp_path / "problems.txt").write_text("\n".join(map(task.format, problems.inputs[:2])))
    run("solve", tmp_path / "problems.txt", "--png", png)
    assert [titles(panels) for _, panels in drawn[1]] == [["problem", "answer"]] * 2


def test_labels_stay_with_their_problems_where_rows_are_rejected(problems, drawn, tmp_path):
    task = eq.load(NAME).task
    rows = [
        f"{task.format(one)},{task.format(two)}"
        for one, two in zip(problems.inputs, problems.labels, strict=True)
    ]
    path = tmp_path / "problems.csv"
    path.write_text("\n".join(["question,answer", rows[0], "12345,1", rows[1], rows[2]]) + "\n")
    run("solve", path, "--png", tmp_path / "a.png")
    assert [titles(panels) for _, panels in drawn[0]] == [["problem", "answer"]] * 3


def test_answers_kept_in_a_file_are_drawn_as_they_stand_there(problems, drawn, tmp_path):
    task, out, png = eq.load(NAME).task, tmp_path / "answers.jsonl", tmp_path / "answers.png"
    (tmp_path / "problems.txt").write_text("\n".join(map(task.format, problems.inputs)))
    said = run(
        "solve",
        tmp_path / "problems.txt",
        "--depth",
        "3",
        "--breadth",
        "1",
        "--out",
        out,
        "--png",
        png,
        code=1,
    )
    assert "the first 6 of 8 problems drawn" in said and "8 of 8 rows answered" in said
    kept = [json.loads(line)["answer"] for line in out.read_text().splitlines()]
    shown = ["".join(cell.text for cells in panels[1].rows for cell in cells) for _, panels in drawn[0]]
    assert shown == kept[:6]
    assert is_png(png)


def test_an_answer_that_is_not_given_is_not_drawn(problems, drawn, tmp_path):
    puzzle = eq.load(NAME).task.format(problems.inputs[0])
    run("solve", puzzle, "--confidence", "0.999999", "--breadth", "2", "--png", tmp_path / "a.png")
    (((caption, panels),),) = drawn
    assert caption.startswith("1 · unsettled: no answer is probable enough")
    assert titles(panels) == ["problem"]


def test_lines_of_json_are_not_mixed_with_words(problems, tmp_path):
    puzzle, png = eq.load(NAME).task.format(problems.inputs[0]), tmp_path / "a.png"
    result = CliRunner().invoke(app, ["solve", puzzle, "--stream", "--png", str(png)])
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["index"] for line in result.stdout.splitlines()] == [0]
    assert "1 problem drawn in" in result.stderr
    assert is_png(png)


@pytest.fixture
def grids(tmp_path):
    path = tmp_path / "mine.jsonl"
    rows = [{"input": [[row % 2, 1], [2, row % 3]], "target": [[1, 2], [None, row % 2]]} for row in range(9)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_look_into_data_draws_the_first_problems(grids, drawn, tmp_path):
    png = tmp_path / "grids.png"
    said = run("data", "inspect", grids, "--no-cost", "--png", png)
    assert f"the first 6 of 9 problems drawn in {png}" in said
    assert [caption for caption, _ in drawn[0]] == [f"{number} · mine" for number in range(1, 7)]
    problem, right = drawn[0][1][1]
    assert [[cell.text for cell in cells] for cells in problem.rows] == [["1", "1"], ["2", "1"]]
    assert [[cell.text for cell in cells] for cells in right.rows] == [["1", "2"], ["", "1"]]
    assert is_png(png)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jpg", "pictures are written as PNG; give a name that ends in .png"),
        ("nowhere/a.png", "there is no folder nowhere; make it first"),
        ("folder.png", "folder.png is a folder; name a file"),
        (f"{'long' * 80}.png", "long.png cannot be written (File name too long); name another place"),
    ],
)
@pytest.mark.parametrize(
    "command", [["solve", "puzzles", "--with", "none"], ["data", "inspect", "no-such-file"]]
)
def test_a_bad_path_is_refused_before_anything_else(command, name, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    monkeypatch.setattr("sys.argv", ["equilibria", *command, "--png", name])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert expected in re.sub(r"\s+", " ", capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]
