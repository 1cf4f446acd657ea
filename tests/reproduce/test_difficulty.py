"""EqR Fig. 16: accuracy by difficulty, and whether difficulty decides."""

import torch

from equilibria.reproduce import difficulty
from equilibria.reproduce.difficulty import SIX, Tried, groups, notes, run, sources, within
from equilibria.tasks import Problems


def tried(right, names=None):
    count = len(right)
    problems = Problems(torch.zeros(count, 36, dtype=torch.uint8), None, tuple(names or ["one"] * count))
    return Tried(SIX, 16, problems, torch.tensor(right), {"empty cells": torch.arange(count).float()})


def test_accuracy_is_by_group_and_by_source():
    one = tried([True] * 6 + [False] * 6)
    rows = groups(one)
    assert [row["accuracy"] for row in rows] == [100.0] * 3 + [0.0] * 3
    assert rows[0]["correlation"] < -0.8
    parts = groups(tried([True, False] * 40 + [False], ["a", "b"] * 40 + ["c"]))
    assert {row["source"] for row in parts} == {"all", "a", "b"}
    assert {row["accuracy"] for row in parts if row["source"] == "a"} == {100.0}


def test_sources_of_few_puzzles_are_not_looked_at_alone():
    assert sources(tried([True] * 100, ["b"] * 41 + ["a"] * 58 + ["c"]).problems) == ["a", "b"]


def test_a_correlation_between_sources_is_told_from_one_within_them():
    easy, hard = [True] * 50, [False] * 50
    (said,) = within(groups(tried([*easy, *hard], ["x_easy"] * 50 + ["x_hard"] * 50)))
    assert "-0.87 over all puzzles, and nan within easy, nan within hard" in said.replace("+nan", "nan")
    assert within(groups(tried([True, False] * 10))) == []


def test_difficulty_decides_only_where_nothing_easier_fails(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (said, missing) = notes([tried([True, True, False, False])])
    assert "hardest solved has 1, the easiest not solved 2" in said and said.endswith("yes.")
    assert "examples beside its weights alone" in missing
    said, _ = notes([tried([False, True, True, False])])
    assert "50% of those not solved are easier" in said and said.endswith("no.")
    assert "all puzzles alike (solved)" in notes([tried([True, True])])[0]


def test_the_shipped_reasoners_are_tried(setup, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(difficulty.COUNTS, "cpu", {"sudoku-9x9": 4, "sudoku-6x6": 30})
    monkeypatch.setattr(difficulty, "DEPTHS", {"sudoku-9x9": (2,), "sudoku-6x6": (1, 4)})
    findings = run(setup())
    by = {(row["reasoner"], row["depth"], row["measure"]) for row in findings.sheets[0].rows}
    assert ("sudoku-6x6", 4, "empty cells") in by and ("sudoku-9x9", 2, "rating") in by
    assert ("sudoku-9x9", 2, "empty cells") not in by
    assert len(findings.sheets[1].rows) == 4 + 2 * 30
    assert findings.pictures[0].read_bytes().startswith(b"\x89PNG")
