"""What a picture of a board shows, cell by cell. It knows nothing of how that is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

PROBLEM, ANSWER, RIGHT = "problem", "answer", "right answer"  # titles of panels
BLACK, WHITE = "black", "white"
FILLED = "#0072B2"  # ink of what an answer adds: the blue of Okabe and Ito (2008), told apart by all eyes


@dataclass(frozen=True)
class Cell:
    """One cell. Colours are those of matplotlib.

    Attributes:
        text: what is written in it, a few characters at most.
        fill, ink: colours of the cell and of what is written in it.
        bold: as for what the problem gives. What an answer adds is regular, so that grey shows it too.
        dot: a dot in its middle, as for a cell of a path.
        wrong: framed and crossed.
    """

    text: str = ""
    fill: str = WHITE
    ink: str = BLACK
    bold: bool = False
    dot: bool = False
    wrong: bool = False


@dataclass(frozen=True)
class Panel:
    """One board under a title.

    Attributes:
        title: what it is: `PROBLEM`, `ANSWER` or `RIGHT`, or other words.
        rows: its cells, row by row; None where there is none, as where a board is padded.
        box: rows and columns of a box; thick lines go around each.
        heads: what stands left of each row; empty for nothing.
        note: words below it.
    """

    title: str
    rows: tuple[tuple[Cell | None, ...], ...]
    box: tuple[int, int] | None = None
    heads: tuple[str, ...] = ()
    note: str = ""

    @property
    def wrong(self) -> list[tuple[int, int]]:
        """Row and column, from 0, of each cell that is marked."""
        return [
            (row, column)
            for row, cells in enumerate(self.rows)
            for column, cell in enumerate(cells)
            if cell is not None and cell.wrong
        ]


def remark(rows: Sequence[Sequence[Cell | None]], broken: Sequence[str] | None, *, known: bool) -> str:
    """What to say below an answer: a rule it breaks, or how many of its cells are marked wrong.

    `broken`: the rules it breaks, in words; None where no rule is known. `known`: whether the right answer
    is, so that an answer without marks is right.
    """
    if broken:
        return broken[0] + (f"; and {len(broken) - 1:,} more" if len(broken) > 1 else "")
    wrong = sum(cell is not None and cell.wrong for cells in rows for cell in cells)
    count = f"{wrong:,} {'cell is' if wrong == 1 else 'cells are'} wrong"
    if broken is not None:
        return f"keeps all rules, but {count}" if wrong else "keeps all rules"
    return count if wrong else "right" if known else ""
