"""Pictures of an evaluation, and of a calibration."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files only: works without a display

from matplotlib import pyplot as plt

from equilibria.diagnostics.calibration import Reliability
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


def plot_reliability(found: Reliability, path: Path, title: str = "") -> None:
    """How often answers are right over how probable they were said to be, and how many there are, as PNG."""
    figure, (above, below) = plt.subplots(
        2, 1, sharex=True, figsize=(4.2, 4.8), height_ratios=(3, 1), layout="constrained"
    )
    above.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="as said")
    predicted, right = [b.predicted for b in found.bins], [b.right for b in found.bins]
    above.plot(predicted, right, "o-", color="tab:blue", label="measured")
    above.set_ylabel("share that is right")
    above.set_title(f"{title}\nexpected calibration error {100 * found.error:.2f}%", fontsize=10)
    above.legend(frameon=False)
    below.bar(predicted, [b.count for b in found.bins], width=0.03, color="tab:blue")
    below.set_yscale("log")
    below.set_ylim(bottom=0.7)  # so that a single answer shows
    below.set_xlabel("probability that the answer is right")
    below.set_ylabel("answers")
    write_atomically(path, lambda partial: figure.savefig(partial, format="png", dpi=150))
    plt.close(figure)
