"""What all reproductions have in common: sheets, folders, errors for the person who asked."""

import json
import re

import pytest

from equilibria.errors import EquilibriaError
from equilibria.reproduce import reproduction, reproductions
from equilibria.reproduce.reproduction import Findings, Reproduction, Sheet

SHEET = Sheet(
    "scores",
    "Scores",
    [{"name": "a", "score": 0.12345}, {"name": "b", "score": None}],
    {"who": "{name}", "%": "{score:.1%}"},
)


def made(setup):
    return Findings([SHEET, Sheet("long", "", [{"x": 1}], {})], ["a note"], [], {"width": 3})


def test_a_sheet_rounds_what_it_shows_and_not_what_it_writes():
    assert SHEET.shown() == [["a", "12.3%"], ["b", "–"]]
    assert SHEET.csv() == "name,score\na,0.12345\nb,\n"


def test_all_that_was_found_is_written(tmp_path):
    one = Reproduction("one", "Tab. 1", {"cpu": "nothing"}, made)
    one.make(out=tmp_path, device="cpu")
    assert (tmp_path / "scores.csv").read_text() == SHEET.csv()
    assert (tmp_path / "long.csv").read_text() == "x\n1\n"
    found = json.loads((tmp_path / "findings.json").read_text())
    assert found == {"notes": ["a note"], "scores": list(SHEET.rows)}
    text = (tmp_path / "config.yaml").read_text()
    assert "width: 3" in text
    assert "seeds: 2" in text


def test_a_scale_that_is_not_there_is_named():
    with pytest.raises(EquilibriaError, match="costs has no scale 'huge'; there are: cpu, paper"):
        reproduction("costs").make("huge")


def test_nothing_is_made_of_no_seeds(tmp_path):
    with pytest.raises(EquilibriaError, match="at least 1"):
        reproduction("costs").make(out=tmp_path, seeds=0)


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(EquilibriaError, match="did you mean 'construction-path'"):
        reproduction("construction")


def test_names_are_distinct_and_all_say_what_they_cost():
    known = reproductions()
    assert len({one.name for one in known}) == len(known)
    assert all("cpu" in one.scales and set(one.scales) <= {"cpu", "paper"} and one.what for one in known)


def named(text, kind):
    """The numbers of `EqR Tab. 3, 11, Fig. 8`, of a kind (Tab., Fig.) in one paper's words."""
    numbers = set()
    for part in re.findall(rf"{kind}\. ([\d, ]+)", text):
        numbers |= {int(number) for number in re.findall(r"\d+", part)}
    return numbers


def test_every_table_and_figure_of_eqr_that_shows_results_can_be_made():
    whats = [one.what for one in reproductions() if one.what.startswith("EqR")]
    tables = set().union(*(named(what, "Tab") for what in whats))
    figures = set().union(*(named(what, "Fig") for what in whats))
    assert tables == set(range(1, 17))  # Tab. 17 lists hyper-parameters: they are the recipes
    assert figures == {1, 3, 6, 7, 8, 9, *range(11, 17)}  # 2, 4, 5 and 10 are drawings of ideas
    for part in ("App. A.3", "App. A.6", "App. D.2", "Sec. 5.2"):
        assert any(part in what for what in whats), part
