"""The command: a page and its numbers from a shipped reasoner, and mistakes told before anything is run."""

import json
import re
from itertools import chain

import pytest
from typer.testing import CliRunner

import equilibria as eq
from equilibria.cli import app, main

NAME = "sudoku-6x6"


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the command printed, and what it wrote, for forty puzzles in a file."""
    folder = tmp_path_factory.mktemp("diagnosed")
    task, given = eq.load(NAME).task, eq.held_out_problems(NAME)[:40]
    task.write(given, folder / "puzzles.csv")
    what = ["--data", folder / "puzzles.csv", "--limit", 30, "--depth", 16, "--breadth", 4]
    out = ["--out", folder / "found.html", "--set", "reasoner.noise=0"]
    result = CliRunner().invoke(app, ["diagnose", NAME, *map(str, what + out)], env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    return re.sub(r"\s+", " ", result.output), folder


def complaint(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["equilibria", "diagnose", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return re.sub(r"\s+", " ", said)


def test_a_summary_is_printed_and_both_files_are_written(told):
    said, folder = told
    numbers = json.loads((folder / "found.json").read_text())
    assert numbers["verdict"] in said
    for advice in numbers["advice"]:
        assert (
            f"{advice['title']}. {advice['why']}" in said and re.sub(r"\s+", " ", advice["command"]) in said
        )
    assert "(d)" in said and "settled by then" in said and "found.html" in said
    assert (folder / "found.html").read_text().startswith("<!doctype html>")


def test_the_numbers_say_what_was_run(told):
    setting = json.loads((told[1] / "found.json").read_text())["setting"]
    assert setting["changes"] == ["reasoner.noise=0"] and not setting["path_noise"]
    assert setting["trained_noise"] == 0.01  # training had it
    assert (setting["problems"], setting["depth"], setting["breadth"]) == (30, 16, 4)
    assert setting["data"].endswith("puzzles.csv") and setting["recipe"] == "eqr-sudoku6-cpu"


def test_the_page_shows_what_the_numbers_say(told):
    page = (told[1] / "found.html").read_text()
    numbers = json.loads((told[1] / "found.json").read_text())
    for point in numbers["accuracy"]["by_depth"]:
        assert f"<td>{100 * point['accuracy']:.1f}%</td>" in page
    assert page.count('<tr id="problem-') == 30
    assert numbers["local"] and numbers["pictures"] and numbers["head"]


def test_a_bad_place_is_refused_before_the_reasoner_is_loaded(monkeypatch, capsys, tmp_path):
    said = complaint(monkeypatch, capsys, "no-such-reasoner", "--out", tmp_path / "no" / "r.html")
    assert "no folder" in said
    assert "ends in .html" in complaint(monkeypatch, capsys, NAME, "--out", tmp_path / "r.txt")


def test_files_that_hold_no_labelled_problems_are_refused(monkeypatch, capsys, tmp_path):
    out = ("--out", tmp_path / "r.html")
    bare = tmp_path / "bare.csv"
    bare.write_text("question\n" + "1" + "." * 35 + "\n")
    assert "answer" in complaint(monkeypatch, capsys, NAME, "--data", bare, *out)
    assert "missing.csv" in complaint(monkeypatch, capsys, NAME, "--data", tmp_path / "missing.csv", *out)
    assert not (tmp_path / "r.html").exists()


def test_restarts_that_are_all_alike_are_refused_with_what_to_do(monkeypatch, capsys, tmp_path):
    changes = [("--set", f"reasoner.{name}=0") for name in ("sigma_H", "sigma_L", "noise")]
    fixed = (*chain.from_iterable(changes), "--out", tmp_path / "r.html")
    said = complaint(monkeypatch, capsys, NAME, "--limit", 2, *fixed)
    assert "all restarts" in said and "--set reasoner.initial=gaussian" in said
    assert "halting must be one of" in complaint(
        monkeypatch, capsys, NAME, "--limit", 2, "--halting", "never", "--out", tmp_path / "r.html"
    )
