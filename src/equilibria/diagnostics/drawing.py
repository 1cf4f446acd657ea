"""Figures that can be printed: a column wide, readable, and told apart without colours."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only: works without a display

from matplotlib import pyplot as plt

from equilibria.files import write_atomically

COLUMN = 3.4  # inches, the width of a column of most papers
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito (2008): told apart by all eyes
MARKERS = ("o", "s", "^", "D")
LINES = ("-", "--", "-.", ":")
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


@contextmanager
def picture(path: Path, columns: int = 1, *, width: float = COLUMN, height: float = 2.5) -> Iterator[Any]:
    """The figure and its axes (one, or a list of `columns`), drawn on inside and then written as PNG."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, columns, figsize=(width, height), layout="constrained")
        try:
            yield figure, axes
            write_atomically(path, lambda partial: figure.savefig(partial, format="png", dpi=300))
        finally:
            plt.close(figure)
