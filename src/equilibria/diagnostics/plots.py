"""Pictures of an evaluation."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files only: works without a display

from matplotlib import pyplot as plt

from equilibria.diagnostics.evaluation import AVERAGE, Evaluation
from equilibria.files import write_atomically


def plot_budget_grid(evaluation: Evaluation, path: Path, selection: str = "convergence") -> None:
    """Exact accuracy over depth × breadth as a heat map, numbers written in (EqR Fig. 3, right), as PNG.

    Breadth 1 has nothing to select from and shows the accuracy of its one restart.
    """
    rows = [row for row in evaluation.rows if row.source == row.rating == "all"]
    depths = sorted({row.depth for row in rows})
    breadths = sorted({row.breadth for row in rows})
    grid = [
        [
            100 * evaluation.row(depth, breadth, selection if breadth > 1 else AVERAGE).exact_accuracy
            for depth in depths
        ]
        for breadth in breadths
    ]
    figure, axes = plt.subplots(figsize=(1.6 + 0.9 * len(depths), 1.6 + 0.6 * len(breadths)))
    image = axes.imshow(grid, origin="lower", aspect="auto", cmap="cividis", vmin=0, vmax=100)
    for y, line in enumerate(grid):
        for x, value in enumerate(line):
            colour = "white" if value < 55 else "black"
            axes.text(x, y, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(depths)), [str(depth) for depth in depths])
    axes.set_yticks(range(len(breadths)), [str(breadth) for breadth in breadths])
    axes.set_xlabel("depth (iterations per trajectory)")
    axes.set_ylabel("breadth (restarts)")
    axes.set_title(f"{evaluation.context.get('reasoner', '')}: exact accuracy, %", fontsize=10)
    figure.colorbar(image, ax=axes)
    figure.tight_layout()
    write_atomically(path, lambda partial: figure.savefig(partial, format="png", dpi=150))
    plt.close(figure)
