"""Panels as a PNG: a row a problem, its panels side by side.

It can be printed: marks are shapes and not colours alone, and cells of one problem have one size. Lengths are
in inches from the upper left corner; the figure has one system of axes, in these.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.path import Path as Outline
from matplotlib.textpath import text_to_path
from numpy.typing import NDArray

from equilibria.errors import DataError
from equilibria.files import write_atomically
from equilibria.tasks.picture.panel import WHITE, Cell, Panel

PAGE = 9.0  # width of the panels of a problem, unless their cells would be too small
LARGEST, SMALLEST = 0.32, 0.07  # height of a cell
MARGIN, GAP = 0.15, 0.3
LINE = 0.16  # of text
DPI = 200
PIXELS = 5e7  # of a picture: what is larger is drawn at fewer dots an inch
LONGEST = 60_000  # dots of a side, likewise
POINTS = 72  # an inch

FONT = "DejaVu Sans"  # comes with matplotlib
SIZE = 7.5  # points, of words
CHARACTER = 0.62 * SIZE / POINTS  # width of one, on average not more
GLYPH = 0.6  # of a cell's height: the em of what stands in it
FIT = 0.8  # of its width, which that must not pass
CAPITAL = 0.73  # height of a capital or a digit, in em

THIN, THICK = "#A0A0A0", "black"
WRONG = "#D55E00"  # vermilion of Okabe and Ito (2008)
LEGEND = "framed and crossed: wrong, or in conflict with another cell"

Segments = list[list[tuple[float, float]]]


def check_picture(path: Path, ending: str = ".png") -> None:
    """Raises DataError where a picture could not be written to `path`, before anything is computed."""
    if path.suffix.lower() != ending:
        kind = ending.removeprefix(".").upper()
        raise DataError(f"{path}: pictures are written as {kind}; give a name that ends in {ending}")
    probe = path.with_name(f".{path.name}.probe")
    try:
        if not path.absolute().parent.is_dir():
            raise DataError(f"{path}: there is no folder {path.parent}; make it first")
        if path.is_dir():
            raise DataError(f"{path} is a folder; name a file")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); name another place") from None


def draw_panels(problems: Sequence[tuple[str, Sequence[Panel]]], path: Path) -> None:
    """Draw problems below each other, each with words above it and its panels from left to right, as PNG.

    A killed write leaves the old file whole. Raises DataError as `check_picture` does.
    """
    check_picture(path)
    page = _Page(problems)
    figure = Figure(figsize=(page.width, page.height), facecolor=WHITE)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, page.width)
    axes.set_ylim(page.height, 0)
    axes.set_axis_off()
    for place in page.places:
        _words(axes, place.left, place.top - LINE, [place.panel.title])
        _words(axes, place.left, place.bottom + LINE / 3, place.notes, "0.25")
        _draw(axes, place)
    for top, lines in page.captions:
        _words(axes, MARGIN, top, lines, weight="bold")
    if page.legend:
        _words(axes, MARGIN, page.height - MARGIN - LINE, [LEGEND], WRONG)
    area = page.width * page.height
    dpi = min(DPI, (PIXELS / area) ** 0.5, LONGEST / max(page.width, page.height))
    write_atomically(path, lambda partial: figure.savefig(partial, format="png", dpi=dpi))


def draw_board(axes: Axes, panel: Panel, left: float, top: float, cell: float) -> None:
    """Draw one panel, without its words, on axes in inches that count downwards.

    `left`, `top`: its corner; `cell`: height of its cells, whose width is the same whatever stands in them.
    """
    _draw(axes, _Place(replace(panel, heads=()), left, top, cell, cell, 0.0, []))


@dataclass(frozen=True)
class _Place:
    """Where a panel is drawn: its corner, the height and width of its cells, and the lines of its note.

    `head`: width of what stands left of its rows, which begin after that.
    """

    panel: Panel
    left: float
    top: float
    cell: float
    wide: float
    head: float
    notes: list[str]

    @property
    def bottom(self) -> float:
        return self.top + len(self.panel.rows) * self.cell

    def cells(self) -> Iterator[tuple[float, float, Cell]]:
        """Left and upper edge of each cell that is there."""
        for row, cells in enumerate(self.panel.rows):
            for column, cell in enumerate(cells):
                if cell is not None:
                    yield self.left + self.head + column * self.wide, self.top + row * self.cell, cell


class _Page:
    """Where everything goes. Panels that come at the same place in their problems begin at the same left."""

    def __init__(self, problems: Sequence[tuple[str, Sequence[Panel]]]):
        columns = [0.0] * max(len(panels) for _, panels in problems)
        share = (PAGE - GAP * (len(columns) - 1)) / len(columns)
        sizes = [_sizes(panels, share) for _, panels in problems]
        for (_, panels), (_, wide) in zip(problems, sizes, strict=True):
            for column, panel in enumerate(panels):
                width = _head(panel) + _across(panel) * wide
                columns[column] = max(columns[column], width, len(panel.title) * CHARACTER)
        captions = [caption for caption, _ in problems]
        inner = max(
            sum(columns) + GAP * (len(columns) - 1), min(max(map(len, captions)) * CHARACTER, PAGE / 2)
        )
        self.width = inner + 2 * MARGIN
        self.places: list[_Place] = []
        self.captions: list[tuple[float, list[str]]] = []
        self.legend = any(panel.wrong for _, panels in problems for panel in panels)
        top = MARGIN
        for (caption, panels), (cell, wide) in zip(problems, sizes, strict=True):
            lines = _wrapped(caption, inner)
            self.captions.append((top, lines))
            top += (len(lines) + 1.25) * LINE  # and the titles
            bottom, left = top, MARGIN
            for column, panel in zip(columns, panels, strict=False):
                notes = _wrapped(panel.note, column)
                place = _Place(panel, left, top, cell, wide, _head(panel), notes)
                self.places.append(place)
                bottom = max(bottom, place.bottom + (len(notes) + 1 / 3 if notes else 0) * LINE)
                left += column + GAP
            top = bottom + GAP
        self.height = top - GAP + MARGIN + (GAP + LINE / 2 if self.legend else 0)


def _sizes(panels: Sequence[Panel], share: float) -> tuple[float, float]:
    """Height and width of the cells of a problem, each panel of which should not be wider than `share`.

    They are wider than high where texts are long.
    """
    texts = {cell.text for panel in panels for row in panel.rows for cell in row if cell is not None}
    longest = max((len(_writable(text)) for text in texts), default=0)
    shape = 0.6 + 0.36 * longest if longest > 2 else 1.0
    room = min((share - _head(panel)) / (shape * max(_across(panel), 1)) for panel in panels)
    rows = max(len(panel.rows) for panel in panels)
    cell = max(min(LARGEST, room, PAGE / max(rows, 1)), SMALLEST)
    return cell, cell * shape


def _across(panel: Panel) -> int:
    return max(map(len, panel.rows), default=0)


def _head(panel: Panel) -> float:
    longest = max(map(len, panel.heads), default=0)
    return (longest + 1) * CHARACTER if longest else 0.0


def _wrapped(text: str, width: float) -> list[str]:
    return wrap(text, max(int(width / CHARACTER), 8), break_on_hyphens=False)


def _words(
    axes: Axes, left: float, top: float, lines: Sequence[str], colour: str = "black", weight: str = "normal"
) -> None:
    for number, line in enumerate(lines):
        axes.text(
            *(left, top + number * LINE, _writable(line)),
            fontsize=SIZE,
            fontfamily=FONT,
            fontweight=weight,
            color=colour,
            verticalalignment="top",
            parse_math=False,
        )


def _draw(axes: Axes, place: _Place) -> None:
    """Cells, lines, texts and marks of one panel, the later ones over the earlier."""
    panel, cell, wide = place.panel, place.cell, place.wide
    line = min(0.5, 2.5 * cell)  # points
    cells = list(place.cells())
    edges = [(left, top, left + wide, top + cell) for left, top, _ in cells]
    squares = [((x, y), (to_x, y), (to_x, to_y), (x, to_y)) for x, y, to_x, to_y in edges]
    fills = [one.fill for _, _, one in cells]
    axes.add_collection(PolyCollection(squares, facecolors=fills, edgecolors=THIN, linewidths=line))
    dots = [(left + wide / 2, top + cell / 2) for left, top, one in cells if one.dot]
    if dots:
        inks = [one.ink for _, _, one in cells if one.dot]
        axes.scatter(*zip(*dots, strict=True), s=(0.4 * cell * POINTS) ** 2, c=inks, linewidths=0)
    if panel.box is not None:
        axes.add_collection(LineCollection(_boxes(place), colors=THICK, linewidths=3 * line))
    marks = list(chain.from_iterable(_mark(left, top, one, place) for left, top, one in cells if one.wrong))
    for colour, width in ((WHITE, 5.5), (WRONG, 2.5)):
        stroke = width * max(line, 0.36)
        axes.add_collection(LineCollection(marks, colors=colour, linewidths=stroke, capstyle="projecting"))
    texts = [(_text(one, left, top, place), one.ink) for left, top, one in cells if one.text.strip()]
    if texts:
        paths, inks = zip(*texts, strict=True)
        axes.add_collection(PathCollection(paths, facecolors=inks, linewidths=0))
    for row, head in enumerate(panel.heads):
        _words(axes, place.left, place.top + row * cell + (cell - SIZE / POINTS) / 2, [head], "0.25")


def _boxes(place: _Place) -> Segments:
    """Lines around boxes, and so around the panel as well."""
    assert place.panel.box is not None
    tall, wide = place.panel.box
    left, right = place.left + place.head, place.left + place.head + _across(place.panel) * place.wide
    rows = [place.top + row * place.cell for row in range(0, len(place.panel.rows) + 1, tall)]
    columns = [left + column * place.wide for column in range(0, _across(place.panel) + 1, wide)]
    across: Segments = [[(left, row), (right, row)] for row in rows]
    return across + [[(column, place.top), (column, place.bottom)] for column in columns]


def _mark(left: float, top: float, cell: Cell, place: _Place) -> Segments:
    """A frame, and a cross; of that only the ends where something stands in the cell."""
    inset = 0.13 * place.cell
    left, right, top, bottom = left + inset, left + place.wide - inset, top + inset, top + place.cell - inset
    frame = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    if not cell.text.strip() and not cell.dot:
        return [frame, [(left, top), (right, bottom)], [(left, bottom), (right, top)]]
    arm = 0.2 * (bottom - top)
    return [frame] + [
        [(x, y), (x + to_x, y + to_y)]
        for x, to_x in ((left, arm), (right, -arm))
        for y, to_y in ((top, arm), (bottom, -arm))
    ]


def _text(cell: Cell, left: float, top: float, place: _Place) -> Outline:
    """The outline of what is written in a cell, in its middle."""
    points, codes, width = _glyphs(_writable(cell.text.strip()), cell.bold)
    em = min(GLYPH * place.cell, FIT * place.wide / max(width, 1e-6))
    x, y = left + (place.wide - em * width) / 2, top + (place.cell + em * CAPITAL) / 2
    return Outline(points * (em, -em) + (x, y), codes)


@cache
def _glyphs(text: str, bold: bool) -> tuple[NDArray[np.float64], Any, float]:
    """Outline of a text from x = 0 on its base line, and its width; in em."""
    font = FontProperties(family=FONT, weight="bold" if bold else "normal")
    points, codes = text_to_path.get_text_path(font, text)
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2) / text_to_path.FONT_SCALE
    if not len(points):
        return points, codes, 0.0
    start, end = points[:, 0].min(), points[:, 0].max()
    return points - (start, 0), codes, float(end - start)


@cache
def _known() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family=FONT))).get_charmap())


def _writable(text: str) -> str:
    """A text in the characters of the font; each other one as its number in Unicode."""
    return "".join(one if ord(one) in _known() else f"{ord(one):X}" for one in text)
