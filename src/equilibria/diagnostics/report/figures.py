"""Pictures of numbers: curves, bars and bins of a diagnosis, as SVG for a page.

Each is told apart by line and marker as well as by colour, and says in words what it shows.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.patches import Circle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from equilibria.diagnostics.advice import NAMES, percent
from equilibria.diagnostics.diagnosis import (
    Accuracy,
    Band,
    BasinRow,
    Breadth,
    CouplingSection,
    Curve,
    Difficulty,
    Head,
    Interval,
    LocalState,
    Mode,
    Residuals,
    Stopping,
)
from equilibria.diagnostics.drawing import COLOURS, FAINT, LINES, MARKERS, inline_svg, plain_log
from equilibria.diagnostics.landscape import MEANING

WIDE = 4.2  # inches, of a picture that stands alone
ERRORS: Any = {"capsize": 2, "elinewidth": 0.8}
RULES = {
    "convergence": (COLOURS[0], MARKERS[0], "-"),
    "majority": (COLOURS[1], MARKERS[1], "--"),
    "halting": (COLOURS[2], MARKERS[2], "-."),
    "first-to-settle": (COLOURS[3], MARKERS[3], ":"),
    "average": (FAINT, "x", "-"),
    "oracle": ("black", "+", ":"),
}
"""How each rule of selection is drawn."""


def accuracy(found: Accuracy) -> str:
    """Accuracy and share settled over depth."""
    depths = [point.depth for point in found.by_depth]
    right = [point.accuracy for point in found.by_depth]
    settled = [point.settled for point in found.by_depth]

    def draw(axes: Any) -> None:
        bars = _bars(right, [point.ci95 for point in found.by_depth])
        axes.errorbar(depths, right, bars, color=COLOURS[0], marker=MARKERS[0], label="right", **ERRORS)
        axes.plot(depths, settled, LINES[1], color=COLOURS[1], marker=MARKERS[1], label="settled")
        _doubling(axes, depths)
        axes.set_xlabel("depth (iterations)")
        _shares(axes, "share of restarts")
        axes.legend(loc="upper left")

    said = "; ".join(
        f"{d} iterations: {percent(a)} right, {percent(s)} settled"
        for d, a, s in zip(depths, right, settled, strict=True)
    )
    return inline_svg(draw, "Accuracy over depth", said, width=WIDE)


def selection(found: Breadth) -> str:
    """Expected accuracy over restarts, by rule (EqR Fig. 8)."""

    def draw(axes: Any) -> None:
        for rule, curve in found.curves.items():
            colour, marker, line = RULES[rule]
            axes.plot(found.counts, curve, line, color=colour, marker=marker, label=NAMES[rule])
        _doubling(axes, found.counts)
        axes.set_xlabel("restarts")
        axes.set_ylabel("expected accuracy")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    said = "; ".join(
        f"{NAMES[rule]}: {percent(curve[0])} with 1 restart, {percent(curve[-1])} with {found.counts[-1]}"
        for rule, curve in found.curves.items()
    )
    return inline_svg(draw, "Accuracy over restarts", said, width=1.3 * WIDE)


def coupling(found: CouplingSection) -> str:
    """Share right over residual."""

    def draw(axes: Any) -> None:
        residual, right = [b.residual for b in found.bins], [b.right for b in found.bins]
        bars = _bars(right, [b.ci95 for b in found.bins])
        axes.errorbar(residual, right, bars, color=COLOURS[0], marker=MARKERS[0], **ERRORS)
        plain_log(axes, residual)
        axes.set_xlabel("residual per state element, mean of the bin")
        _shares(axes, "share right")

    said = "; ".join(f"residual {b.residual:.3g}: {percent(b.right)} right" for b in found.bins)
    return inline_svg(draw, "Accuracy over residual", said, width=WIDE)


def modes(found: Sequence[Mode]) -> str:
    """Share of problems in each mode."""
    hatches = {"a": "xxx", "b": "///", "c": "...", "d": ""}

    def draw(axes: Any) -> None:
        for place, mode in enumerate(found):
            bars = _bars([mode.share], [mode.ci95])
            look: Any = (
                {"facecolor": "none", "edgecolor": COLOURS[0]} if mode.mode != "d" else {"color": COLOURS[0]}
            )
            axes.barh(place, mode.share, hatch=hatches[mode.mode], **look)
            axes.errorbar([mode.share], [place], xerr=bars, color="black", **ERRORS)
            axes.text(min(1, mode.ci95[1]) + 0.02, place, percent(mode.share), va="center", fontsize=7)
        axes.set_yticks(range(len(found)), [f"({mode.mode}) {MEANING[mode.mode]}" for mode in found])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.15)
        axes.xaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel("share of problems")

    said = "; ".join(f"({m.mode}) {MEANING[m.mode]}: {percent(m.share)}" for m in found)
    return inline_svg(draw, "Landscape modes", said, width=1.3 * WIDE, height=1.7)


def basins(rows: Sequence[BasinRow]) -> str:
    """Basin masses of example problems."""

    def draw(axes: Any) -> None:
        for place, row in enumerate(rows):
            left = 0.0
            for right in (True, False):
                for basin in (basin for basin in row.basins if basin.right == right):
                    look: Any = {"facecolor": COLOURS[0]} if right else {"facecolor": "none", "hatch": "////"}
                    axes.barh(place, basin.mass, left=left, edgecolor="black", linewidth=0.6, **look)
                    left += basin.mass
        axes.set_yticks(range(len(rows)), [f"{row.problem} ({row.mode})" for row in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel("share of restarts; filled: right, hatched: wrong, empty: unsettled")
        axes.set_ylabel("problem (mode)")

    said = "; ".join(
        f"problem {row.problem}: {len(row.basins)} attractors, right ones with "
        f"{percent(sum(basin.mass for basin in row.basins if basin.right))} of restarts"
        for row in rows
    )
    return inline_svg(
        draw, "Basins of example problems", said, width=1.3 * WIDE, height=0.8 + 0.17 * len(rows)
    )


def independence(found: Curve) -> str:
    """Path independence over restarts (EqR Eq. 22)."""

    def draw(axes: Any) -> None:
        axes.plot(found.counts, [100 * value for value in found.values], color=COLOURS[0], marker=MARKERS[0])
        _doubling(axes, found.counts)
        axes.set_ylim(0, 110 * max(*found.values, 0.001))
        axes.set_xlabel("restarts")
        axes.set_ylabel("Δ (percentage points)")

    said = "; ".join(f"{c} restarts: {100 * v:.2f}" for c, v in zip(found.counts, found.values, strict=True))
    return inline_svg(draw, "Path independence", said, width=WIDE, height=2.0)


def residuals(found: Residuals, tolerance: float) -> str:
    """Residual over iterations: median and quartiles of right and of wrong restarts."""

    def draw(axes: Any) -> None:
        for place, (name, band) in enumerate((("right", found.right), ("wrong", found.wrong))):
            if not band.median:
                continue
            steps = range(1, len(band.median) + 1)
            colour = COLOURS[place]
            axes.plot(
                steps, band.median, LINES[place], color=colour, marker=MARKERS[place], label=f"end {name}"
            )
            for edge in (band.low, band.high):
                axes.plot(steps, edge, LINES[place], color=colour, linewidth=0.5)
        axes.axhline(tolerance, color="black", linewidth=0.6, linestyle=":")
        axes.annotate("settled below", (1, tolerance), (0, 2), textcoords="offset points", fontsize=6)
        plain_log(axes, [*found.right.low, *found.wrong.low, *found.right.high, *found.wrong.high], axis="y")
        axes.set_xlabel("iteration")
        axes.set_ylabel("residual per state element")
        axes.legend(loc="upper right")

    said = f"Right restarts: {_ends(found.right)}. Wrong restarts: {_ends(found.wrong)}."
    return inline_svg(draw, "Residual over iterations", said, width=WIDE)


def eigenvalues(found: Sequence[LocalState]) -> str:
    """Leading eigenvalues of the Jacobian at settled states, in the complex plane."""
    reach = max(1.0, *(state.radius for state in found)) * 1.1

    def draw(axes: Any) -> None:
        axes.add_patch(Circle((0, 0), 1, fill=False, edgecolor="black", linewidth=0.8))
        axes.axhline(0, color=FAINT, linewidth=0.5)
        axes.axvline(0, color=FAINT, linewidth=0.5)
        for place, right in enumerate((True, False)):
            values = [value for state in found if state.right == right for value in state.eigenvalues]
            if values:
                axes.plot(
                    *zip(*values, strict=True),
                    MARKERS[place],
                    color=COLOURS[place],
                    fillstyle="none",
                    label="right" if right else "wrong",
                )
        axes.set_aspect("equal")
        axes.set_xlim(-reach, reach)
        axes.set_ylim(-reach, reach)
        axes.set_xlabel("real part")
        axes.set_ylabel("imaginary part")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.9), title="state is")

    said = "; ".join(f"problem {s.problem}: spectral radius {s.radius:.3f}" for s in found)
    return inline_svg(draw, "Eigenvalues at settled states", said, width=WIDE, height=3.0)


def difficulty(found: Difficulty) -> str:
    """Iterations over difficulty."""
    middle = [(group.low + group.high) / 2 for group in found.groups]

    def draw(axes: Any) -> None:
        axes.plot(middle, [g.iterations for g in found.groups], color=COLOURS[0], marker=MARKERS[0])
        axes.set_ylim(0, 1.15 * max(g.iterations for g in found.groups))
        axes.margins(x=0.08)
        axes.set_xlabel(found.name)
        axes.set_ylabel("mean iterations to settle")

    said = "; ".join(f"{g.low:g} to {g.high:g}: {g.iterations:.1f} iterations" for g in found.groups)
    return inline_svg(draw, f"Iterations over {found.name}", said, width=WIDE, height=2.0)


def head(found: Head) -> str:
    """Share right over halting score."""

    def draw(axes: Any) -> None:
        score, right = [b.score for b in found.bins], [b.right for b in found.bins]
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8)
        axes.errorbar(
            score,
            right,
            _bars(right, [b.ci95 for b in found.bins]),
            color=COLOURS[0],
            marker=MARKERS[0],
            **ERRORS,
        )
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel("halting score")
        _shares(axes, "share right")

    said = "; ".join(f"score {b.score:.3f}: {percent(b.right)} right" for b in found.bins)
    return inline_svg(draw, "Accuracy over halting score", said, width=WIDE, height=2.3)


def stopping(found: Sequence[Stopping], fixed: Accuracy) -> str:
    """Accuracy over iterations, of a fixed depth and of rules that stop early (EqR Fig. 7)."""
    named = {"head": "halting head", "residual": "residual"}

    def draw(axes: Any) -> None:
        every = [(point.depth, point.accuracy) for point in fixed.by_depth]
        curves = [("fixed depth", every), *((named[s.rule], s.points) for s in found)]
        for place, (name, curve) in enumerate(curves):
            axes.plot(
                *zip(*curve, strict=True),
                LINES[place],
                color=COLOURS[place],
                marker=MARKERS[place],
                label=name,
            )
        _doubling(axes, [point.depth for point in fixed.by_depth])
        axes.set_xlabel("iterations per restart (mean)")
        _shares(axes, "share right")
        axes.legend(loc="lower right")

    said = "; ".join(
        f"{named[s.rule]}: {percent(s.target)} with {s.nfe:.1f} iterations against {s.fixed_nfe:.1f}"
        for s in found
    )
    return inline_svg(draw, "Accuracy over iterations", said, width=WIDE)


def _bars(values: Sequence[float], bounds: Sequence[Interval]) -> list[list[float]]:
    """Lengths of error bars, as `errorbar` takes them."""
    pairs = list(zip(values, bounds, strict=True))
    return [[max(0.0, v - b[0]) for v, b in pairs], [max(0.0, b[1] - v) for v, b in pairs]]


def _shares(axes: Any, label: str) -> None:
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylabel(label)


def _doubling(axes: Any, counts: Sequence[int]) -> None:
    """An x axis of doublings, ticks at the counts."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(list(counts)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _ends(band: Band) -> str:
    if not band.median:
        return "none"
    return f"median {band.median[0]:.3g} after 1 iteration, {band.median[-1]:.3g} after {len(band.median)}"
