"""Long work spread over processes and nodes that lose no finished answer and repeat none.

`Job` and `work` need nothing but a folder that all processes see; `equilibria.jobs.cluster` runs on Ray.
"""

from equilibria.jobs.job import Job
from equilibria.jobs.shard import Record, Shard
from equilibria.jobs.work import Solve, ranks, work

__all__ = ["Job", "Record", "Shard", "Solve", "ranks", "work"]
