"""The guide: its scripts make what it says, and a task of one's own keeps its rules."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import equilibria as eq
from equilibria.cli import app
from equilibria.tasks import load_splits, load_task
from equilibria.tasks.grids import survey

GUIDE = Path(__file__).parents[1] / "docs" / "guide"
TASK = GUIDE / "futoshiki_task.py"


def script(name):
    spec = importlib.util.spec_from_file_location(name, GUIDE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FUTOSHIKI = script("futoshiki")


@pytest.fixture(scope="module")
def puzzles(tmp_path_factory):
    path = tmp_path_factory.mktemp("guide") / "futoshiki.jsonl"
    arguments = [sys.executable, GUIDE / "futoshiki.py", path, "--count", "300"]
    said = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    assert said == f"300 puzzles in {path}\n"
    return path


@pytest.fixture(scope="module")
def task(puzzles):
    return load_task({"name": str(TASK)}).fitted(str(puzzles))


def solutions(puzzle, squares):
    """How many squares fit a puzzle: by going through all of them."""
    size = len(puzzle)
    found = 0
    for square in squares:
        drawn = [
            [
                str(square[row // 2][column // 2]) if row % 2 == column % 2 == 0 else ""
                for column in range(size)
            ]
            for row in range(size)
        ]
        found += all(
            symbol in ".+"
            or symbol == drawn[row][column]
            or (symbol in "<>" and (drawn[row][column - 1] < drawn[row][column + 1]) == (symbol == "<"))
            or (symbol in "^v" and (drawn[row - 1][column] < drawn[row + 1][column]) == (symbol == "^"))
            for row, line in enumerate(puzzle)
            for column, symbol in enumerate(line)
        )
    return found


@pytest.mark.parametrize(("side", "count"), [(3, 12), (4, 576)])
def test_all_latin_squares_are_known(side, count):
    squares = FUTOSHIKI.latin_squares(side)
    assert len(squares) == count == len({square.tobytes() for square in squares})
    for lines in (squares, squares.transpose(0, 2, 1)):
        assert (np.sort(lines, 2) == range(1, side + 1)).all()


def test_every_puzzle_has_one_solution_and_no_clue_too_many():
    squares = FUTOSHIKI.latin_squares(4).tolist()
    made = list(FUTOSHIKI.puzzles(4, 6, seed=1))
    assert made == list(FUTOSHIKI.puzzles(4, 6, seed=1))
    for puzzle, solution in made:
        assert solutions(puzzle, squares) == solutions(solution, squares) == 1
        clues = [(row, column) for row in range(7) for column in range(7) if puzzle[row][column] not in ".+"]
        for row, column in clues:
            poorer = [list(line) for line in puzzle]
            poorer[row][column] = "." if row % 2 == column % 2 == 0 else "+"
            assert solutions(poorer, squares) > 1


def test_the_file_is_understood(puzzles):
    found = survey(puzzles)
    assert (found.rows, found.repeated, found.ambiguous) == (300, 0, 0)
    assert found.task.config.symbols == ("1", "2", "3", "4", "+", ".", "<", ">", "^", "v")
    assert found.task.board == (7, 7)


def test_its_task_accepts_what_is_right_and_says_what_is_wrong(task, puzzles):
    problems = task.read(puzzles)
    assert task.rules and task.valid(problems.inputs, problems.labels).all()
    wrong = problems.labels.clone()
    blanks = [row.nonzero()[0, 0].item() for row in problems.inputs == task.notation.tokens["."]]
    for row, cell in enumerate(blanks):
        wrong[row, cell] = wrong[row, cell] % 4 + 1  # another digit: tokens 1 to 4
    assert not task.valid(problems.inputs, wrong).any()
    given = task.parse("1<2+3+4/+++++++/" + "/".join(["2+.+.+.", "+++++++"] * 2) + "/.+.+.+.").inputs
    answer = task.parse("2<1+3+4/+++++++/" + "/".join(["2+2+2+2", "+++++++"] * 2) + "/3+3+3+3").inputs
    (said,) = task.violations(given, answer)
    assert "row 2 is 2 2 2 2, not each of 1 2 3 4 once" in said
    assert "1 in row 1, column 1 of the drawing was changed" in said
    assert "2 < 1 does not hold (row 1 of the drawing)" in said


def test_its_images_are_puzzles_with_their_answers(task, puzzles):
    problems = task.read(puzzles)
    for which in range(16):
        images = [task.image(part, torch.full((300,), which)) for part in (problems.inputs, problems.labels)]
        assert task.valid(*images).all()
        assert task.canonical(images[0]).equal(task.canonical(problems.inputs))
    every = {tuple(task.image(problems.inputs[:1], torch.tensor([which]))[0].tolist()) for which in range(16)}
    assert len(every) == 16
    uniforms = torch.rand(300, task.draws, generator=torch.Generator().manual_seed(0))
    inputs, labels = task.augment(problems.inputs, problems.labels, uniforms)
    assert task.valid(inputs, labels).all() and not inputs.equal(problems.inputs)
    assert (inputs != problems.inputs).any(1).sum() > 200


TINY = [
    *("reasoner.width=16", "reasoner.heads=2", "reasoner.channel_inner=16", "training.steps=3"),
    *("training.batch=8", "training.depth=4", "training.log_every=1", "training.optimizer.warmup=1"),
    "training.curriculum=[]",
]


def test_both_ways_of_the_guide_train_and_solve(puzzles, tmp_path):
    eq.train("eqr-grid", [f"data={puzzles}", *TINY], out=tmp_path / "plain", device="cpu", quiet=True)
    overrides = [f"data={puzzles}", f"task.name={TASK}", *TINY]
    eq.train("eqr-grid", overrides, out=tmp_path / "own", device="cpu", quiet=True)
    drawn = [
        "/".join("".join(line) for line in json.loads(row)["input"])
        for row in puzzles.read_text().splitlines()[:4]
    ]
    (new := tmp_path / "new.txt").write_text("\n".join(drawn))
    how = ["--depth", "2", "--breadth", "1", "--device", "cpu"]

    def solve(folder, *more):
        return CliRunner().invoke(
            app, ["solve", str(new), "--with", str(tmp_path / folder / "last"), *how, *more]
        )

    plain, named = solve("plain"), ["--set", f"task.name={TASK}"]
    assert "of 4 answers are whole (no rule is known to check them by)" in plain.output
    assert "ok" not in plain.output.split()
    own = solve("own", *named, "--verify")
    assert own.exit_code == 1  # three steps are not enough, and this task can tell
    assert "of 4 answers keep all rules" in own.output and "broken: number 1" in own.output
    said = solve("own", *named, "--out", str(tmp_path / "answers.jsonl")).output
    assert "keep all rules" in said
    card = (tmp_path / "own" / "last" / "README.md").read_text()
    assert re.search(r"held-out grids have a target no training grid has; \d+ are inequivalent", card)


def test_the_page_shows_the_class_as_it_is(task):
    page = (GUIDE / "your-own-problem.md").read_text()
    methods = re.findall(r"    def (\w+)\(", page)
    assert methods == ["augment", "canonical", "violations", "valid"]
    assert set(methods) <= set(vars(type(task))) and type(task).draws == 2


def test_equivalent_puzzles_fall_on_one_side(task, puzzles):
    splits = load_splits(task, puzzles)
    known = {row.tobytes() for row in task.canonical(splits.train.inputs).numpy()}
    assert not any(row.tobytes() in known for row in task.canonical(splits.held_out.inputs).numpy())
