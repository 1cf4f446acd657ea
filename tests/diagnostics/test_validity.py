"""Right answers besides the label: mazes with two shortest paths, of which a label names one."""

import pytest
import torch

from equilibria.diagnostics.evaluation import evaluate
from equilibria.diagnostics.metrics import interval
from equilibria.diagnostics.validity import valid_answers
from equilibria.inference.engine import Engine
from equilibria.inference.pool import Pool
from equilibria.recipes import load_recipe
from equilibria.tasks import Problems
from equilibria.tasks.maze import Maze
from equilibria.tasks.maze.grid import CHARACTERS
from equilibria.tasks.sudoku import Sudoku

# Rows of three cells; the wall in the middle leaves two ways of equal length.
MAZE = "S  " + " # " + "  G"
LABEL, OTHER = "Soo" + " #o" + "  G", "S  " + "o# " + "ooG"
BOTH, CUT, THROUGH = "Soo" + "o#o" + "ooG", "So " + " # " + "  G", "So " + " oo" + "  G"


class Counting(Maze):
    """A maze that remembers how many answers it was asked about."""

    asked_about = 0

    def valid(self, inputs, answers):
        self.asked_about += len(answers)
        return super().valid(inputs, answers)


@pytest.fixture
def task():
    return Counting(Maze.Config(size=3))


def tokens(*mazes):
    return torch.tensor([[CHARACTERS.index(cell) for cell in maze] for maze in mazes], dtype=torch.uint8)


def upside_down(maze):
    return maze[6:] + maze[3:6] + maze[:3]


def both(*answers):
    """The same answers to the maze and to its mirror image: `[2, answers, tokens]`."""
    return torch.stack([tokens(*answers), tokens(*map(upside_down, answers))])


MAZES = tokens(MAZE, upside_down(MAZE))


def test_any_shortest_path_is_valid_and_nothing_else(task):
    answers = both(LABEL, OTHER, BOTH, CUT, THROUGH, MAZE)
    assert valid_answers(task, MAZES, answers).tolist() == [[True, True, False, False, False, False]] * 2
    swapped = valid_answers(task, MAZES.flip(0), answers)
    assert not swapped.any()


def test_equal_answers_are_checked_once(task):
    answers = both(LABEL, OTHER, CUT).repeat(1, 5, 1)
    assert valid_answers(task, MAZES, answers).tolist() == [[True, True, False] * 5] * 2
    assert task.asked_about == 6


def test_nobody_looks_where_the_label_is_the_one_right_answer(monkeypatch):
    def never(*_):
        raise AssertionError("checked")

    monkeypatch.setattr(Sudoku, "valid", never)
    monkeypatch.setattr(Sudoku, "asked", never)
    task = Sudoku()
    assert valid_answers(task, torch.ones(2, 81), torch.ones(2, 4, 81)) is None


class Replayed(Engine):
    """An engine whose restarts have given these answers, by depth, and settled in this order."""

    answers: dict[int, torch.Tensor]
    residual: torch.Tensor

    def pools(self, tokens, *, depths, breadth, **how):
        def pool(depth):
            whole = torch.full(self.residual.shape, depth)
            nothing = torch.full(self.residual.shape, torch.nan)
            ends = Pool(self.answers[depth], self.residual, nothing, nothing, whole, whole > whole)
            return ends.restarts(breadth)

        return [pool(depth) for depth in depths]


@pytest.fixture
def engine(task):
    recipe = load_recipe("eqr-maze-unique", ["task.size=3", "reasoner.width=16", "reasoner.heads=2"])
    engine = Replayed(recipe.build_reasoner(task).eval())
    first, second = tokens(LABEL, OTHER, OTHER, CUT), tokens(OTHER, CUT, OTHER, BOTH)
    second = torch.stack([row.view(3, 3).flip(0).flatten() for row in second])
    engine.answers = {1: both(CUT, CUT, LABEL, OTHER), 4: torch.stack([first, second])}
    engine.residual = torch.tensor([[0.3, 0.1, 0.2, 0.4], [0.3, 0.2, 0.4, 0.1]])
    return engine


@pytest.fixture
def problems():
    return Problems(MAZES, both(LABEL)[:, 0], ("mazes",) * 2)


def shares(result, *cell):
    row = result.row(*cell)
    return row.exact_accuracy, row.valid_accuracy


def test_exact_and_valid_stand_beside_each_other_for_every_selection(engine, task, problems):
    """At depth 4 the first maze is answered label, other, other, cut; the second other, cut, other, both."""
    result = evaluate(engine, problems, depths=(1, 4), breadths=(1, 2, 4), task=task)
    assert shares(result, 4, 1, "average") == (0.5, 1.0)
    assert shares(result, 4, 2, "average") == (0.25, 0.75)
    assert shares(result, 4, 4, "average") == (0.125, 0.625)
    assert shares(result, 4, 4, "pass") == (0.5, 1.0)
    assert shares(result, 4, 4, "majority") == (0.0, 1.0)  # the other path, twice in both
    assert shares(result, 4, 4, "convergence") == (0.0, 0.5)
    assert shares(result, 4, 2, "convergence") == (0.0, 0.5)
    assert shares(result, 1, 1, "average") == (0.0, 0.0)
    assert shares(result, 1, 4, "average") == (0.25, 0.5)
    for row in result.rows:
        assert row.valid_accuracy >= row.exact_accuracy
        assert row.valid_ci95 == interval(row.valid_accuracy, 2)
        assert row.ci95 == interval(row.exact_accuracy, 2)


def test_a_smaller_budget_alone_finds_the_same(engine, task, problems):
    whole = evaluate(engine, problems, depths=(1, 4), breadths=(1, 2, 4), task=task)
    alone = evaluate(engine, problems, depths=(4,), breadths=(2,), task=task)
    assert len(alone.rows) > 3
    for row in alone.rows:
        assert shares(whole, 4, 2, row.selection) == (row.exact_accuracy, row.valid_accuracy)


def test_without_a_task_only_labels_count(engine, task, problems):
    result = evaluate(engine, problems, depths=(4,), breadths=(4,))
    assert {(row.valid_accuracy, row.valid_ci95) for row in result.rows} == {(None, None)}
    assert result.row(4, 4, "average").exact_accuracy == 0.125
    assert task.asked_about == 0
