"""Whole files through a reasoner are what one call gives, whatever is interrupted and whoever shares them."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import equilibria as eq
from equilibria.batch.answers import COLUMNS, NUMBERS, rejected_file
from equilibria.errors import DataError, EquilibriaError
from equilibria.inference.engine import Engine
from equilibria.pipeline import Pipeline
from equilibria.tables import read_columns
from equilibria.tasks.maze import Maze

NAME, COUNT = "sudoku-6x6", 60
BUDGET = {"depth": 8, "breadth": 2}  # few: some problems end wrong, some do not settle
BAD = {3: "no puzzle at all", 20: "11......1.3........2...5..31..1.5..4"}  # by row of the file
SUFFIXES = ["csv", "jsonl", "npz", "parquet"]


@pytest.fixture(scope="module")
def pipeline():
    return eq.load(NAME)


@pytest.fixture(scope="module")
def problems():
    return eq.held_out_problems(NAME)[:COUNT]


@pytest.fixture(scope="module")
def file(tmp_path_factory, pipeline, problems):
    """A file of puzzles with two rows that are none."""
    lines = [pipeline.task.format(row) for row in problems.inputs]
    for row, text in BAD.items():
        lines.insert(row, text)
    path = tmp_path_factory.mktemp("file") / "puzzles.csv"
    path.write_text("question\n" + "".join(line + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def scan(pipeline, file):
    return pipeline.scan(file)


@pytest.fixture(scope="module")
def expected(pipeline, problems):
    return pipeline.solve(problems, **BUDGET)


def rows_of(path):
    columns = {}
    for chunk in read_columns(path):
        assert not chunk.broken
        for name, values in chunk.columns.items():
            columns.setdefault(name, []).extend(values)
    return columns


def counted(monkeypatch, stop_after=None):
    """Counts what is answered, and interrupts after so many answers."""
    stream, asked = Pipeline.stream, []

    def watched(self, *given, **named):
        for answer in stream(self, *given, **named):
            if len(asked) == stop_after:
                raise KeyboardInterrupt
            asked.append(answer.problem)
            yield answer

    monkeypatch.setattr(Pipeline, "stream", watched)
    return asked


def said(value):
    """A cell of a table as a number, a truth or None, in whatever way its format says that."""
    if value is None or value == "" or (isinstance(value, float) and np.isnan(value)):
        return None
    return {"True": True, "False": False, "true": True, "false": False}.get(str(value), value)


def check_table(path, expected):
    table = rows_of(path)
    assert tuple(table) == COLUMNS
    rows = [row for row in range(COUNT + len(BAD)) if row not in BAD]
    assert [int(row) for row in table["row"]] == rows
    for place, answer in enumerate(expected):
        cells = {name: said(values[place]) for name, values in table.items()}
        assert (cells["question"], cells["answer"]) == (answer.problem, answer.answer)
        for name in ("valid", "settled", "complete"):
            assert bool(cells[name]) == getattr(answer, name)
        for name in ("nfe", "restarts"):
            assert int(cells[name]) == getattr(answer, name)
        for name in NUMBERS:
            value = said(getattr(answer, name))
            assert (cells[name] if value is None else float(cells[name])) == (
                None if value is None else pytest.approx(value, rel=1e-4)
            )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_is_answered_as_one_call_answers_it(tmp_path, pipeline, scan, expected, suffix):
    out = tmp_path / f"answers.{suffix}"
    summary = eq.solve_file(pipeline, scan, out, shard=16, **BUDGET)
    check_table(out, expected)
    assert summary.wrote and (summary.rows, summary.answers) == (COUNT + 2, COUNT)
    assert summary.valid == sum(answer.valid for answer in expected)
    assert summary.settled == sum(answer.settled for answer in expected)
    assert summary.nfe == sum(answer.nfe for answer in expected)
    assert summary.rejected == rejected_file(out)
    rejected = rows_of(summary.rejected)
    assert dict(zip(rejected["row"], rejected["text"], strict=True)) == BAD
    assert rejected["place"] == ["line 5", "line 22"] and all(rejected["reason"])
    assert {path.name for path in tmp_path.iterdir()} == {out.name, summary.rejected.name}


def test_what_an_interrupt_leaves_is_not_computed_again(tmp_path, pipeline, scan, expected, monkeypatch):
    out = tmp_path / "answers.jsonl"
    first = counted(monkeypatch, stop_after=25)
    with pytest.raises(KeyboardInterrupt):
        eq.solve_file(pipeline, scan, out, shard=16, **BUDGET)
    assert not out.exists()
    monkeypatch.undo()
    rest = counted(monkeypatch)
    told = []
    eq.solve_file(pipeline, scan, out, shard=16, progress=lambda *counts: told.append(counts), **BUDGET)
    monkeypatch.undo()
    assert len(first) == 25 and sorted(first + rest) == sorted(answer.problem for answer in expected)
    assert told[0][0] >= 25 and told[-1] == (COUNT, COUNT)
    check_table(out, expected)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"seed": 1}, "seed"),
        ({"depth": 9}, "budget"),
        ({"verify": True}, "verify"),
        ({"scan": "other"}, "problems_sha256"),
        ({"scan": "moved"}, "rows_sha256"),
        ({"calibrated": "anew"}, "calibration_sha256"),
    ],
)
def test_another_call_is_refused(tmp_path, pipeline, scan, monkeypatch, change, field):
    out = tmp_path / "answers.jsonl"
    counted(monkeypatch, stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        eq.solve_file(pipeline, scan, out, **BUDGET)
    monkeypatch.undo()
    change = dict(change)
    other = {
        "other": replace(scan, problems=scan.problems[1:], places=scan.places[1:]),
        "moved": replace(scan, places=scan.places + 1),
    }.get(change.pop("scan", ""), scan)
    if change.pop("calibrated", False):
        monkeypatch.setattr("equilibria.batch.answers._calibration", lambda pipeline: "another one's")
    with pytest.raises(EquilibriaError, match=f"holds another job: {field} is"):
        eq.solve_file(pipeline, other, out, **(BUDGET | change))


def test_late_comers_of_a_launcher_find_the_file_answered(tmp_path, pipeline, scan, monkeypatch):
    out = tmp_path / "answers.jsonl"
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert eq.solve_file(pipeline, scan, out, **BUDGET).wrote
    monkeypatch.setenv("RANK", "1")
    asked = counted(monkeypatch)
    late = eq.solve_file(pipeline, scan, out, **BUDGET)
    assert not late.wrote and not asked and late.rows == COUNT + 2
    monkeypatch.delenv("WORLD_SIZE")
    with pytest.raises(EquilibriaError, match="answered already, by this very call; remove the folder"):
        eq.solve_file(pipeline, scan, out, **BUDGET)
    monkeypatch.setenv("WORLD_SIZE", "2")
    out.unlink()
    with pytest.raises(EquilibriaError, match="answered already"):
        eq.solve_file(pipeline, scan, out, **BUDGET)


def test_a_file_without_a_bad_row_has_no_rejected_rows(tmp_path, pipeline, scan):
    out = tmp_path / "answers.csv"
    rejected_file(out).write_text("of a call before this one")
    good = replace(scan, rejected=[])
    assert eq.solve_file(pipeline, good, out, depth=1, breadth=1).rejected is None
    assert not rejected_file(out).exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_without_a_problem_has_no_answers(tmp_path, pipeline, scan, suffix):
    out = tmp_path / f"answers.{suffix}"
    none = replace(scan, problems=scan.problems[:0], places=scan.places[:0])
    summary = eq.solve_file(pipeline, none, out)
    assert (summary.rows, summary.answers, summary.nfe) == (2, 0, 0)
    assert out.exists() and len(rows_of(rejected_file(out))["row"]) == 2


@pytest.mark.parametrize(
    ("name", "said"), [("answers.txt", "named .csv, .jsonl, .npz or .parquet"), ("no/a.csv", "make it first")]
)
def test_a_bad_output_is_said_before_anything_is_computed(tmp_path, pipeline, scan, name, said):
    with pytest.raises(DataError, match=said):
        eq.solve_file(pipeline, scan, tmp_path / name)


def without_seconds(evaluation):
    rows = [replace(row, seconds=0.0) for row in evaluation.rows]
    context = {name: value for name, value in evaluation.context.items() if name != "seconds"}
    return rows, evaluation.path_independence, evaluation.auroc, evaluation.residual, context


def stop_engine_after(monkeypatch, count):
    """Interrupts an evaluation after so many problems; says which were looked at."""
    looks, seen = Engine.looks, []

    def watched(self, *given, **named):
        for look in looks(self, *given, **named):
            if len(seen) == count:
                raise KeyboardInterrupt
            seen.append(look)
            yield look

    monkeypatch.setattr(Engine, "looks", watched)
    return seen


@pytest.mark.parametrize("halting", ["fixed", "learned"])
def test_an_evaluation_that_is_shared_is_that_of_one_call(tmp_path, pipeline, problems, halting, monkeypatch):
    how = {"depths": (8, 2), "breadths": (4, 1), "halting": halting, "seed": 3}
    whole = pipeline.evaluate(problems, **how)
    first = stop_engine_after(monkeypatch, 25)
    with pytest.raises(KeyboardInterrupt):
        eq.evaluate_shared(pipeline, problems, tmp_path / "job", shard=16, **how)
    monkeypatch.undo()
    rest = stop_engine_after(monkeypatch, None)
    shared = eq.evaluate_shared(pipeline, problems, tmp_path / "job", shard=16, **how)
    assert len(first) + len(rest) == COUNT
    assert without_seconds(shared) == without_seconds(whole)
    assert shared.context["seconds"] > 0
    again = eq.evaluate_shared(pipeline, problems, tmp_path / "job", shard=16, **how)
    assert again == shared and len(rest) == COUNT - 25
    with pytest.raises(EquilibriaError, match="holds another job: seed is 3 there and 4 here"):
        eq.evaluate_shared(pipeline, problems, tmp_path / "job", **(how | {"seed": 4}))


def test_a_shared_evaluation_knows_valid_answers_besides_labels(tmp_path, monkeypatch):
    """The rules are made up, so that a reasoner that has learned nothing keeps them now and then."""
    monkeypatch.setattr(Maze, "valid", lambda _, inputs, answers: (inputs + answers).sum(dim=1) % 3 == 0)
    small = ("task.size=5", "reasoner.width=16", "reasoner.heads=2", "reasoner.initial=gaussian")
    recipe = eq.load_recipe("eqr-maze-unique", small)
    task = recipe.build_task()
    network = Pipeline(recipe.build_reasoner(task).eval(), task, recipe)
    how = {"depths": (1, 3), "breadths": (1, 4), "seed": 3}
    mazes = task.generate(20, seed=1)
    answers = network.engine.pools(mazes.inputs, depths=(3,), breadth=1, seed=3)[0].answers[:, 0]
    answers[::2] = mazes.labels[::2]  # half of the labels are what the first restart says
    mazes = replace(mazes, labels=answers)
    whole = network.evaluate(mazes, **how)
    with monkeypatch.context() as once:
        first = stop_engine_after(once, 9)
        with pytest.raises(KeyboardInterrupt):
            eq.evaluate_shared(network, mazes, tmp_path / "job", shard=8, **how)
    shared = eq.evaluate_shared(network, mazes, tmp_path / "job", shard=8, **how)
    assert len(first) == 9
    assert without_seconds(shared) == without_seconds(whole)
    found = {row.valid_accuracy for row in shared.rows}
    assert len(found) > 3 and None not in found
    assert shared.row(3, 1, "average").exact_accuracy == 0.5


def test_an_evaluation_looks_beyond_the_limit_of_a_feed_forward_network(tmp_path, problems):
    small = ("task.box=[2,3]", "reasoner.layers=2", "reasoner.width=32", "reasoner.heads=2")
    recipe = eq.load_recipe("feedforward-sudoku", small)
    task = recipe.build_task()
    network = Pipeline(recipe.build_reasoner(task).eval(), task, recipe)
    how = {"depths": (1, 4, 16), "breadths": (1, 2)}
    shared = eq.evaluate_shared(network, problems, tmp_path / "job", shard=16, **how)
    assert without_seconds(shared) == without_seconds(network.evaluate(problems, **how))
    assert {row.depth for row in shared.rows} == {1, 4, 16}


def test_an_evaluation_needs_answers(tmp_path, pipeline, problems):
    with pytest.raises(DataError, match="problems with answers"):
        eq.evaluate_shared(
            pipeline, replace(problems, labels=None), tmp_path / "job", depths=(2,), breadths=(1,)
        )
    assert not (tmp_path / "job").exists()


@pytest.mark.slow
def test_two_processes_write_the_file_of_one(tmp_path, file, expected):
    out = tmp_path / "answers.csv"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    options = ["--with", NAME, "--depth", "8", "--breadth", "2", "--device", "cpu", "--out", str(out)]
    done = subprocess.run(
        [*launcher, "-m", "equilibria", "solve", str(file), *options],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    # The command exits with 1 where an answer breaks the rules, and says so; nothing else may have failed.
    assert done.returncode == 0 or "broken" in done.stdout, done.stderr[-3000:]
    check_table(out, expected)
    kept = json.loads((tmp_path / "answers.csv.parts" / "job.json").read_text())
    assert kept["finished"]
