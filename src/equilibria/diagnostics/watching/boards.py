"""Boards of a scene on axes in inches: right cells shaded, a dark corner in wrong ones, changed ones framed.

Shapes and shades of grey say what the colours say.
"""

from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.patches import Circle, Rectangle

from equilibria.diagnostics.drawing import COLOURS
from equilibria.diagnostics.watching.scene import Board, Mark, Scene, Where
from equilibria.tasks.picture.drawing import draw_board
from equilibria.tasks.picture.panel import BLACK, WHITE, Cell, Panel

POINTS = 72  # an inch
VERMILION = COLOURS[1]
CHANGED = COLOURS[0]
# Lighter than the colours of curves, so that what is written in a cell is read first.
FILLS = {Mark.GIVEN: "#EAEAEA", Mark.RIGHT: "#C9E9DD", Mark.WRONG: WHITE, Mark.FILLED: WHITE}
INKS = {Mark.GIVEN: BLACK, Mark.RIGHT: "#004D39", Mark.WRONG: "#B84A00", Mark.FILLED: CHANGED}
TILES = {Mark.GIVEN: "#DADADA", Mark.RIGHT: "#8FD3BC", Mark.WRONG: VERMILION, Mark.FILLED: "#8DBBDD"}


def cell_size(panel: Panel, size: float) -> float:
    """Height of the cells of a board that fills a square of that size, in inches."""
    return size / max(len(panel.rows), max(map(len, panel.rows), default=1), 1)


def draw_marked(
    axes: Axes, board: Board, left: float, top: float, size: float, *, changes: bool = True
) -> None:
    """Draw a board into a square, with its marks; `changes`: frame what has just changed."""
    cell = cell_size(board.panel, size)
    rows = tuple(
        tuple(
            None if one is None else _marked(one, board.marks[row, column])
            for column, one in enumerate(cells)
        )
        for row, cells in enumerate(board.panel.rows)
    )
    draw_board(axes, replace(board.panel, rows=rows), left, top, cell)
    if changes:
        frames = [_frame(left, top, cell, where) for where in sorted(board.changed)]
        axes.add_collection(
            LineCollection(
                frames, colors=CHANGED, linewidths=0.055 * cell * POINTS, joinstyle="miter", zorder=3
            )
        )
    corners = [_corner(left, top, cell, w) for w, mark in board.marks.items() if mark is Mark.WRONG]
    axes.add_collection(PolyCollection(corners, facecolors=VERMILION, linewidths=0, zorder=4))


def draw_tiles(axes: Axes, board: Board, left: float, top: float, size: float, *, frame: str | None) -> None:
    """Draw the marks of a board alone, into a square; `frame`: colour of a thick line around it."""
    cell = cell_size(board.panel, size)
    squares = [_square(left, top, cell, where) for where in board.marks]
    tiles = [TILES[mark] for mark in board.marks.values()]
    axes.add_collection(PolyCollection(squares, facecolors=tiles, edgecolors=WHITE, linewidths=0.35))
    tall, wide = len(board.panel.rows) * cell, max(map(len, board.panel.rows)) * cell
    pad = 0.03 if frame else 0.0
    axes.add_patch(
        Rectangle(
            (left - pad, top - pad),
            wide + 2 * pad,
            tall + 2 * pad,
            fill=False,
            edgecolor=frame or "0.6",
            linewidth=1.8 if frame else 0.5,
        )
    )


def draw_ring(axes: Axes, board: Board, left: float, top: float, size: float, where: Where) -> None:
    """Circle one cell of a board that `draw_marked` has drawn."""
    cell = cell_size(board.panel, size)
    centre = (left + (where[1] + 0.5) * cell, top + (where[0] + 0.5) * cell)
    for colour, width in ((WHITE, 2.2), (BLACK, 1.1)):
        axes.add_patch(Circle(centre, 0.66 * cell, fill=False, edgecolor=colour, linewidth=width, zorder=5))


def draw_legend(axes: Axes, left: float, top: float, scene: Scene, size: float) -> None:
    """What the marks mean, in one line of cells and words; `size` of these in points."""
    cell = 0.13
    marks: list[tuple[str, Mark | None]] = [("given", Mark.GIVEN), ("just changed", None)]
    if scene.label is not None:
        marks = [("right", Mark.RIGHT), ("wrong", Mark.WRONG), *marks]
    elif scene.right is not None:
        marks = [("breaks a rule", Mark.WRONG), *marks]
    for words, mark in marks:
        panel = Panel("", ((Cell(),),))
        board = Board(panel, {(0, 0): mark or Mark.FILLED}, frozenset() if mark else frozenset({(0, 0)}))
        draw_marked(axes, board, left, top, cell)
        axes.text(left + 1.5 * cell, top + cell / 2, words, verticalalignment="center", fontsize=size)
        left += 0.34 + 0.0087 * size * len(words)


def _marked(cell: Cell, mark: Mark) -> Cell:
    if cell.fill != WHITE:  # a colour that means something
        return replace(cell, wrong=False)
    return replace(cell, fill=FILLS[mark], ink=INKS[mark], bold=mark is Mark.GIVEN, wrong=False)


def _square(left: float, top: float, cell: float, where: Where) -> list[tuple[float, float]]:
    x, y = left + where[1] * cell, top + where[0] * cell
    return [(x, y), (x + cell, y), (x + cell, y + cell), (x, y + cell)]


def _frame(left: float, top: float, cell: float, where: Where) -> list[tuple[float, float]]:
    inset = 0.09 * cell
    square = _square(left + inset, top + inset, cell, where)
    (x, y), (far_x, _), (_, far_y), _ = square
    far_x, far_y = far_x - 2 * inset, far_y - 2 * inset
    return [(x, y), (far_x, y), (far_x, far_y), (x, far_y), (x, y), (far_x, y)]


def _corner(left: float, top: float, cell: float, where: Where) -> list[tuple[float, float]]:
    x, y, leg = left + (where[1] + 1) * cell, top + where[0] * cell, 0.32 * cell
    return [(x - leg, y), (x, y), (x, y + leg)]
