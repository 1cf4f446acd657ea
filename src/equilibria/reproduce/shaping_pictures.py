"""Pictures of `shaping`: accuracy over restarts, and right answers by how settled restarts are."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from equilibria.diagnostics.drawing import COLOURS, LINES, MARKERS, picture
from equilibria.reproduce.cells import CELLS
from equilibria.reproduce.reproduction import Row

LOGITS = "logits"  # the most converged by its logits, not its states: how the published evaluator ranks
RULES = {
    "average": "one restart",
    "majority": "majority",
    "convergence": "Top-1 convergence",
    LOGITS: "Top-1 by logits",
}


def at(found: Sequence[Row], method: str, rule: str, count: int) -> list[float]:
    """Accuracy of a rule with so many restarts, percent, of all runs of a method, by seed."""
    wanted = {"rule": rule, "restarts": count}
    return [
        point["accuracy"]
        for row in found
        if row["method"] == method
        for point in row["breadth"]
        if wanted.items() <= point.items()
    ]


def draw_breadth(found: Sequence[Row], path: Path) -> None:
    """Expected accuracy over restarts, a panel for each cell (EqR Fig. 8)."""
    with picture(path, len(CELLS), width=7.0, height=2.2) as (_, panels):
        counts = list(dict.fromkeys(point["restarts"] for point in found[0]["breadth"]))
        values: list[float] = []
        for axes, cell in zip(panels, CELLS, strict=True):
            for place, (rule, name) in enumerate(RULES.items()):
                means = [fmean(at(found, cell.label, rule, count)) for count in counts]
                values += means
                axes.plot(
                    counts, means, LINES[place], color=COLOURS[place], marker=MARKERS[place], label=name
                )
            axes.set_title(cell.label)
            axes.set_xscale("log", base=2)
            axes.set_xticks(counts[::2], [str(count) for count in counts[::2]])
            axes.set_xlabel("restarts B")
        room = 0.08 * (max(values) - min(values)) + 0.1
        for axes in panels:
            axes.set_ylim(min(values) - room, max(values) + room)
        for axes in panels[1:]:
            axes.tick_params(labelleft=False)
        panels[0].set_ylabel("exact accuracy (%)")
        handles, names = panels[0].get_legend_handles_labels()
        panels[0].figure.legend(handles, names, loc="outside upper center", ncols=len(RULES))


def draw_coupling(found: Sequence[Row], path: Path) -> None:
    """Right answers over tenths of the restarts by residual, a line for each cell, at its first seed.

    By tenths, because path noise puts the residuals of the cells that have it all in one place.
    """
    with picture(path) as (_, axes):
        for place, cell in enumerate(CELLS):
            bins = next(row["bins"] for row in found if row["method"] == cell.label)
            axes.plot(
                range(1, len(bins) + 1),
                [100 * one["right"] for one in bins],
                LINES[place],
                color=COLOURS[place],
                marker=MARKERS[place],
                mfc="white" if place % 2 else None,
                label=cell.label,
            )
        axes.set_xlabel("tenth of the restarts, the most settled first")
        axes.set_xticks(range(1, 11))
        axes.set_ylabel("right (%)")
        axes.set_ylim(-3, 103)
        axes.legend(loc="lower left")
