"""`equilibria reproduce` as a person types it."""

import json
import re

import pytest
from typer.testing import CliRunner

from equilibria.cli import app, main


def run(*arguments):
    result = CliRunner().invoke(app, ["reproduce", *arguments], env={"COLUMNS": "160"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return re.sub(r"\s+", " ", result.output)


@pytest.mark.parametrize("arguments", [(), ("list",)])
def test_without_a_name_all_are_listed_with_what_they_cost(arguments):
    said = run(*arguments)
    for words in ("construction-path", "EqR Tab. 2", "costs", "signal-propagation", "paper", "minutes"):
        assert words in said


def test_help_says_how_to_choose():
    said = run("--help")
    for option in ("--scale", "--out", "--seeds", "--jobs", "--json"):
        assert option in said


def test_a_reproduction_says_its_cost_first_and_writes_everything(tmp_path):
    target = tmp_path / "all.json"
    said = run("costs", "training.batch=2", "--out", str(tmp_path / "costs"), "--json", str(target))
    assert said.index("cost:") < said.index("1 of 12") < said.index("EqR Tab. 9")
    assert "96a_f + a_ℓ" in said
    assert len(json.loads(target.read_text())["compute"]) == 12
    names = {file.name for file in (tmp_path / "costs").iterdir()}
    assert {"compute.csv", "memory.csv", "costs.png", "config.yaml"} <= names


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["construction"], "did you mean 'construction-path'"),
        (["costs", "--scale", "huge"], "no scale 'huge'"),
        (["costs", "training.bach=2"], "did you mean 'training.batch'"),
    ],
)
def test_a_mistake_gets_one_message_that_names_it(arguments, expected, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["equilibria", "reproduce", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert expected in re.sub(r"\s+", " ", capsys.readouterr().err)
