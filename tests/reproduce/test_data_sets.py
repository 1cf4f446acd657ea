"""EqR App. C: paths are counted right, and what is not there is said to be missing."""

import numpy as np
import torch

from equilibria.reproduce import data_sets
from equilibria.reproduce.data_sets import LITE, lite, ratings, run, specifications
from equilibria.reproduce.maze_paths import other_path, shortest_paths
from equilibria.tasks import Problems
from equilibria.tasks.maze import Maze
from equilibria.tasks.maze.grid import solved
from equilibria.tasks.maze.rules import valid


def maze(text):
    task = Maze.for_text(text)
    return task.parse(text).inputs[0].numpy(), task.size


def test_shortest_paths_are_counted():
    assert shortest_paths(*maze("S  \n   \n  G")) == (4, 6)
    assert shortest_paths(*maze("S  \n # \n  G")) == (4, 2)
    assert shortest_paths(*maze("S #\n# #\n# G")) == (4, 1)


def test_another_shortest_path_is_one_and_another_where_there_is_any():
    board, size = maze("S  \n # \n  G")
    other = other_path(board, size)
    assert valid(board[None], other[None], size).all()
    assert (other != solved(board, size)).any()
    only, size = maze("S #\n# #\n# G")
    assert (other_path(only, size) == solved(only, size)).all()


def test_a_part_at_random_has_no_puzzle_twice_and_is_the_same_again():
    puzzles = Problems(torch.zeros(3000, 81, dtype=torch.uint8), None, ("a",) * 3000)
    part = lite(puzzles, seed=0)
    assert len(part.unique()) == LITE
    assert (part == lite(puzzles, seed=0)).all() and (part != lite(puzzles, seed=1)).any()


def test_ratings_are_told_by_quantiles_and_accuracy_where_it_is_known():
    rated = Problems(
        torch.zeros(4, 81, dtype=torch.uint8), None, ("a", "a", "b", "b"), torch.tensor([0.0, 0.0, 4.0, 8.0])
    )
    row = ratings("all", rated, torch.tensor([True, True, True, False]))
    assert (row["mean"], row["zero"], row["most"], row["from a"], row["accuracy"]) == (
        3.0,
        50.0,
        8.0,
        50.0,
        75.0,
    )
    assert ratings("all", rated, None)["accuracy"] is None


def test_sizes_are_those_of_the_recipes():
    rows = specifications(None)
    assert [(row["board"], row["vocabulary"], row["train"], row["held_out"]) for row in rows] == [
        ("30×30", 6, 1000, 1000),
        ("6×6", 8, 1000, 2000),
    ]


def test_it_is_made_without_the_forum_which_is_said(setup, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(data_sets.SIZES, "cpu", (30, 3))
    findings = run(setup())
    assert [sheet.name for sheet in findings.sheets] == ["specifications", "path-lengths"]
    unique, several = findings.sheets[1].rows
    assert (unique["several"], several["several"]) == (0.0, 100.0)
    assert 100 <= unique["least"] <= unique["greatest"] <= 140 and several["least"] >= 111
    assert "no folder sudoku-forum" in findings.notes[-1]
    assert len(findings.pictures) == 2
    assert np.all([path.is_file() for path in findings.pictures])
