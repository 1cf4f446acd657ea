"""`equilibria reproduce` as a person types it."""

import importlib
import json
import re

import pytest
from typer.testing import CliRunner

import equilibria as eq
from equilibria.cli import app, main
from equilibria.errors import EquilibriaError, Stopped

MODULE = importlib.import_module("equilibria.reproduce.reproduction")  # a function has the same name


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


def reproductions_of(*outcomes):
    """Reproductions that note that they ran and then raise what they are given, or find nothing."""
    ran = []

    def one(name, outcome):
        def make(setup):
            ran.append(name)
            if outcome is not None:
                raise outcome
            return eq.Findings([], ["a note"], [], {})

        return eq.Reproduction(name, f"Tab. {name}", {"cpu": "nothing"}, make, seeds=1)

    return tuple(one(str(place), outcome) for place, outcome in enumerate(outcomes)), ran


def test_all_are_made_one_after_the_other_and_once(monkeypatch, tmp_path):
    known, ran = reproductions_of(None, EquilibriaError("no such folder"), None)
    monkeypatch.setattr("equilibria.reproductions", lambda: known, raising=False)
    monkeypatch.setattr(MODULE, "code_version", lambda: "1.0")
    arguments = ["reproduce", "all", "--device", "cpu", "--out", str(tmp_path)]
    first = CliRunner().invoke(app, arguments, env={"COLUMNS": "160"})
    assert ran == ["0", "1", "2"]
    assert first.exit_code == 1
    assert "not made: 1: no such folder" in first.output
    again = CliRunner().invoke(app, arguments, env={"COLUMNS": "160"})
    assert ran == ["0", "1", "2", "1"]
    assert "0: made already" in again.output
    CliRunner().invoke(app, [*arguments, "training.steps=5"], env={"COLUMNS": "160"})
    assert ran[4:] == ["0", "1", "2"]  # another question


def test_of_changed_code_nothing_counts_as_made(monkeypatch, tmp_path):
    known, ran = reproductions_of(None)
    monkeypatch.setattr("equilibria.reproductions", lambda: known, raising=False)
    for version in ("1.0", "1.1", "1.1-dirty", "1.1-dirty"):
        monkeypatch.setattr(MODULE, "code_version", lambda version=version: version)
        CliRunner().invoke(app, ["reproduce", "all", "--device", "cpu", "--out", str(tmp_path)])
    assert len(ran) == 4


def test_a_training_that_is_stopped_stops_them_all(monkeypatch, tmp_path):
    known, ran = reproductions_of(Stopped("stopped at step 3"), None)
    monkeypatch.setattr("equilibria.reproductions", lambda: known, raising=False)
    result = CliRunner().invoke(app, ["reproduce", "all", "--device", "cpu", "--out", str(tmp_path)])
    assert isinstance(result.exception, Stopped)
    assert ran == ["0"]
