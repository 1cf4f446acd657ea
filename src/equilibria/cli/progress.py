"""How far a long call has come: problems done, settled and in flight, evaluations a second."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

import equilibria as eq


class Meter:
    """Shows reports of the engine, and counts what settled."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar, self._task = bar, task
        self.settled = 0

    def watch(self, report: "eq.Report") -> None:
        """Show a report."""
        rate = report.nfe / max(report.seconds, 1e-9)
        facts = f"{self.settled:,} settled · {report.running} in flight · {rate:,.0f} NFE/s"
        self._bar.update(self._task, completed=report.done, total=report.problems, facts=facts)

    def count(self, done: int, total: int) -> None:
        """Show how many problems all processes have done."""
        self._bar.update(self._task, completed=done, total=total)


@contextmanager
def meter(what: str, total: int) -> Iterator[Meter]:
    """A bar on the error stream that is gone when the call is over."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Meter(bar, bar.add_task(what, total=total, facts=""))
