"""Whole files through a reasoner: in shards that survive a kill and that several processes can share."""

from equilibria.batch.answers import Summary, check_output, solve_file, write_answers
from equilibria.batch.scores import evaluate_shared
from equilibria.jobs import ranks

__all__ = ["Summary", "check_output", "evaluate_shared", "is_first", "solve_file", "write_answers"]


def is_first() -> bool:
    """Whether this is the process that speaks for all that a launcher started."""
    return ranks()[0] == 0
