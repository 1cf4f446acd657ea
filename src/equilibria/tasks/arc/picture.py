"""ARC's grids for a picture: in its colours, and with their digits, which grey shows as well."""

import numpy as np

from equilibria.tasks.arc.grid import Grid
from equilibria.tasks.arc.render import INK, PALETTE, wrong_cells
from equilibria.tasks.picture import ANSWER, PROBLEM, RIGHT, Cell, Panel, remark

FAINT = "#777777"  # of the background's zeros, of which there are many


def arc_panels(
    given: Grid | None, answer: Grid | None, target: Grid | None, *, answered: bool, targeted: bool
) -> list[Panel]:
    """Input, answer and target as far as there are any; marks as in a terminal.

    `answered`, `targeted`: whether there is an answer, and a target; None is one that is no grid.
    """
    panels = [_panel(PROBLEM, given, None)]
    if answered:
        panels.append(_panel(ANSWER, answer, target))
    if targeted:
        panels.append(_panel(RIGHT, target, None))
    return panels


def _panel(title: str, grid: Grid | None, target: Grid | None) -> Panel:
    if grid is None:
        return Panel(title, ((Cell("?"),),), note="no grid: no colour in its corner")
    wrong = np.zeros(grid.shape, dtype=bool) if target is None else wrong_cells(grid, target)
    rows = tuple(
        tuple(
            Cell(str(colour), fill=PALETTE[colour], ink=INK[colour] if colour else FAINT, wrong=bad)
            for colour, bad in zip(colours, bads, strict=True)
        )
        for colours, bads in zip(grid.tolist(), wrong.tolist(), strict=True)
    )
    if target is not None and grid.shape != target.shape:
        tall, wide = target.shape
        return Panel(title, rows, note=f"{len(grid)}×{len(grid[0])} and not {tall}×{wide}")
    return Panel(title, rows, note=remark(rows, None, known=target is not None))
