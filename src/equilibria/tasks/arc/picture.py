"""Grids as a picture: input, prediction and target in ARC's colours."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from equilibria.files import write_atomically
from equilibria.tasks.arc.grid import Grid
from equilibria.tasks.arc.render import PALETTE

COLUMNS = ("input", "prediction", "target")
INCHES = 2.2  # of a grid


def draw_grids(rows: Sequence[tuple[str, Grid, Grid | None, Grid | None]], path: Path) -> None:
    """One row a problem: its name, then input, prediction and target (None: left empty), as PNG.

    A prediction that equals its target has a green frame, another one a red one.
    """
    figure = Figure(figsize=(INCHES * len(COLUMNS), (INCHES + 0.3) * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(COLUMNS), squeeze=False)
    for line, (name, *grids) in zip(axes, rows, strict=True):
        right = grids[1] is not None and grids[2] is not None and grids[1].tolist() == grids[2].tolist()
        for place, (title, grid) in enumerate(zip(COLUMNS, grids, strict=True)):
            cell = line[place]
            cell.set_xticks([])
            cell.set_yticks([])
            cell.set_title(f"{name}\n{title}" if place == 0 else title, fontsize=8)
            if grid is None:
                cell.axis("off")
                continue
            height, width = grid.shape
            cell.pcolormesh(
                grid, cmap=ListedColormap(PALETTE), vmin=-0.5, vmax=9.5, edgecolors="#555555", linewidth=0.4
            )
            cell.set_aspect("equal")
            cell.set_xlim(0, width)
            cell.set_ylim(height, 0)
            if title == "prediction" and grids[2] is not None:
                for side in cell.spines.values():
                    side.set(color="tab:green" if right else "tab:red", linewidth=2.5)
    write_atomically(path, lambda partial: figure.savefig(partial, format="png", dpi=150))
