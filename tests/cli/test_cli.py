"""The commands as a person types them."""

import csv
import json
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import equilibria as eq
from equilibria.cli import app, main
from equilibria.tasks.maze import Maze

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
    assert {(row["valid_accuracy"], row["valid_ci95"]) for row in scores["rows"]} == {(None, None)}
    assert "valid" not in said  # labels are the only right answers
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def maze_run(tmp_path_factory):
    """A run of a 7x7 maze reasoner, of three steps."""
    folder = tmp_path_factory.mktemp("maze")
    small = ["task.size=7", "reasoner.width=16", "reasoner.heads=2", *TINY[5:]]
    eq.train("eqr-maze-unique", small, out=folder, device="cpu", quiet=True)
    return folder


def test_evaluate_counts_labels_and_any_shortest_path(maze_run, tmp_path, monkeypatch):
    """Every answer is declared a shortest path, so that both counts are known."""
    monkeypatch.setattr(Maze, "valid", lambda _, inputs, answers: torch.ones(len(answers)).bool())
    table, checkpoint = tmp_path / "scores.json", str(maze_run / "last")
    shown = run("evaluate", checkpoint, "--depth", "2", "--breadth", "1,2", "--json", str(table), "--card")
    assert "accuracy (%) on 16 problems" in shown
    assert "exact accuracy" not in shown
    assert "…" not in shown  # it fits 80 columns
    assert re.search(r" 2 1 2 label 0\.0 ±\S+ – .* valid 100\.0 ±\S+ –", shown)
    assert re.search(r" 2 2 4 label 0\.0 ±\S+( 0\.0)+ .* valid 100\.0 ±\S+( 100\.0)+ ", shown)
    for row in json.loads(table.read_text())["rows"]:
        assert (row["exact_accuracy"], row["valid_accuracy"], row["valid_ci95"][1]) == (0, 1, 1)
    card = (maze_run / "last" / "README.md").read_text()
    assert "| 2 | 2 | 4.0 | label | 0.00% | 0.00% | 0.00% | 0.00% |" in card
    assert "| 2 | 2 | 4.0 | any valid | 100.00% | 100.00% | 100.00% | 100.00% |" in card
    assert "100.00% valid" in eq.load(checkpoint).facts["score"]


def test_training_logs_valid_answers_besides_labels(maze_run, checkpoint):
    def logged(folder):
        lines = (folder / "log.jsonl").read_text().splitlines()
        return [facts for facts in map(json.loads, lines) if "held_out_exact" in facts]

    assert all(facts["held_out_valid"] >= facts["held_out_exact"] for facts in logged(maze_run))
    assert logged(maze_run)
    assert all("held_out_valid" not in facts for facts in logged(Path(checkpoint).parent))


@pytest.fixture
def arc(tmp_path):
    """An ARC reasoner with random weights, and three puzzles of two tests each to ask."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name in ("one", "two", "three"):
        pairs = [{"input": [[1, 2], [number, 0]], "output": [[2, number]]} for number in range(3, 6)]
        (corpus / f"{name}.json").write_text(json.dumps({"train": pairs[:1], "test": pairs[1:]}))
    small = ["task.puzzles=3", "task.variants=6", "task.canvas=3", "reasoner.width=16", "reasoner.layers=1"]
    recipe = eq.load_recipe("eqr-mini-arc", [f"task.corpora=[{corpus}]", *small])
    task = recipe.build_task()
    folder = tmp_path / "arc"
    eq.Pipeline(recipe.build_reasoner(task).eval(), task, recipe).save(folder)
    return str(folder)


def test_evaluate_lets_variants_of_arc_puzzles_vote(arc, tmp_path):
    table, handed = tmp_path / "scores.json", tmp_path / "submission.json"
    budget = ("--depth", "1,2", "--breadth", "1,2", "--limit", "2", "--variants", "5")
    shown = run("evaluate", arc, *budget, "--json", str(table), "--submission", str(handed), "--card")
    assert "exact accuracy (%) on 4 problems" in shown
    assert "pass@k (%) on 2 puzzles, 4 tests" in shown
    assert re.search(r" 1 1 20 5 0\.0 ±\S+ .* 2 2 40 10 0\.0 ", shown)
    assert "…" not in shown
    votings = json.loads(table.read_text())["votings"]
    assert [(one["depth"], one["breadth"]) for one in votings] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    for one in votings:
        assert (one["puzzles"], one["tests"], one["votes"]) == (2, 4, 20 * one["breadth"])
        assert set(one["pass_at"]) == set(one["whole_at"]) == {"1", "2"}
    answers = json.loads(handed.read_text())
    assert {name: len(tests) for name, tests in answers.items()} == {"one": 2, "three": 2}
    assert all(set(test) == {"attempt_1", "attempt_2"} for tests in answers.values() for test in tests)
    card = (tmp_path / "arc" / "README.md").read_text()
    assert "By votes over the variants of 2 puzzles with 4 tests:" in card
    assert "--limit 2 --vote --variants 5" in card


def test_without_a_vote_a_limit_counts_tests_and_nothing_votes(arc, tmp_path):
    table = tmp_path / "scores.json"
    shown = run("evaluate", arc, "--depth", "1", "--limit", "3", "--json", str(table))
    assert "exact accuracy (%) on 3 problems" in shown
    assert "pass@" not in shown and "--vote asks them" in shown
    assert "votings" not in json.loads(table.read_text())


def test_only_arc_votes_and_not_in_a_job(checkpoint, arc, tmp_path, monkeypatch, capsys):
    said = complaint(monkeypatch, capsys, "evaluate", checkpoint, "--vote")
    assert "no vote on the task sudoku" in said
    said = complaint(monkeypatch, capsys, "evaluate", arc, "--vote", "--job", str(tmp_path / "job"))
    assert "leave out --job" in said


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
