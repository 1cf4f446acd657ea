"""Compute by difficulty, on problems whose compute is made to follow it."""

import math

import pytest
import torch

from equilibria.diagnostics.adaptivity import by_difficulty, difficulty, rank_correlation
from equilibria.diagnostics.metrics import interval
from equilibria.errors import DataError
from equilibria.tasks import load_task
from equilibria.tasks.problems import Problems

NAN = math.nan


def test_groups_tell_what_each_difficulty_costs():
    values = torch.arange(60.0).flip(0)
    evaluations = 10 + values.long()
    right = values < 30
    found = by_difficulty(values, evaluations, right)
    assert [(g.low, g.high, g.problems) for g in found] == [(10.0 * n, 10.0 * n + 9, 10) for n in range(6)]
    assert [g.evaluations for g in found] == [14.5 + 10 * n for n in range(6)]
    assert [g.median for g in found] == [14.0 + 10 * n for n in range(6)]
    assert [g.accuracy for g in found] == [1, 1, 1, 0, 0, 0]
    assert found[0].ci95 == interval(1.0, 10)
    assert rank_correlation(values, evaluations) == pytest.approx(1.0)
    assert rank_correlation(values, -evaluations) == pytest.approx(-1.0)


def test_restarts_are_averaged_and_problems_counted():
    values = torch.tensor([1.0, 2.0])
    evaluations = torch.tensor([[1, 2, 3, 10], [4, 4, 8, 8]])
    right = torch.tensor([[True, True, True, False], [False, False, False, True]])
    easy, hard = by_difficulty(values, evaluations, right, groups=2)
    assert (easy.problems, easy.evaluations, easy.median, easy.accuracy) == (1, 4.0, 2.0, 0.75)
    assert (hard.problems, hard.evaluations, hard.median, hard.accuracy) == (1, 6.0, 4.0, 0.25)
    assert easy.ci95 == interval(0.75, 1)
    assert rank_correlation(values, evaluations) == pytest.approx(1.0)


def test_equal_difficulties_stay_together():
    values = torch.tensor([0.0] * 50 + [1.0] * 5 + [2.0] * 5)
    found = by_difficulty(values, torch.ones(60), torch.ones(60).bool())
    assert [(g.low, g.high, g.problems) for g in found] == [(0.0, 0.0, 50), (1.0, 2.0, 10)]


def test_problems_without_a_difficulty_are_left_out():
    values = torch.tensor([1.0, NAN, 3.0])
    evaluations, right = torch.tensor([5, 1000, 7]), torch.tensor([True, False, True])
    assert [g.evaluations for g in by_difficulty(values, evaluations, right)] == [5.0, 7.0]
    assert rank_correlation(values, evaluations) == pytest.approx(1.0)
    assert by_difficulty(torch.full((3,), NAN), evaluations, right) == []


def test_without_halting_nothing_correlates():
    assert math.isnan(rank_correlation(torch.arange(5.0), torch.full((5, 3), 16)))


def test_difficulty_is_what_file_and_task_know():
    sudoku, maze = load_task({"name": "sudoku", "box": [2, 2]}), load_task({"name": "maze", "size": 9})
    puzzles, mazes = sudoku.generate(8, seed=0), maze.generate(8, seed=0)
    assert list(difficulty(sudoku, puzzles)) == ["rating", "empty cells"]
    assert difficulty(maze, mazes)["rating"].tolist() == difficulty(maze, mazes)["path length"].tolist()
    bare = Problems(mazes.inputs, None, mazes.sources)
    assert difficulty(maze, bare) == {}


def test_what_cannot_be_asked():
    with pytest.raises(DataError, match=r"difficulties \[2\], evaluations \[3\] .* of the same problems"):
        by_difficulty(torch.zeros(2), torch.zeros(3), torch.zeros(3).bool())
    with pytest.raises(DataError, match="0 groups"):
        by_difficulty(torch.zeros(3), torch.zeros(3), torch.zeros(3).bool(), groups=0)
