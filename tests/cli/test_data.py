"""`equilibria data make` for every task, `equilibria data inspect`, and what a person can get wrong."""

import json
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


GRIDS = [
    ([0, 1, 2, 0, 3, 0, 0, 2, 1], [3, 1, 2, 1, 3, 2, 3, 2, 1]),
    ([0, 1, 0, 0, 3, 0, 0, 2, 1], [2, 1, 3, 1, 3, 2, 3, 2, 1]),
    ([0, 1, 0, 0, 3, 0, 0, 2, 0], [2, 1, 3, 1, 3, 2, 3, 2, 1]),
]


@pytest.fixture
def grids(tmp_path):
    """Three problems; the first stands there twice, and once more with another answer."""
    path = tmp_path / "mine.jsonl"
    rows = [*GRIDS, GRIDS[0], (GRIDS[0][0], GRIDS[1][1])]
    path.write_text("".join(json.dumps({"input": one, "target": other}) + "\n" for one, other in rows))
    return path


def test_inspect_says_what_was_understood_and_what_is_wrong(grids):
    result = CliRunner().invoke(app, ["data", "inspect", str(grids)], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    tables = [line for line in result.output.splitlines() if line.startswith(("│", "┃"))]
    assert max(map(len, tables)) <= 80
    said = re.sub(r"[\s│]+", " ", result.output)
    for part in (
        "mine.jsonl, jsonl: 5 problems",
        "1×9, all problems: 9 tokens",
        "4 symbols, and 0 as padding: 5 tokens",
        "1 input has several targets, in 3 rows",
        "For instance line 1 and line 5",
        "EqR, App. C.2",
        "1 row repeats an earlier one",
        "For instance line 1 and line 4",
        "say so with height=3 width=3",
        f"equilibria train eqr-grid data={grids}",
        "GFLOP",
    ):
        assert part in said, part


def test_inspect_suggests_attention_where_shapes_differ(grids):
    with grids.open("a") as file:
        file.write('{"input": [0, 1], "target": [1, 0]}\n')
    said = re.sub(r"\s+", " ", CliRunner().invoke(app, ["data", "inspect", str(grids)]).output)
    (command,) = re.findall(r"equilibria (train eqr-grid \S+ reasoner.mixing=attention \S+)", said)
    planned = CliRunner().invoke(app, [*command.split(), "--dry-run"])
    assert planned.exit_code == 0, planned.output


def test_inspect_takes_settings_and_gives_a_command_that_trains(grids):
    settings = ["height=3", "width=3", "symmetry=dihedral", "relabel=[1,2,3]"]
    result = CliRunner().invoke(app, ["data", "inspect", str(grids), *settings])
    assert result.exit_code == 0, result.output
    said = re.sub(r"\s+", " ", result.output)
    assert "3×3, all problems" in said and "say so with" not in said
    (command,) = re.findall(r"equilibria (train eqr-grid .* 'task.relabel=\[1,2,3\]')", said)
    planned = CliRunner().invoke(app, [*command.replace("'", "").split(), "--dry-run"])
    assert planned.exit_code == 0, planned.output
    assert "GFLOP" not in CliRunner().invoke(app, ["data", "inspect", str(grids), "--no-cost"]).output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["no-such.jsonl"], "no-such.jsonl: no such file or folder"),
        (["mine.jsonl", "hight=3"], "task grids has no key 'hight'; nearest: 'height'"),
        (["mine.jsonl", "relabel=[1,7]"], "'7' is none of the symbols"),
        (["mine.jsonl", "symmetry=dihedral"], "the board must be square, not 1×9"),
        (["bad.jsonl"], "bad.jsonl, line 2 is no problem: the input: row 2 has 1 cells"),
    ],
)
def test_inspect_ends_in_one_message(arguments, expected, grids, monkeypatch, capsys):
    monkeypatch.chdir(grids.parent)
    (grids.parent / "bad.jsonl").write_text(
        '{"input": [1, 2], "target": [1, 2]}\n{"input": [[1, 2], [1]], "target": [1, 2]}\n'
    )
    monkeypatch.setattr("sys.argv", ["equilibria", "data", "inspect", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert expected in re.sub(r"\s+", " ", capsys.readouterr().err)
