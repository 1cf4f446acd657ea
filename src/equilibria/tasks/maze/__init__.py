"""Mazes: mark a shortest way from the start to the goal."""

from equilibria.tasks.maze.generator import Kind, generate_splits
from equilibria.tasks.maze.symmetry import symmetric
from equilibria.tasks.maze.task import Maze

__all__ = ["Kind", "Maze", "generate_splits", "symmetric"]
