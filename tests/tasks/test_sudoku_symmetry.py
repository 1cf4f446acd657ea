"""Augmentation keeps puzzles puzzles; canonical forms tell which are the same."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equilibria.errors import DataError
from equilibria.tasks.sudoku import Sudoku, Symmetry, canonical
from equilibria.tasks.sudoku.solver import solve
from equilibria.tasks.sudoku.symmetry import draws

BOXES = [(2, 2), (2, 3), (3, 2), (3, 3), (4, 2)]


def sudoku(box):
    return Sudoku(Sudoku.Config(box=box))


def uniforms(count, box, seed):
    return torch.rand(count, draws(box), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("box", BOXES)
def test_augmented_labels_solve_augmented_inputs(box):
    task = sudoku(box)
    problems = task.generate(64, seed=0)
    inputs, labels = task.augment(problems.inputs, problems.labels, uniforms(64, box, seed=1))
    assert inputs.dtype == labels.dtype == torch.uint8
    assert task.valid(inputs, labels).all()
    assert (solve(inputs.numpy(), box, limit=2).found == 1).all()
    assert ((inputs != problems.inputs).any(1)).float().mean() > 0.9


@settings(max_examples=30, deadline=None)
@given(box=st.sampled_from(BOXES[:4]), seed=st.integers(0, 2**31))
def test_any_image_of_a_puzzle_keeps_its_givens_and_its_one_answer(box, seed):
    task = sudoku(box)
    problems = task.generate(3, seed=seed)
    inputs, labels = task.augment(problems.inputs, problems.labels, uniforms(3, box, seed))
    assert task.violations(inputs, labels) == [[]] * 3
    assert torch.equal((inputs > 1).sum(1), (problems.inputs > 1).sum(1))
    assert torch.equal(torch.where(inputs > 1, labels, inputs), inputs)
    assert (solve(inputs.numpy(), box, limit=2).found == 1).all()


def test_augment_depends_on_its_uniforms_alone_and_row_by_row():
    task = sudoku((3, 3))
    problems = task.generate(16, seed=0)
    given_draws = uniforms(16, (3, 3), seed=1)
    inputs, _ = task.augment(problems.inputs, problems.labels, given_draws)
    again, _ = task.augment(problems.inputs[5:6], problems.labels[5:6], given_draws[5:6])
    assert torch.equal(again, inputs[5:6])
    assert task.draws == given_draws.shape[1] == 34


def test_cells_that_are_not_scored_stay_so():
    task = sudoku((2, 3))
    problems = task.generate(8, seed=0)
    labels = torch.where(problems.inputs > 1, 0, problems.labels)
    inputs, labels = task.augment(problems.inputs, labels, uniforms(8, (2, 3), seed=1))
    assert torch.equal(labels == 0, inputs > 1)


def test_every_symmetry_is_drawn_and_keeps_bands_together():
    symmetry = Symmetry.draw(uniforms(20_000, (2, 3), seed=0), (2, 3))
    assert not symmetry.transpose.any()  # 2×3 boxes would become 3×2
    assert len(symmetry.digits.unique(dim=0)) == 720
    assert len(symmetry.rows.unique(dim=0)) == 48  # 3! · 2!³
    assert len(symmetry.columns.unique(dim=0)) == 72  # 2! · 3!²
    assert Symmetry.draw(uniforms(2000, (3, 3), seed=0), (3, 3)).transpose.float().mean() == pytest.approx(
        0.5, abs=0.05
    )


@settings(max_examples=20, deadline=None)
@given(box=st.sampled_from([(2, 2), (2, 3), (3, 2)]), seed=st.integers(0, 2**31))
def test_canonical_form_is_the_same_for_all_images(box, seed):
    problems = sudoku(box).generate(4, seed=seed)
    images = Symmetry.draw(uniforms(4, box, seed), box).apply(problems.inputs)
    assert np.array_equal(canonical(images.numpy(), box), canonical(problems.inputs.numpy(), box))


@pytest.mark.parametrize("box", [(2, 2), (2, 3)])
def test_canonical_form_is_an_image_of_its_board(box):
    """Else two boards that are not equivalent could have the same one."""
    boards = sudoku(box).generate(20, seed=0).inputs.numpy()
    least = canonical(boards, box)
    assert np.array_equal(canonical(least, box), least)
    assert np.array_equal((least > 1).sum(1), (boards > 1).sum(1))
    assert (solve(least, box, limit=2).found == 1).all()
    for board in least:
        digits = board[board > 1]
        first = sorted(set(digits.tolist()), key=digits.tolist().index)
        assert all(one < other for one, other in pairwise(first))


def test_solved_4x4_boards_fall_into_two_classes():
    """A known count: 288 boards, 2 essentially different."""
    boards = solve(np.ones((1, 16), np.uint8), (2, 2), limit=288).boards[0]
    assert len(np.unique(canonical(boards, (2, 2)), axis=0)) == 2


def test_canonical_form_of_9x9_is_refused():
    with pytest.raises(DataError, match="up to side 6; a 9×9 board"):
        canonical(np.ones((1, 81), np.uint8), (3, 3))
