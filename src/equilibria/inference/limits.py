"""When a whole call must stop: a clock, a count of evaluations, a person."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from equilibria.errors import EquilibriaError
from equilibria.inference.engine import Report


@dataclass(frozen=True)
class Limits:
    """A `Stop` for the engine. A call that has one begins every problem before it spends more on any.

    Attributes:
        seconds: from its beginning; None: no matter how long.
        nfe: iterations of all problems together; None: any number. It is looked at between ticks, so up to as
            many more are run as there are slots.
        interrupted: asked whether somebody wants it to stop.
    """

    seconds: float | None = None
    nfe: int | None = None
    interrupted: Callable[[], bool] = field(default=lambda: False)

    def __post_init__(self) -> None:
        for name in ("seconds", "nfe"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise EquilibriaError(f"a limit in {name} must be positive, not {value!r}")

    def __call__(self, report: Report) -> bool:
        """Whether to stop."""
        late = self.seconds is not None and report.seconds >= self.seconds
        spent = self.nfe is not None and report.nfe >= self.nfe
        return late or spent or self.interrupted()


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C ask instead of break: gives a function that says whether it was pressed.

    A second one breaks. Outside the main thread, which alone receives signals, it never says so.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    before = signal.getsignal(signal.SIGINT) or signal.SIG_DFL  # None: set by something that is not Python

    def ask(number: int, frame: FrameType | None) -> None:
        del number, frame
        pressed.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
