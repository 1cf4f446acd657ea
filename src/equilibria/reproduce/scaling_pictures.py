"""Pictures of `scaling`: accuracy against residual, over depth and breadth, and over evaluations."""

from collections.abc import Sequence
from math import log10
from pathlib import Path

from equilibria.diagnostics.drawing import COLOURS, LINES, MARKERS, decimal_ticks, picture
from equilibria.reproduce.reproduction import Row

BASELINE, FIXED, ACT = "TRM", "EqR", "EqR + ACT"


def curve(curves: Sequence[Row], name: str) -> list[tuple[float, float]]:
    """(NFE, accuracy) of one curve."""
    return [(row["nfe"], row["accuracy"]) for row in curves if row["curve"] == name]


def draw_residual(curves: Sequence[Row], heat: Sequence[Row], trained: int, path: Path) -> None:
    """Accuracy against residual, budget by budget; colour: iterations (EqR Fig. 1)."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    with picture(path) as (figure, axes):
        most = max(row["depth"] for row in curves)
        norm, cmap = LogNorm(1, most), "viridis"
        broad = max(row["breadth"] for row in heat)
        points = [
            ("EqR, one state", [row for row in curves if row["curve"] == FIXED]),
            (BASELINE, [row for row in curves if row["curve"] == BASELINE]),
            (f"EqR, Top-1 of {broad}", [row for row in heat if row["breadth"] == broad]),
        ]
        for (name, rows), marker in zip(points, MARKERS, strict=False):
            axes.scatter(
                [row["residual"] for row in rows],
                [row["accuracy"] for row in rows],
                c=[row["depth"] for row in rows],
                marker=marker,
                s=18,
                label=name,
                norm=norm,
                cmap=cmap,
                edgecolors="0.2",
                linewidths=0.4,
            )
        bar = figure.colorbar(
            ScalarMappable(norm, cmap), ax=axes, label="iterations (white: trained)", format="{x:g}"
        )
        bar.ax.axhline(trained, color="white", linewidth=1.5)
        axes.set_xscale("log")
        axes.set_xlabel("residual ‖f(z) − z‖₂")
        axes.set_ylabel("exact accuracy (%)")
        axes.legend(loc="lower left")


def draw_grid(heat: Sequence[Row], path: Path) -> None:
    """Residual and error over depth and breadth (EqR Fig. 3)."""
    from matplotlib.colors import LogNorm

    depths = sorted({row["depth"] for row in heat})
    breadths = sorted({row["breadth"] for row in heat})
    at = {(row["depth"], row["breadth"]): row for row in heat}
    with picture(path, 2, width=7.0, height=2.6) as (figure, panels):
        for axes, key, name in zip(
            panels, ("residual", "error"), ("residual ‖f(z) − z‖₂", "error (%)"), strict=True
        ):
            values = [[at[depth, breadth][key] for depth in depths] for breadth in breadths]
            floor = min((value for line in values for value in line if value > 0), default=0.01)
            shown = [[max(value, floor) for value in line] for line in values]
            top = max(map(max, shown))
            image = axes.imshow(
                shown,
                origin="lower",
                aspect="auto",
                cmap="cividis_r",
                norm=LogNorm(floor, max(top, 1.01 * floor)),
            )
            axes.set_xticks(range(len(depths)), [str(depth) for depth in depths])
            axes.set_yticks(range(len(breadths)), [str(breadth) for breadth in breadths])
            axes.set_xlabel("depth D, iterations")
            axes.set_ylabel("breadth B, restarts")
            middle = (floor * max(top, 1.01 * floor)) ** 0.5
            for line, row in enumerate(values):
                for column, value in enumerate(row):
                    ink = "white" if max(value, floor) > middle else "black"
                    axes.text(column, line, f"{value:.3g}", ha="center", va="center", fontsize=5, color=ink)
            ticks = decimal_ticks(log10(floor), log10(top)) if top > floor else [floor]
            bar = figure.colorbar(image, ax=axes, label=name, ticks=ticks, format="{x:g}")
            bar.minorticks_off()


def draw_efficiency(curves: Sequence[Row], trained: int, path: Path) -> None:
    """Accuracy over evaluations (EqR Fig. 7)."""
    with picture(path) as (_, axes):
        for place, name in enumerate((BASELINE, FIXED, ACT)):
            points = curve(curves, name)
            axes.plot(
                [nfe for nfe, _ in points],
                [accuracy for _, accuracy in points],
                LINES[place],
                color=COLOURS[place],
                marker=MARKERS[place],
                label=name,
            )
        axes.axvline(trained, color="0.5", linewidth=0.8, linestyle=":")
        axes.set_xscale("log", base=2)
        axes.get_xaxis().set_major_formatter("{x:.0f}")
        axes.set_xlabel("evaluations a problem, NFE (dotted: depth of training)")
        axes.set_ylabel("exact accuracy (%)")
        axes.legend(loc="lower right")
