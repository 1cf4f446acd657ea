"""What a run says while it runs: a line of JSON and TensorBoard scalars per interval, and progress."""

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from equilibria.files import write_text


class RunLog:
    """Writes `log.jsonl` and `tensorboard/` in the run's folder and shows progress on the terminal.

    Args:
        folder: of the run.
        start: steps already done; later lines of an earlier, unsaved stretch are dropped.
        steps: of the whole run.
        quiet: no progress on the terminal.
        main: whether this process writes at all; the others of a run keep silent.
    """

    def __init__(self, folder: Path, start: int, steps: int, quiet: bool, main: bool) -> None:
        self.path = folder / "log.jsonl"
        self.main = main
        quiet = quiet or not main
        if main:
            self._drop_after(start)
            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=start + 1)
        self.console = Console(stderr=True, quiet=quiet)
        self.progress = Progress(
            TextColumn("training"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[facts]}"),
            console=self.console,
            disable=quiet or not sys.stderr.isatty(),
        )
        self.bar = self.progress.add_task("", total=steps, completed=start, facts="")

    def __enter__(self) -> "RunLog":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()
        if self.main:
            self.board.close()

    def record(self, step: int, facts: dict[str, float]) -> None:
        """One line and one set of scalars."""
        if not self.main:
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step} | facts) + "\n")
        for name, value in facts.items():
            self.board.add_scalar(name, value, step)
        shown = "  ".join(f"{name} {_short(value)}" for name, value in facts.items())
        self.progress.update(self.bar, completed=step, facts=shown)
        if self.progress.disable:
            self.console.print(f"step {step}  {shown}", highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line for the person at the terminal."""
        self.progress.console.print(text, highlight=False, soft_wrap=True)

    def _drop_after(self, step: int) -> None:
        """Keep what was logged up to `step`; a line cut short by a kill goes too."""
        if not self.path.exists():
            return
        kept: list[str] = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except json.JSONDecodeError:
                continue
        write_text(self.path, "".join(line + "\n" for line in kept))


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
