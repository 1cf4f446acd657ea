"""The landscape of one problem in a plane: where its restarts go, and how far the map moves what is there.

The two directions are those in which all states of all restarts vary most (principal components; EqR Fig. 6).
A plane is not the space: two states that meet in it may be far apart, so the surface is the average over what
was visited there.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from equilibria.diagnostics.drawing import COLOURS, decimal_ticks, picture
from equilibria.errors import DataError
from equilibria.inference.recording import Recording

GRID = 96  # points of the surface, along either axis
REACH = 0.035  # of the plane's width: how far a visited state tells of the residual around it
SPARE = 6  # directions iterated besides the two, so that these come sooner
ROUNDS, CLOSE = 60, 1e-5  # iterations at most, and change of their variances that ends them
ROWS = 256  # states in memory at a time
MARGIN = 4  # reaches of room around the outermost states
VISITED = 0.5  # visits from which a shade is whole
SHADES = ListedColormap(colormaps["Greys"](np.linspace(0.04, 0.72, 256)))  # the darkest would hide curves
RIGHT, WRONG, OPEN = COLOURS[2], COLOURS[1], "0.35"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Projection:
    """All states of the restarts of one problem in the plane in which they vary most.

    Attributes:
        points: `[restarts, frames, 2]`, in units of ‖z‖₂ from the mean state.
        frames: `[frames]` the iterations they belong to.
        residuals: `[restarts, frames]` how far f moves each; NaN for the last, and for those that had ended.
        explained: share of the variance of all states that lies along either axis.
        x, y: `[GRID]` where the surface is known.
        surface: `[GRID, GRID]` residual by y and x, the geometric mean over states nearby; NaN where none is.
        visits: `[GRID, GRID]` how many states are nearby, each weighed by its distance.
    """

    points: Floats
    frames: NDArray[np.int64]
    residuals: Floats
    explained: tuple[float, float]
    x: Floats
    y: Floats
    surface: Floats
    visits: Floats


def project_states(recording: Recording) -> Projection:
    """The plane of a recording of one problem.

    Raises:
        DataError: it has fewer than three states.
    """
    if recording.states is None or recording.states.shape[0] * recording.states.shape[1] < 3:
        raise DataError("a plane needs at least three states: record more restarts or iterations")
    count, frames = recording.states.shape[:2]
    flat = recording.states.reshape(count * frames, -1)
    points, explained = principal_plane(flat)
    points = points.reshape(count, frames, 2)
    depth = recording.residuals.shape[1]
    residuals = np.full((count, frames), np.nan)
    moved = recording.frames < depth
    residuals[:, moved] = recording.residuals[:, recording.frames[moved]]
    x, y, surface, visits = residual_surface(points.reshape(-1, 2), residuals.ravel())
    return Projection(points, recording.frames, residuals, explained, x, y, surface, visits)


def principal_plane(states: NDArray[np.float32]) -> tuple[Floats, tuple[float, float]]:
    """Coordinates `[states, 2]` along the two directions of most variance, and the share of it along each.

    By orthogonal iteration over `states [states, elements]`, some rows at a time, so they may lie in a file.
    Of the two signs of a direction that is taken which puts the last state on its positive side.
    """
    rows, elements = states.shape
    mean = np.zeros(elements)
    for chunk in _chunks(rows):
        mean += states[chunk].sum(axis=0, dtype=np.float64)
    mean = (mean / rows).astype(np.float32)
    total = sum(float(np.square(states[chunk] - mean, dtype=np.float64).sum()) for chunk in _chunks(rows))
    if not total > 0:
        raise DataError("all states are the same: there is no direction in which they vary")
    # Columns, each a direction; the first guess does not matter, but should be the same every time.
    width = min(2 + SPARE, elements, rows)
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((elements, width)))[0]
    before = np.zeros(2)
    for _ in range(ROUNDS):
        spread = np.zeros((elements, width))
        for chunk in _chunks(rows):
            centred = states[chunk] - mean
            spread += centred.T @ (centred @ basis.astype(np.float32))
        basis, triangle = np.linalg.qr(spread)
        turn, values, _ = np.linalg.svd(triangle)
        basis, two = basis @ turn, values[:2]
        if np.abs(two - before).max() <= CLOSE * values[0]:
            break
        before = two
    plane = np.zeros((elements, 2))
    plane[:, : min(2, width)] = basis[:, :2]
    points = np.concatenate([(states[chunk] - mean) @ plane for chunk in _chunks(rows)]).astype(np.float64)
    points *= np.where(points[-1] < 0, -1.0, 1.0)
    shares = np.square(points).sum(axis=0) / total
    return points, (float(shares[0]), float(shares[1]))


def _chunks(rows: int) -> list[slice]:
    return [slice(start, start + ROWS) for start in range(0, rows, ROWS)]


def residual_surface(points: Floats, residuals: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Residuals `[n]` known at `points [n, 2]`, on a grid: x, y, surface and visits of a `Projection`.

    A weighted mean of their logarithms, with Gaussian weights `REACH` wide; NaN where all of them vanish.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    size = np.maximum(high - low, 1e-9)
    low, high = low - MARGIN * REACH * size, high + MARGIN * REACH * size
    x, y = (np.linspace(low[axis], high[axis], GRID) for axis in (0, 1))
    known = np.isfinite(residuals) & (residuals > 0)
    at, levels = points[known], np.log(residuals[known])
    # The grid is a product, and so is a Gaussian: two thin matrices instead of one large cube.
    across = np.exp(-0.5 * np.square((x[:, None] - at[None, :, 0]) / (REACH * size[0])))
    along = np.exp(-0.5 * np.square((y[:, None] - at[None, :, 1]) / (REACH * size[1])))
    weight = along @ across.T
    surface = (along * levels) @ across.T
    near = weight > 1e-30
    surface = np.where(near, surface / np.where(near, weight, 1.0), np.nan)
    return x, y, np.exp(surface), weight


def plot_projection(projection: Projection, right: NDArray[np.bool_] | None, path: Path, title: str) -> None:
    """Draw trajectories and their ends over the residual surface, as PNG.

    Args:
        projection: of restarts.
        right: `[restarts]` whether each ended with a right answer; None where nobody can tell.
        path: where to.
        title: above it.
    """
    with picture(path, width=4.6, height=3.5) as (figure, axes):
        _surface(figure, axes, projection)
        ended = np.zeros(len(projection.points), dtype=bool) if right is None else right
        kinds = (
            [("answer right", ended, RIGHT, "o"), ("answer wrong", ~ended, WRONG, "X")]
            if right is not None
            else [("", ~ended, OPEN, "o")]
        )
        shown: list[Line2D] = []
        for label, rows, colour, marker in kinds:
            _trajectories(axes, projection.points[rows], colour, marker)
            shown.append(
                Line2D(
                    [],
                    [],
                    color=colour,
                    marker=marker,
                    markersize=5,
                    linewidth=1,
                    label=f"{label}: {rows.sum()}",
                )
            )
        if right is not None:
            axes.legend(handles=shown, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
        start = projection.points[:, 0].mean(axis=0)
        axes.annotate(
            "start",
            start,
            (10, 0),
            textcoords="offset points",
            va="center",
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )
        first, second = (100 * share for share in projection.explained)
        axes.set_xlabel(f"first principal component ({first:.0f}% of the variance)")
        axes.set_ylabel(f"second ({second:.0f}%)")
        axes.set_title(title, loc="left", pad=20 if right is not None else 6)


def _surface(figure: Figure, axes: Axes, projection: Projection) -> None:
    """Shades of grey, the darker the more f moves what is there; they fade where nothing was visited."""
    known = projection.residuals[np.isfinite(projection.residuals) & (projection.residuals > 0)]
    if not len(known):
        return
    scale = LogNorm(known.min(), max(known.max(), 1.001 * known.min()))
    shades = SHADES(scale(np.nan_to_num(projection.surface, nan=float(known.min()))))
    shades[..., 3] = np.clip(projection.visits / VISITED, 0.0, 1.0)
    (left, right), (low, high) = projection.x[[0, -1]], projection.y[[0, -1]]
    edges = (float(left), float(right), float(low), float(high))
    axes.imshow(shades, extent=edges, origin="lower", aspect="auto", interpolation="bicubic")
    bar = figure.colorbar(ScalarMappable(scale, SHADES), ax=axes, pad=0.02, aspect=28)
    bar.outline.set_visible(False)
    bar.minorticks_off()
    ticks = decimal_ticks(math.log10(known.min()), math.log10(known.max()))
    bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    bar.set_label("residual  ‖f(z) − z‖₂")


def _trajectories(axes: Axes, points: Floats, colour: str, marker: str) -> None:
    """Lines from where restarts begin to their ends, the fainter the more there are."""
    if not len(points):
        return
    alpha = max(0.12, min(0.9, 12 / len(points)))
    for line in points:
        axes.plot(line[:, 0], line[:, 1], color=colour, linewidth=0.7, alpha=alpha)
    axes.scatter(points[:, 0, 0], points[:, 0, 1], s=3, color=colour, alpha=0.5, linewidths=0)
    axes.scatter(
        *(points[:, -1, 0], points[:, -1, 1]), s=26, marker=marker, color=colour,
        edgecolors="white", linewidths=0.5, zorder=5,
    )  # fmt: skip
