"""One moment of a scene for a terminal: a board, and how far each restart has come.

Everything is said by characters; colours only repeat it.
"""

import math
from collections.abc import Sequence

import numpy as np
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel as Frame
from rich.table import Table
from rich.text import Text

from equilibria.diagnostics.watching.scene import Board, Mark, Scene
from equilibria.tasks.picture.panel import WHITE, Cell

BARS = "▁▂▃▄▅▆▇█"
CURVE = 24  # characters of a residual's curve, at most
BESIDE = 44  # columns that the table of restarts takes next to a board
# Okabe and Ito (2008), those that are light enough for a dark terminal and dark enough for a light one.
STYLES = {Mark.GIVEN: "bold", Mark.RIGHT: "#009E73", Mark.WRONG: "#D55E00", Mark.FILLED: ""}
CHANGED = "reverse"


def scene_view(scene: Scene, restart: int, iteration: int, width: int) -> RenderableType:
    """The board of a restart after so many iterations, and all restarts beside it.

    They stand below it in a terminal of `width` columns that has no room for both.
    """
    board = framed(scene, restart, iteration)
    table = race(scene, restart, iteration)
    text = board_text(scene.board(restart, iteration))
    across = max(map(len, text.plain.split("\n"))) + 4
    if across + BESIDE > width:
        return Group(board, table, legend(scene))
    beside = Table.grid(padding=(0, 2))
    beside.add_row(board, table)
    return Group(beside, legend(scene))


def scene_summary(scene: Scene, restart: int, count: int = 4) -> RenderableType:
    """What a restart answered at a few moments, side by side, and all restarts at the end."""
    moments = scene.moments(restart, count)
    boards = Columns([framed(scene, restart, iteration) for iteration in moments])
    return Group(
        boards, legend(scene), Text(), over_iterations(scene, restart), race(scene, restart, scene.depth)
    )


def framed(scene: Scene, restart: int, iteration: int) -> Frame:
    """A board with what is to be said of it above and below."""
    mistakes = scene.mistakes(restart, iteration)
    if mistakes == 0:
        verdict = "right"
    else:
        verdict = "" if mistakes is None else f"{mistakes} wrong, "
        verdict += f"{scene.changes(restart, iteration)} changed"
    return Frame(
        board_text(scene.board(restart, iteration)),
        title=f"restart {restart + 1}, iteration {iteration:>{len(str(scene.depth))}}",
        subtitle=verdict,
        expand=False,
    )


def board_text(board: Board) -> Text:
    """A board, its boxes in lines: `*` before what has just changed, `!` after what is wrong."""
    panel = board.panel
    texts = [cell.text for cells in panel.rows for cell in cells if cell is not None]
    wide = max(map(len, texts), default=1) or 1
    across = max(map(len, panel.rows), default=0)
    head = max(map(len, panel.heads), default=0)
    tall, box = panel.box or (0, 0)
    text = Text()
    for row, cells in enumerate(panel.rows):
        if tall and row and row % tall == 0:
            text.append("┼".join("─" * ((wide + 2) * box) for _ in range(across // box)) + "\n", "dim")
        if head:
            text.append(f"{panel.heads[row]:<{head}} ", "dim")
        for column, cell in enumerate(cells):
            if box and column and column % box == 0:
                text.append("│", "dim")
            where = (row, column)
            _append(text, cell, board.marks.get(where), where in board.changed, wide)
        text.append("\n")
    text.right_crop(1)
    return text


def _append(text: Text, cell: Cell | None, mark: Mark | None, changed: bool, wide: int) -> None:
    if cell is None or mark is None:
        text.append(" " * (wide + 2))
        return
    style = STYLES[mark]
    if cell.fill != WHITE:
        style += f" {cell.ink} on {cell.fill}" if _spelled(cell.ink) else f" on {cell.fill}"
    shown = cell.text or ("•" if cell.dot else " " if cell.fill != WHITE else "·")
    text.append("*" if changed else " ", style)
    text.append(f"{shown:^{wide}}", f"{style} {CHANGED}" if changed else style)
    text.append("!" if mark is Mark.WRONG else " ", style)


def _spelled(colour: str) -> bool:
    return colour.startswith("#") or colour == "black"


def race(scene: Scene, restart: int, iteration: int) -> Table:
    """Every restart so far: its residual over the iterations, and what has become of it."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("", justify="right")
    table.add_column("residual", no_wrap=True)
    table.add_column("", justify="right")
    table.add_column("wrong" if scene.label is not None else "changed", justify="right")
    table.add_column("", no_wrap=True)
    residuals = scene.recording.residuals
    low, high = _range(residuals)
    for row in range(scene.restarts):
        reached = min(iteration, int(scene.recording.length[row]))
        mistakes = scene.mistakes(row, iteration)
        count = scene.changes(row, iteration) if mistakes is None else mistakes
        table.add_row(
            f"▸{row + 1}" if row == restart else str(row + 1),
            sparkline(residuals[row, :reached].tolist(), low, high, scene.depth),
            f"{residuals[row, reached - 1]:.3g}" if reached else "",
            str(count),
            _verdict(scene, row, iteration),
        )
    return table


def _verdict(scene: Scene, restart: int, iteration: int) -> Text:
    right = scene.right is not None and bool(scene.right[restart, iteration])
    settled = bool(scene.settled[restart, iteration])
    words = [word for word, so in (("right", right), ("settled", settled)) if so]
    sign = "✓ " if right else "■ " if settled else ""
    wrong = settled and not right and scene.right is not None
    style = "bold #009E73" if right else "bold #D55E00" if wrong else ""
    return Text(sign + ", ".join(["wrong"] * wrong + words), style)


def sparkline(values: Sequence[float], low: float, high: float, depth: int) -> str:
    """Positive numbers as bars of characters, on a logarithmic scale from `low` to `high`.

    `depth` of them take all the width, and fewer are filled up with spaces to it.
    """
    every = max(1, math.ceil(depth / CURVE))
    shown = values[every - 1 :: every] if len(values) >= every else values[-1:]
    scale = max(math.log(high / low), 1e-9)
    levels = [math.log(max(value, low) / low) / scale if value > 0 else 0.0 for value in shown]
    bars = "".join(BARS[min(int(level * len(BARS)), len(BARS) - 1)] for level in levels)
    return bars.ljust(math.ceil(depth / every))


def _range(residuals: "np.typing.NDArray[np.float32]") -> tuple[float, float]:
    known = residuals[np.isfinite(residuals) & (residuals > 0)]
    return (float(known.min()), float(known.max())) if len(known) else (1.0, 1.0)


def over_iterations(scene: Scene, restart: int) -> Table:
    """What happened at some of the iterations, as a table."""
    table = Table("iteration", "residual", "changed", box=None, pad_edge=False)
    known = scene.label is not None
    for name in (["wrong"] if known else []) + (["restarts right"] if scene.right is not None else []):
        table.add_column(name)
    table.add_column("restarts settled")
    for column in table.columns:
        column.justify = "right"
    steps = sorted({min(2**power, scene.depth) for power in range(scene.depth.bit_length() + 1)})
    for k in steps:
        cells = [f"{scene.recording.residuals[restart, k - 1]:.3g}", str(scene.changes(restart, k))]
        if known:
            cells.append(str(scene.mistakes(restart, k)))
        if scene.right is not None:
            cells.append(f"{scene.right[:, k].sum()} of {scene.restarts}")
        table.add_row(str(k), *cells, f"{scene.settled[:, k].sum()} of {scene.restarts}")
    return table


def legend(scene: Scene) -> Text:
    """What the marks mean."""
    wrong = "! wrong" if scene.label is not None else "! breaks a rule"
    kind = f"* just changed   {wrong}   bold: given   ▸ the restart that is shown"
    return Text(kind, "dim")
