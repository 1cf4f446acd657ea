"""Pictures of landscapes: the restarts of one problem on a plane through their states (EqR Fig. 6)."""

from typing import Any

from equilibria.diagnostics.diagnosis import Picture
from equilibria.diagnostics.drawing import COLOURS, FAINT, MARKERS, inline_svg
from equilibria.diagnostics.landscape import MEANING

ENDS = {
    "right": (COLOURS[0], MARKERS[0], "full"),
    "wrong": (COLOURS[1], MARKERS[1], "none"),
    "unsettled": ("black", "x", "full"),
}
"""How the end of a restart is drawn, by what it is."""


def landscape(found: Picture) -> str:
    """The restarts of a problem: where each went, and what it ended on."""
    counts = {end: sum(path.end == end for path in found.paths) for end in ENDS}

    def draw(axes: Any) -> None:
        for path in found.paths:
            axes.plot(*zip(*path.points, strict=True), color=FAINT, linewidth=0.5)
        for end, (colour, marker, fill) in ENDS.items():
            last = [path.points[-1] for path in found.paths if path.end == end]
            if last:
                label = f"{end} ({len(last)})"
                axes.plot(*zip(*last, strict=True), marker, color=colour, fillstyle=fill, label=label)
        shares = [
            f"axis {place}: {100 * share:.0f}% of variance" for place, share in enumerate(found.explained, 1)
        ]
        axes.set_xlabel(shares[0])
        axes.set_ylabel(shares[1])
        axes.set_xticks([])
        axes.set_yticks([])
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, handletextpad=0.2, columnspacing=1)

    said = f"{len(found.paths)} restarts of problem {found.problem}: " + ", ".join(
        f"{count} end {end}" for end, count in counts.items()
    )
    title = f"Mode ({found.mode}), {MEANING[found.mode]}: problem {found.problem}"
    return inline_svg(draw, title, said, width=3.2, height=2.6)
