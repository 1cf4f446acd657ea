"""Sudoku of any box shape: (3, 3) is the usual one."""

from equilibria.tasks.sudoku.symmetry import Symmetry, canonical
from equilibria.tasks.sudoku.task import Sudoku
from equilibria.tasks.sudoku.text import infer_box

__all__ = ["Sudoku", "Symmetry", "canonical", "infer_box"]
