"""A scene for print: boards at chosen iterations over the residuals of all restarts (EqR Fig. 13)."""

from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from equilibria.diagnostics.drawing import COLUMN, STYLE
from equilibria.diagnostics.watching.boards import draw_legend, draw_marked, draw_ring
from equilibria.diagnostics.watching.curves import draw_curves, handles
from equilibria.diagnostics.watching.film import inches
from equilibria.diagnostics.watching.scene import Scene
from equilibria.files import write_atomically

WIDTH = 2 * COLUMN + 0.2  # two columns and what is between them
BOARDS = 6
GAP = 0.14
HEAD, FOOT = 0.2, 0.36
CURVES = 1.65  # height


def draw_strip(scene: Scene, restart: int, path: Path, title: str) -> None:
    """Write a PNG, two columns of a page wide.

    The cell that went back and forth most often is circled, and told beside the legend.
    """
    moments = scene.moments(restart, BOARDS)
    size = (WIDTH - (BOARDS - 1) * GAP - 0.02) / BOARDS
    ringed = scene.wavering(restart)
    height = HEAD + size + FOOT + CURVES + 0.45
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), facecolor="white")
        axes = inches(figure, WIDTH, height)
        for place, iteration in enumerate(moments):
            left = 0.01 + place * (size + GAP)
            board = scene.board(restart, iteration)
            mistakes = scene.mistakes(restart, iteration)
            said = "" if mistakes is None else ", right" if mistakes == 0 else f", {mistakes} wrong"
            words = f"{'iteration ' if place == 0 else ''}{iteration}{said}"
            axes.text(left, HEAD - 0.06, words, verticalalignment="bottom", fontsize=7.5)
            draw_marked(axes, board, left, HEAD, size, changes=place > 0)
            if ringed is not None:
                draw_ring(axes, board, left, HEAD, size, ringed[0])
        draw_legend(axes, 0.01, HEAD + size + 0.1, scene, 7.5)
        if ringed is not None:
            axes.text(
                WIDTH - 0.02,
                HEAD + size + 0.165,
                f"circled: {arrows(ringed[1])}",
                horizontalalignment="right",
                verticalalignment="center",
                fontsize=7.5,
            )
        curves = figure.add_axes(
            (0.55 / WIDTH, 0.38 / height, (WIDTH - 0.65) / WIDTH, (CURVES - 0.1) / height)
        )
        draw_curves(curves, scene, restart, scene.depth, scene.depth)
        curves.set_title(title, loc="left")
        if known := handles(scene):
            curves.legend(
                handles=known, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.1
            )
        write_atomically(path, lambda partial: figure.savefig(partial, format="png", dpi=300))


def arrows(values: list[str], most: int = 9) -> str:
    """What a cell was, in order; of many the first ones."""
    shown = [value or "empty" for value in values[:most]]
    return " → ".join(shown) + (" → …" if len(values) > most else "")
