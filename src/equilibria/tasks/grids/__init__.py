"""Grids of your own: a file of inputs and targets becomes a task without a line of code."""

from equilibria.tasks.grids.survey import Survey, survey
from equilibria.tasks.grids.task import Grids

__all__ = ["Grids", "Survey", "survey"]
