"""What a scene says of restarts: on recordings made by hand, and drawn."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from rich.console import Console

from equilibria.diagnostics.watching import Mark, scene_of
from equilibria.diagnostics.watching.film import draw_film, last_iteration
from equilibria.diagnostics.watching.strip import arrows, draw_strip
from equilibria.diagnostics.watching.terminal import board_text, scene_summary, scene_view, sparkline
from equilibria.inference.recording import Recording
from equilibria.tasks import Problems, load_task

SUDOKU = load_task({"name": "sudoku", "box": [2, 2]})
GIVEN = SUDOKU.parse("1.....3..4.....2").inputs[0]  # has one solution
RIGHT = SUDOKU.label(GIVEN[None])[0][0].numpy()
DEPTH = 6


def recording(answers, residuals, length=None, halted=None):
    """Of restarts of problem 0: `answers` [restarts, depth + 1, tokens], `residuals` [restarts, depth]."""
    count = len(answers)
    nothing = np.zeros(0, dtype=np.int64)
    return Recording(
        problem=np.zeros(count, dtype=np.int64),
        restart=np.arange(count),
        length=np.array(length or [len(residuals[0])] * count),
        halted=np.array(halted or [False] * count),
        answers=np.array(answers, dtype=np.uint8),
        residuals=np.array(residuals, dtype=np.float32),
        halt_logits=np.full((count, len(residuals[0])), np.nan, dtype=np.float32),
        frames=nothing,
        states=None,
        logit_frames=nothing,
        logits=None,
    )


def other(*cells):
    """The solution with these cells wrong."""
    answer = RIGHT.copy()
    for cell in cells:
        answer[cell] = 1 + answer[cell] % 4 + 1 if answer[cell] < 4 else 2
    assert all(answer[cell] != RIGHT[cell] for cell in cells)
    return answer


@pytest.fixture
def scene():
    """One restart that erases and retries, and comes to rest right; one that stays wrong and restless."""
    first = [other(1, 2, 3), other(1), other(1, 2), other(2), RIGHT, RIGHT, RIGHT]
    second = [other(5, 6)] + [other(5) if k % 2 else other(6) for k in range(DEPTH)]
    residuals = [[8, 4, 6, 1, 0.2, 0.1], [8] * DEPTH]
    problem = Problems(GIVEN[None], None, ("test",))
    return scene_of(SUDOKU, problem, recording([first, second], residuals), elements=4, tolerance=0.25)


def test_the_solver_says_what_is_right(scene):
    assert scene.label is not None
    assert (scene.label.numpy() == RIGHT).all()
    assert scene.right[0].tolist() == [False] * 4 + [True] * 3
    assert not scene.right[1].any()
    assert [scene.mistakes(0, k) for k in range(DEPTH + 1)] == [3, 1, 2, 1, 0, 0, 0]


def test_a_restart_has_settled_where_its_last_three_residuals_rest(scene):
    # per element: residual / √4; of the last three (1 + 0.2 + 0.1) / 3 / 2 = 0.217, before that 1.2
    assert scene.settled[0].tolist() == [False] * 6 + [True]
    assert not scene.settled[1].any()
    assert scene.convergent == 0


def test_what_a_halting_rule_ended_stays_settled():
    answers = [[RIGHT] * 4, [RIGHT] * 4]
    nan = np.nan
    ended = recording(answers, [[9, 9, nan], [9, 9, 9]], length=[2, 3], halted=[True, False])
    scene = scene_of(SUDOKU, Problems(GIVEN[None], None, ("",)), ended, elements=1, tolerance=0.1)
    assert scene.settled.tolist() == [[False, False, True, True], [False] * 4]


def test_cells_are_given_right_or_wrong_and_say_whether_they_changed(scene):
    board = scene.board(0, 2)
    assert board.marks[0, 0] is Mark.GIVEN
    assert {where for where, mark in board.marks.items() if mark is Mark.WRONG} == {(0, 1), (0, 2)}
    assert board.marks[0, 3] is Mark.RIGHT  # though it is in conflict with a wrong one
    answer = scene.task.panels(scene.given, torch.tensor(other(1, 2)), scene.label)[1]
    assert (0, 3) in answer.wrong
    assert board.changed == {(0, 2)}
    assert scene.changes(0, 2) == 1
    assert not scene.board(0, 0).changed


def test_moments_end_where_the_answer_stops_to_change(scene):
    assert scene.last_change(0) == 4
    assert scene.moments(0, 6) == [1, 2, 3, 4]
    assert scene.moments(0, 2) == [1, 4]
    assert scene.last_change(1) == DEPTH
    assert last_iteration(scene) == DEPTH


def test_the_cell_that_wavers_most_is_found(scene):
    where, values = scene.wavering(1)
    assert where in {(1, 1), (1, 2)}
    assert len(values) == DEPTH
    assert values[0] == values[2] != values[1]
    assert arrows(values, 3) == f"{values[0]} → {values[1]} → {values[2]} → …"


def test_without_a_label_or_a_solver_nothing_is_called_wrong():
    grids = load_task({"name": "grids", "height": 1, "width": 3, "symbols": ["a", "b", "c"]})
    given = torch.tensor([[1, 2, 3]], dtype=torch.uint8)
    answers = [[[1, 1, 1], [1, 2, 1]]]
    scene = scene_of(
        grids, Problems(given, None, ("",)), recording(answers, [[1.0]]), elements=1, tolerance=0.1
    )
    assert scene.right is None
    assert scene.mistakes(0, 1) is None
    assert Mark.WRONG not in scene.board(0, 1).marks.values()
    assert scene.changes(0, 1) == 1


def plain(renderable, width):
    printed = io.StringIO()
    Console(width=width, file=printed, no_color=True).print(renderable)
    return printed.getvalue()


def test_a_board_says_in_characters_what_changed_and_what_is_wrong(scene):
    first = board_text(scene.board(0, 2)).plain.split("\n")[0]
    assert first.startswith(" 1 ")
    assert first.count("!") == 2
    assert first.count("*") == 1


@pytest.mark.parametrize("width", [40, 100])
def test_the_race_stands_beside_the_board_where_there_is_room(scene, width):
    lines = plain(scene_view(scene, 0, DEPTH, width), width).split("\n")
    beside = any("│" in line and "right, settled" in line for line in lines)
    assert beside == (width == 100)
    assert max(map(len, lines)) <= width
    assert any("right, settled" in line for line in lines)


def test_the_summary_tells_iterations_and_restarts(scene):
    text = plain(scene_summary(scene, 0), 100)
    assert "iteration 1" in text
    assert "iteration 4" in text
    assert "1 of 2" in text


def test_a_sparkline_falls_with_its_values():
    line = sparkline([100.0, 10.0, 1.0], 1.0, 100.0, 6)
    assert line == "█▅▁   "
    assert len(sparkline([1.0] * 100, 1.0, 2.0, 100)) <= 24


def test_the_pictures_are_drawn(scene, tmp_path):
    film, strip = tmp_path / "film.gif", tmp_path / "strip.png"
    seen = []
    assert draw_film(scene, 0, film, 5, "title", lambda *told: seen.append(told)) == DEPTH + 1
    assert seen[-1] == (DEPTH + 1, DEPTH + 1)
    with GifImageFile(film) as image:
        assert image.n_frames == DEPTH + 1
        assert image.info["loop"] == 0
        first = np.asarray(image.convert("RGB"))
        image.seek(DEPTH)
        assert (np.asarray(image.convert("RGB")) != first).any()
    draw_strip(scene, 0, strip, "title")
    with Image.open(strip) as image:
        assert image.format == "PNG"
        assert image.width == 2100  # two columns at 300 dots an inch


@pytest.mark.parametrize("config", [{"name": "permutations", "length": 6}, {"name": "maze", "size": 9}])
def test_other_tasks_are_shown_too(config, tmp_path):
    task = load_task(config)
    problem = task.generate(1, seed=1)
    assert problem.labels is not None
    label = problem.labels[0].numpy()
    half = np.where(np.arange(len(label)) % 2, label, problem.inputs[0].numpy())
    scene = scene_of(task, problem, recording([[half, half, label]], [[2.0, 0.1]]), elements=1, tolerance=0.1)
    assert scene.right is not None
    assert scene.right.tolist() == [[False, False, True]]
    assert scene.mistakes(0, 1) == (half != label).sum()
    marks = list(scene.board(0, 1).marks.values())
    assert Mark.WRONG in marks
    assert Mark.WRONG not in scene.board(0, 2).marks.values()
    assert "right" in plain(scene_view(scene, 0, 2, 100), 100)
    draw_strip(scene, 0, tmp_path / "strip.png", "title")
