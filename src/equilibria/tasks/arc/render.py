"""Grids in a terminal: digits, so readable without colours, on the colours of ARC's own site."""

import numpy as np
from rich.text import Text

from equilibria.tasks.arc.grid import Grid

PALETTE = (
    "#000000",
    "#0074D9",
    "#FF4136",
    "#2ECC40",
    "#FFDC00",
    "#AAAAAA",
    "#F012BE",
    "#FF851B",
    "#7FDBFF",
    "#870C25",
)
"""Black, blue, red, green, yellow, grey, magenta, orange, light blue, maroon."""
INK = tuple("black" if colour in (3, 4, 5, 7, 8) else "white" for colour in range(10))
GAP = "   "


def render_grids(
    given: Grid | None, answer: Grid | None, target: Grid | None, *, answered: bool = True
) -> Text:
    """Input, answer and target next to each other, as far as there are any.

    `!` follows a cell of the answer that the target has otherwise; a target is shown where the answer is
    another grid. An answer that is no grid is a `?`.
    """
    columns = [("input", _lines(given, None))]
    if answered:
        wrong = None if answer is None or target is None else wrong_cells(answer, target)
        columns.append(("answer", _lines(answer, wrong)))
    if target is not None and not (answered and answer is not None and np.array_equal(answer, target)):
        columns.append(("target", _lines(target, None)))
    text = Text()
    widths = [max(len(title), *map(len, lines)) for title, lines in columns]
    height = max(len(lines) for _, lines in columns)
    for row in range(-1, height):
        if row >= 0:
            text.append("\n")
        for place, ((title, lines), width) in enumerate(zip(columns, widths, strict=True)):
            cell = Text(title, "dim") if row < 0 else lines[row] if row < len(lines) else Text()
            text.append_text(Text(GAP) if place else Text()).append_text(cell)
            text.append(" " * (width - len(cell)) if place + 1 < len(columns) else "")
    return text


def _lines(grid: Grid | None, wrong: np.ndarray | None) -> list[Text]:
    """The rows of a grid, two characters a cell."""
    if grid is None:
        return [Text("?", "red")]
    lines: list[Text] = []
    for row, cells in enumerate(grid.tolist()):
        line = Text()
        for column, colour in enumerate(cells):
            marked = wrong is not None and bool(wrong[row, column])
            line.append(f"{colour}{'!' if marked else ' '}", f"{INK[colour]} on {PALETTE[colour]}")
        lines.append(line)
    return lines


def wrong_cells(answer: Grid, target: Grid) -> np.ndarray:
    """Cells of the answer that are not the target's, those beyond its size included: bool, as `answer`."""
    wrong = np.ones(answer.shape, dtype=bool)
    height, width = np.minimum(answer.shape, target.shape)
    wrong[:height, :width] = answer[:height, :width] != target[:height, :width]
    return wrong
