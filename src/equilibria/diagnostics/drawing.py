"""Figures that can be printed or put into a page: a column wide, readable, told apart without colours."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only: works without a display

from matplotlib import pyplot as plt
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from equilibria.files import write_atomically

COLUMN = 3.4  # inches, the width of a column of most papers
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito (2008): told apart by all eyes
MARKERS = ("o", "s", "^", "D")
LINES = ("-", "--", "-.", ":")
FAINT = "#999999"
"""For what stands behind."""
STYLE: Any = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
}
_SCREEN: Any = {"svg.fonttype": "none", "hatch.linewidth": 0.6}
_PAINTS = {
    **{colour.lower(): f"var(--series-{place})" for place, colour in enumerate(COLOURS, start=1)},
    FAINT: "var(--faint)",
    "#000000": "currentColor",
    "#ffffff": "var(--page)",
}
_NO_DATE: Any = {"Date": None, "Creator": None, "Format": None, "Type": None}


@contextmanager
def picture(path: Path, columns: int = 1, *, width: float = COLUMN, height: float = 2.5) -> Iterator[Any]:
    """The figure and its axes (one, or a list of `columns`), drawn on inside and then written as PNG."""
    with _figure(columns, width, height) as (figure, axes):
        yield figure, axes
        write_atomically(path, lambda partial: figure.savefig(partial, format="png", dpi=300))


def inline_svg(
    draw: Callable[[Any], object],
    title: str,
    description: str,
    *,
    width: float = COLUMN,
    height: float = 2.5,
    columns: int = 1,
) -> str:
    """A picture as an SVG element for a page that names colours `--series-1` to `-4`, `--faint` and `--page`.

    Black is the page's own text colour, text is text, and nothing in it has an identity that could clash with
    another one's on the same page. The same data give the same characters.

    Args:
        draw: on the axes it is given: one, or a list of `columns`.
        title: what it is; unlike those of others on the page.
        description: what it shows, for those who do not see it.
        width, height: in inches.
        columns: how many axes side by side.
    """
    with (
        plt.rc_context({**_SCREEN, "svg.hashsalt": title}),
        _figure(columns, width, height) as (figure, axes),
    ):
        draw(axes)
        written = StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata=_NO_DATE)
    text = written.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"#[0-9a-f]{6}\b", lambda found: _PAINTS.get(found[0], found[0]), text)
    text = re.sub(r"font: (?:[\w.%]+ )*?([\d.]+px)[^;\"]*", r"font-size: \1", text)
    text = re.sub(r"\n\s*", " ", text)
    box = re.search(r'viewBox="[^"]*"', text)
    assert box is not None
    head = (
        f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="http://www.w3.org/2000/svg" {box[0]} '
        f'role="img" aria-label="{escape(title)}" style="max-width: {width:.2f}in">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
    )
    return head + text[text.index(">") + 1 :].strip()


@contextmanager
def _figure(columns: int, width: float, height: float) -> Iterator[Any]:
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, columns, figsize=(width, height), layout="constrained")
        try:
            yield figure, axes
        finally:
            plt.close(figure)


def decimal_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two decimal logarithms: powers of ten, and more where these are few."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    ticks: list[float] = []
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = [step * 10.0**power for power in powers for step in steps]
        ticks = [tick for tick in ticks if low <= math.log10(tick) <= high]
        if len(ticks) >= 3:
            return ticks
    if len(ticks) < 2:  # so narrow that a straight scale has the rounder numbers
        found = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(10**low, 10**high)
        ticks = [float(tick) for tick in found if 10**low <= tick <= 10**high]
    return ticks


def plain_log(axes: Any, values: Sequence[float], axis: str = "x") -> None:
    """Make an axis logarithmic, with room beside the `values` and plain round numbers as ticks."""
    known = [math.log10(value) for value in values if value > 0 and math.isfinite(value)]
    if not known:
        return
    room = 0.05 * (max(known) - min(known)) + 0.02
    low, high = min(known) - room, max(known) + room
    along = getattr(axes, f"{axis}axis")
    getattr(axes, f"set_{axis}scale")("log")
    getattr(axes, f"set_{axis}lim")(10**low, 10**high)
    along.set_major_locator(FixedLocator(decimal_ticks(low, high)))
    along.set_minor_locator(NullLocator())
    along.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
