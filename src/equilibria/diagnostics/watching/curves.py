"""Residuals of all restarts over iterations, on a logarithmic scale."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from equilibria.diagnostics.drawing import COLOURS, decimal_ticks
from equilibria.diagnostics.watching.scene import Scene

RIGHT, WRONG, OPEN = COLOURS[2], COLOURS[1], "0.45"
LINES: dict[str, Any] = {RIGHT: "-", WRONG: "--", OPEN: "-"}
ENDS = {RIGHT: "o", WRONG: "X", OPEN: "o"}


def colour_of(scene: Scene, restart: int, iteration: int) -> str:
    """Of a restart by then: right, wrong, or nobody knows."""
    if scene.right is None:
        return OPEN
    return RIGHT if scene.right[restart, iteration] else WRONG


def draw_curves(axes: Axes, scene: Scene, restart: int, iteration: int, last: int) -> None:
    """Draw them up to an iteration, with room up to `last`; `restart` is thicker.

    Colour, line and the mark of the end say whether a restart is right by then.
    """
    residuals = scene.recording.residuals[:, :last]
    known = residuals[np.isfinite(residuals) & (residuals > 0)]
    axes.set_yscale("log")
    if len(known):
        axes.set_ylim(known.min() / 1.5, known.max() * 1.5)
    axes.set_xlim(0.5, last + 0.5)
    # The one that is shown last, over the others.
    for row in sorted(range(scene.restarts), key=lambda row: row == restart):
        stop = min(iteration, int(scene.recording.length[row]))
        if not stop:
            continue
        colour, shown = colour_of(scene, row, iteration), row == restart
        values = residuals[row, :stop]
        if shown:
            axes.plot(range(1, stop + 1), values, color="white", linewidth=4.5, zorder=3)
        axes.plot(
            *(range(1, stop + 1), values, LINES[colour]),
            color=colour,
            linewidth=2.4 if shown else 1.0,
            zorder=4 if shown else 2,
        )
        axes.plot(
            stop,
            values[-1],
            ENDS[colour],
            color=colour,
            markersize=8 if shown else 4.5,
            markeredgecolor="white",
            markeredgewidth=0.8,
            zorder=6,
            clip_on=False,
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("iteration")
    axes.set_ylabel("residual  ‖z′ − z‖₂")
    axes.minorticks_off()
    if len(known):
        ticks = decimal_ticks(math.log10(known.min() / 1.5), math.log10(known.max() * 1.5))
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])


def handles(scene: Scene) -> list[Line2D]:
    """Of a legend: what the lines mean."""
    if scene.right is None:
        return []
    return [
        Line2D(
            *([], []),
            color=colour,
            linestyle=LINES[colour],
            marker=ENDS[colour],
            markersize=6,
            markeredgecolor="white",
            label=label,
        )
        for label, colour in (("answer right", RIGHT), ("answer wrong", WRONG))
    ]
