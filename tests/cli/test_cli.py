"""The commands as a person types them."""

import csv
import json
import re

import pytest
from typer.testing import CliRunner

import equilibria as eq
from equilibria.cli import app, main

TINY = [
    "task.box=[2,2]",
    "reasoner.width=16",
    "reasoner.heads=2",
    "reasoner.channel_inner=32",
    "reasoner.token_inner=16",
    "data.count=64",
    "data.held_out_count=16",
    "training.batch=8",
    "training.steps=3",
    "training.depth=4",
    "training.log_every=1",
]
PUZZLE = "1..." + "..2." + ".3.." + "...4"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A 4x4 reasoner after three steps: it knows nothing, but everything around it works."""
    folder = tmp_path_factory.mktemp("run")
    eq.train("eqr-sudoku6-cpu", TINY, out=folder, device="cpu", quiet=True)
    return str(folder / "last")


def run(*arguments, code=0, text=None):
    result = CliRunner().invoke(app, list(arguments), input=text)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return re.sub(r"\s+", " ", result.output)


def complaint(monkeypatch, capsys, *arguments):
    """What a person reads who made a mistake; no traceback, status 2."""
    monkeypatch.setattr("sys.argv", ["equilibria", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return re.sub(r"\s+", " ", said)


def test_solve_says_which_answers_break_the_rules_and_exits_with_1(checkpoint, tmp_path):
    out = tmp_path / "answers.csv"
    said = run(
        "solve", PUZZLE, "--with", checkpoint, "--depth", "2", "--breadth", "3", "--out", str(out), code=1
    )
    assert "BREAKS THE RULES" in said
    assert "1 broken: number 1" in said
    assert "6 NFE in 3 restarts" in said
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["question"] for row in rows] == [PUZZLE]
    assert rows[0]["valid"] == "false"
    assert rows[0]["nfe"] == "6"


def test_solve_reads_files_and_standard_input_alike(checkpoint, tmp_path):
    file = tmp_path / "puzzles.txt"
    file.write_text("# two puzzles\n" + PUZZLE + "\n" + PUZZLE[::-1] + "\n")
    from_file = run("solve", str(file), "--with", checkpoint, "--depth", "2", code=1)
    from_pipe = run("solve", "-", "--with", checkpoint, "--depth", "2", code=1, text=file.read_text())
    assert from_file == from_pipe
    assert "0 of 2 answers keep all rules" in from_file


def test_evaluate_prints_a_table_and_writes_json_and_a_picture(checkpoint, tmp_path):
    data, table, picture = (tmp_path / name for name in ("data.csv", "scores.json", "grid.png"))
    run("data", "make", "sudoku", "--box", "2x2", "--count", "12", "--seed", "3", "--out", str(data))
    said = run(
        *("evaluate", checkpoint, "--data", str(data), "--depth", "1,2", "--breadth", "1,3"),
        *("--json", str(table), "--png", str(picture)),
    )
    assert "exact accuracy (%) on 12 problems" in said
    scores = json.loads(table.read_text())
    assert scores["context"]["data_sha256"]
    assert scores["context"]["recipe"]["reasoner"]["width"] == 16
    wanted = {"depth", "breadth", "selection", "source", "exact_accuracy", "ci95", "nfe_mean", "seconds"}
    assert all(wanted <= set(row) for row in scores["rows"])
    assert {(row["depth"], row["breadth"]) for row in scores["rows"]} == {(1, 1), (1, 3), (2, 1), (2, 3)}
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_evaluate_can_write_its_scores_into_the_card(tmp_path):
    eq.train("eqr-sudoku6-cpu", TINY, out=tmp_path, device="cpu", quiet=True)
    folder = tmp_path / "last"
    for _ in range(2):  # the second replaces the first
        run("evaluate", str(folder), "--depth", "1,2", "--limit", "8", "--card")
    card = (folder / "README.md").read_text()
    assert card.count("## Scores") == 1
    assert "8 problems" in card


def test_dry_run_counts_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = run("train", "eqr-sudoku", "--dry-run", "data.source=generated", "data.count=10")
    assert "4,855,298" in said
    assert "42 an iteration, 14 with gradient" in said
    assert not list(tmp_path.iterdir())
    assert "5,028,866" in run("train", "trm-sudoku", "--dry-run", "data.source=generated", "data.count=10")


def test_train_refuses_to_overwrite_a_run_and_resumes_it(tmp_path, monkeypatch, capsys):
    arguments = ["train", "eqr-sudoku6-cpu", *TINY, "--out", str(tmp_path), "--device", "cpu"]
    run(*arguments)
    assert "holds a run already" in complaint(monkeypatch, capsys, *arguments)
    longer = [a.replace("training.steps=3", "training.steps=5") for a in arguments]
    steady = ["training.optimizer.min_ratio=1.0"]
    assert "another recipe" in complaint(monkeypatch, capsys, *longer, *steady, "--resume")


def test_list_names_everything_there_is():
    said = run("list")
    for name in ("eqr-sudoku", "trm-sudoku", "feedforward-sudoku", "eqr-sudoku6-cpu", "recursive", "sudoku"):
        assert name in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["solve", "12345"], "5 cells"),
        (["solve", PUZZLE, "--with", "no-such"], "no reasoner 'no-such'"),
        (["train", "eqr-sudoku6-cpu", "training.stepz=3"], "did you mean 'training.steps'"),
        (["train", "eqr-sudko"], "did you mean 'eqr-sudoku'"),
        (["train", "eqr-sudoku6-cpu", "--device", "abacus"], "abacus"),
        (["evaluate", "no-such"], "no reasoner 'no-such'"),
        (["data", "make", "sudoku", "--box", "three", "--out", "x.csv"], "write rows x columns"),
        (["import", "nothing.pth", "--family", "eqr"], "no such file"),
    ],
)
def test_a_mistake_gets_one_message_that_names_it(arguments, expected, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert expected in complaint(monkeypatch, capsys, *arguments)
    assert not list(tmp_path.iterdir())
