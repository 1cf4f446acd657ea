"""Budgets as a person states them, files in and out, and what is said of it."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import equilibria as eq
from equilibria.cli import app, main
from equilibria.tables import read_columns

NAME = "sudoku-6x6"


@pytest.fixture(scope="module")
def puzzles(tmp_path_factory):
    """Forty real puzzles as a table, with two rows that are none."""
    held_out = eq.held_out_problems(NAME)[:40]
    task = eq.load(NAME).task
    lines = ["source,question"] + [f"s,{task.format(row)}" for row in held_out.inputs]
    lines[5:5] = ["s,12345"]
    lines += ["s," + "7" * 36]
    file = tmp_path_factory.mktemp("data") / "puzzles.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture
def puzzle():
    return eq.load(NAME).task.format(eq.held_out_problems(NAME).inputs[0])


def run(*arguments, code=0):
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "120"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return re.sub(r"\s+", " ", result.output)


def complaint(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["equilibria", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return re.sub(r"\s+", " ", said)


def test_a_puzzle_is_solved_with_what_it_needs(puzzle):
    said = run("solve", puzzle)
    assert "learned halting, restarts until-settled" in said
    assert "keeps all rules; ended by its halting rule" in said
    assert int(re.search(r"(\d+) NFE in 1 restart", said)[1]) < 40


def test_the_papers_protocol_runs_everything(puzzle):
    said = run(
        *("solve", puzzle, "--depth", "8", "--breadth", "3"),
        *("--halting", "fixed", "--restarts", "fixed", "--selection", "majority"),
    )
    assert "24 NFE in 3 restarts" in said
    assert "% of restarts agree" in said


def test_a_confidence_is_reached_or_no_answer_is_given(puzzle):
    assert re.search(r"right with probability 0\.99", run("solve", puzzle, "--confidence", "0.99"))
    said = run("solve", puzzle, "--confidence", "0.999999", "--breadth", "2")
    assert "unsettled: no answer is probable enough" in said
    assert "2 restarts" in said


def test_the_checker_chooses_where_it_is_asked(puzzle):
    assert "keeps all rules" in run("solve", puzzle, "--verify", "--depth", "2", "--nfe", "400")


def test_a_call_can_be_bounded(puzzles):
    said = run("solve", puzzles, "--total-nfe", "60", "--depth", "3", code=1)
    assert re.search(r"stopped early: \d+ are the best so far", said)
    assert "rejected: line 6" in said


def test_answers_stream_as_lines_of_json(puzzles):
    result = CliRunner().invoke(app, ["solve", str(puzzles), "--stream"])
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert sorted(row["index"] for row in rows) == list(range(40))
    assert [row["index"] for row in rows] != list(range(40)), "quick ones come first"
    assert all(row["valid"] and row["complete"] for row in rows)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "npz", "parquet"])
def test_a_file_in_is_a_file_out_and_bad_rows_are_set_aside(puzzles, tmp_path, suffix):
    out = tmp_path / f"answers.{suffix}"
    said = run("solve", puzzles, "--out", out)
    assert "40 of 42 rows answered" in said
    rejected = [json.loads(line) for line in (tmp_path / "answers.rejected.jsonl").read_text().splitlines()]
    assert [row["row"] for row in rejected] == [4, 41]
    assert all(row["reason"] for row in rejected)
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, "answers.rejected.jsonl"]
    columns = {}
    for chunk in read_columns(out):
        for name, values in chunk.columns.items():
            columns.setdefault(name, []).extend(values)
    assert [int(row) for row in columns["row"]] == [*range(4), *range(5, 41)]
    assert len(columns["answer"]) == 40


def test_an_interrupt_gives_the_best_so_far_for_every_problem(tmp_path):
    held_out = eq.held_out_problems(NAME)
    task = eq.load(NAME).task
    file = tmp_path / "many.txt"
    file.write_text("\n".join(task.format(row) for row in held_out.inputs) + "\n")
    command = [sys.executable, "-m", "equilibria", "solve", str(file), "--stream"]
    command += ["--halting", "fixed", "--restarts", "fixed", "--depth", "60", "--breadth", "1"]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    with (
        (tmp_path / "complaints").open("w+") as complaints,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, text=True, env=env) as process,
    ):
        assert process.stdout is not None
        first = process.stdout.readline()  # it is at work
        process.send_signal(signal.SIGINT)
        rows = [json.loads(line) for line in [first, *process.stdout]]
        assert process.wait(timeout=120) == 0
        complaints.seek(0)
        assert "Traceback" not in complaints.read()
    assert sorted(row["index"] for row in rows) == list(range(2000))
    assert {row["complete"] for row in rows} == {True, False}


def test_what_cannot_be_is_said_in_words(puzzle, puzzles, tmp_path, monkeypatch, capsys):
    def says(expected, *arguments):
        assert expected in complaint(monkeypatch, capsys, "solve", *arguments)

    says("write answers to a file named", puzzles, "--out", tmp_path / "answers.txt")
    says("there is no folder", puzzles, "--out", tmp_path / "nowhere" / "answers.csv")
    says("give restarts or a confidence", puzzle, "--confidence", "0.9", "--restarts", "race")
    says("is calibrated for", puzzle, "--confidence", "0.9", "--depth", "3")
    says("confidence must be between 0 and 1", puzzle, "--confidence", "9")
    says("restarts must be one of recipe, fixed", puzzle, "--restarts", "many")
    says("seconds must be positive", puzzle, "--seconds", "-1")
    says("nfe must be a whole number", puzzle, "--nfe", "0")
    assert not list(tmp_path.iterdir())
