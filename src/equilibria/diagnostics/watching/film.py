"""A scene as a film: a board that settles, the residuals, and all restarts in small."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from equilibria.diagnostics.drawing import STYLE
from equilibria.diagnostics.watching.boards import draw_legend, draw_marked, draw_tiles
from equilibria.diagnostics.watching.curves import RIGHT, WRONG, colour_of, draw_curves, handles
from equilibria.diagnostics.watching.scene import Scene
from equilibria.files import write_atomically

Progress = Callable[[int, int], object]

WIDTH = 7.2  # inches
DPI = 100
BOARD, SMALL = 3.1, 0.72
MARGIN = 0.2
HEAD = 0.62  # above the board
ACROSS = 8  # small boards in a row
PALETTE = 96  # colours: flat areas and the edges of letters take no more
HOLD = 3.0  # seconds, on the last frame
STILL = 3  # iterations that are shown after the last change of any answer


def draw_film(
    scene: Scene, restart: int, path: Path, fps: float, title: str, progress: Progress | None = None
) -> int:
    """Write a GIF that loops, a frame an iteration, and say how many these are.

    Args:
        scene: what to show.
        restart: which is shown large.
        path: where to.
        fps: iterations a second.
        title: above the board, as of whose restarts these are.
        progress: told how many frames of how many are drawn.
    """
    last = last_iteration(scene)
    # One palette for all, so that nothing flickers and what does not change costs nothing.
    few = [pixels(scene, restart, k, last, title) for k in sorted({0, last // 4, last // 2, last})]
    sample = Image.fromarray(np.concatenate(few))
    palette = sample.quantize(PALETTE, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    flat: list[Image.Image] = []
    for iteration in range(last + 1):
        image = Image.fromarray(pixels(scene, restart, iteration, last, title))
        flat.append(image.quantize(palette=palette, dither=Image.Dither.NONE))
        if progress is not None:
            progress(len(flat), last + 1)
    durations = [round(1000 / fps)] * last + [round(1000 * HOLD)]
    write_atomically(
        path,
        lambda partial: flat[0].save(
            partial,
            format="GIF",
            save_all=True,
            append_images=flat[1:],
            duration=durations,
            loop=0,
            optimize=True,
        ),
    )
    return len(flat)


def last_iteration(scene: Scene) -> int:
    """The last one that is worth a frame."""
    changed = max(scene.last_change(restart) for restart in range(scene.restarts))
    return min(scene.depth, changed + STILL)


def pixels(scene: Scene, restart: int, iteration: int, last: int, title: str) -> NDArray[np.uint8]:
    """One frame, `[height, width, 3]`; `last`: the iteration of the last one."""
    with rc_context(STYLE | {"font.size": 9, "axes.labelsize": 9, "legend.fontsize": 8.5}):
        canvas = FigureCanvasAgg(picture(scene, restart, iteration, last, title))
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def picture(scene: Scene, restart: int, iteration: int, last: int, title: str) -> Figure:
    """The figure of one frame."""
    rows = -(-scene.restarts // ACROSS)
    height = HEAD + BOARD + 0.42 + rows * (SMALL + 0.27) + 0.12
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    axes = inches(figure, WIDTH, height)
    axes.text(MARGIN, 0.22, title, fontsize=11, fontweight="bold", verticalalignment="center")
    axes.text(MARGIN, 0.46, caption(scene, restart, iteration), fontsize=9.5, verticalalignment="center")
    draw_marked(axes, scene.board(restart, iteration), MARGIN, HEAD, BOARD)
    draw_legend(axes, MARGIN, HEAD + BOARD + 0.1, scene, 8.5)
    _race(axes, scene, restart, iteration, HEAD + BOARD + 0.42)
    left, wide = MARGIN + BOARD + 0.75, WIDTH - BOARD - 2 * MARGIN - 0.8
    curves = figure.add_axes((left / WIDTH, 1 - (HEAD + 2.75) / height, wide / WIDTH, 2.75 / height))
    draw_curves(curves, scene, restart, iteration, last)
    if known := handles(scene):
        curves.legend(
            handles=known,
            loc="lower right",
            bbox_to_anchor=(1.02, 1.0),
            ncols=2,
            borderaxespad=0.2,
            handlelength=1.8,
            columnspacing=1.2,
        )
    return figure


def inches(figure: Figure, width: float, height: float) -> Axes:
    """Axes over all of a figure, in inches from its upper left corner."""
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    return axes


def caption(scene: Scene, restart: int, iteration: int) -> str:
    """What a board shows, in words."""
    told = [f"restart {restart + 1}", f"iteration {iteration}"]
    mistakes = scene.mistakes(restart, iteration)
    settled = scene.settled[restart, iteration]
    if mistakes == 0:
        told.append("right and settled" if settled else "right")
    else:
        told += [] if mistakes is None else [f"{mistakes} {'cell' if mistakes == 1 else 'cells'} wrong"]
        told += ["settled"] if settled else []
    return " · ".join(told)


def _race(axes: Axes, scene: Scene, restart: int, iteration: int, top: float) -> None:
    """All restarts in small, framed where they have settled."""
    step = (WIDTH - 2 * MARGIN - SMALL) / (ACROSS - 1)
    for row in range(scene.restarts):
        left = MARGIN + (row % ACROSS) * step
        y = top + (row // ACROSS) * (SMALL + 0.27)
        colour, settled = colour_of(scene, row, iteration), bool(scene.settled[row, iteration])
        draw_tiles(axes, scene.board(row, iteration), left, y, SMALL, frame=colour if settled else None)
        sign = {RIGHT: " ✓", WRONG: " ✗" if settled else ""}.get(colour, "")
        axes.text(
            left + SMALL / 2,
            y + SMALL + 0.14,
            f"{row + 1}{sign}{' settled' if settled else ''}",
            fontsize=8,
            fontweight="bold" if row == restart else "normal",
            color=colour if sign else "0.25",
            horizontalalignment="center",
            verticalalignment="center",
        )
