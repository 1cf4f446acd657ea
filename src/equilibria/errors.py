"""Errors meant for the person who caused them: what was wrong, where, and what would be right.

The command line prints these without a traceback; everything else is a bug and keeps its traceback.
"""


class EquilibriaError(Exception):
    """Base of every error a user can cause."""


class DataError(EquilibriaError):
    """A problem, a file or a data set cannot be used as it is."""


class RecipeError(EquilibriaError):
    """A recipe or an override names something that does not exist or has the wrong type."""


class CheckpointError(EquilibriaError):
    """A checkpoint is missing, incomplete or does not fit what it is loaded into."""


class TrainingError(EquilibriaError):
    """Training cannot go on: the loss is not finite, or the run does not match its recipe."""


class Stopped(TrainingError):
    """A training was stopped from outside before its end; all that it had is saved."""
