"""`equilibria data make` for every task, and what a person can get wrong."""

import re

import pytest
import torch
from typer.testing import CliRunner

import equilibria as eq
from equilibria.cli import app, main

MADE = {
    "sudoku": (["--box", "2x2"], {"box": [2, 2]}),
    "sudoku by key": (["box=[2,3]"], {"box": [2, 3]}),
    "permutations": (["group=S4", "length=6", "shortest=3"], {"group": "S4", "length": 6, "shortest": 3}),
    "maze": (["size=11", "shortest=10", "longest=20"], {"size": 11, "shortest": 10, "longest": 20}),
    "maze of walls": (["mode=random", "walls=0.3", "size=9"], {"mode": "random", "walls": 0.3, "size": 9}),
}


@pytest.mark.parametrize(("kind", "arguments", "config"), [(k, *v) for k, v in MADE.items()], ids=list(MADE))
def test_what_is_made_is_what_the_task_generates(kind, arguments, config, tmp_path):
    name, out = kind.split()[0], tmp_path / "made.csv"
    result = CliRunner().invoke(
        app, ["data", "make", name, *arguments, "--count", "5", "--seed", "7", "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert "5 problems in" in result.output
    task = eq.load_task({"name": name} | config)
    made = task.read(out)
    assert made.fingerprint() == task.generate(5, seed=7).fingerprint()
    assert torch.equal(made.ratings, task.generate(5, seed=7).ratings)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["sudokoo"], "there is no task 'sudokoo'; nearest: 'sudoku'"),
        (["maze", "11"], "'11': write KEY=VALUE, as in size=11"),
        (["maze", "=11"], "write KEY=VALUE"),
        (["maze", "size=11", "size=12"], "'size=12': given twice"),
        (["maze", "name=sudoku"], "'name=sudoku': the task is named already"),
        (["maze", "size=[1"], "'size=[1': the value is not YAML"),
        (["maze", "sise=11"], "task maze has no key 'sise'; nearest: 'size'"),
        (["maze", "size=eleven"], "task maze, key 'size': .* it is 'eleven'"),
        (["maze", "--box", "2x3"], "task maze has no key 'box'"),
        (["maze", "size=5", "shortest=20", "longest=20"], "no 5×5 perfect maze .* of 20 steps"),
        (["permutations", "group=A9"], "there is no group 'A9' here"),
        (["permutations", "group=S3", "length=2"], "S3 has 36 different problems of length 2, not 1,000"),
        (["permutations", "--min-rating", "33"], "no problem is rated 33"),
        (["sudoku", "--box", "three"], "write rows x columns"),
    ],
)
def test_a_mistake_gets_one_message_that_names_it(arguments, expected, monkeypatch, capsys, tmp_path):
    out = tmp_path / "made.csv"
    monkeypatch.setattr("sys.argv", ["equilibria", "data", "make", *arguments, "--out", str(out)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    said = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert re.search(expected.replace("[", r"\["), said), said
    assert not out.exists()
