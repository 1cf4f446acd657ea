"""Sudoku augmentation against the data set builder of HRM, whose random draws are made again in its order."""

import numpy as np
import torch

from equilibria.tasks.sudoku import Symmetry


def published_draws(count: int, seed: int) -> Symmetry:
    """The draws of `shuffle_sudoku`, from NumPy's legacy generator."""
    rng = np.random.RandomState(seed)
    digits, rows, columns, transpose = [], [], [], []
    for _ in range(count):
        digits.append(rng.permutation(np.arange(1, 10)) - 1)
        transpose.append(rng.rand() < 0.5)
        for lines in (rows, columns):
            bands = rng.permutation(3)
            lines.append(np.concatenate([band * 3 + rng.permutation(3) for band in bands]))
    return Symmetry(*(torch.from_numpy(np.array(drawn)) for drawn in (digits, rows, columns, transpose)))


def test_augmented_boards_are_the_published_ones(golden):
    case = golden("sudoku_augmentation")
    count = case.config["n"]
    symmetry = published_draws(count, case.config["numpy_legacy_seed"])
    assert symmetry.transpose.unique().numel() == 2  # the case covers both

    tokens = {"boards": "inputs", "solutions": "labels"}
    for given, wanted in (("board", "boards"), ("solution", "solutions")):
        board = case[f"in/{given}"].flatten() + 1
        images = symmetry.apply(board.expand(count, -1))
        assert torch.equal(images - 1, case[f"out/{wanted}"].flatten(1))
        assert torch.equal(images, case[f"out/token_{tokens[wanted]}"])
