"""Symbols and shape of the grids in some files: what a recipe leaves open until there is data."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from equilibria.errors import DataError
from equilibria.tables import Format, table_format
from equilibria.tasks.grids.cells import LISTED, SPACE, UNSCORED, CellError, check_shape, check_symbol
from equilibria.tasks.grids.files import grid_chunks, refuse_broken
from equilibria.tasks.grids.notation import MOST, Notation

MEMORY = 8 * 2**30  # bytes of all tokens; beyond, padding is most of them or the file is for a cluster


def fit(
    paths: Sequence[Path], ignore: str, symbols: Sequence[str] | None = None
) -> tuple[tuple[str, ...], tuple[int, int]]:
    """All symbols in order, and the height and width of the largest grids, of tables of inputs and targets.

    `symbols`: where these are known. Raises DataError for the first row that is no problem, for more symbols
    than a token can tell, and where all problems, padded to the largest, would not fit memory.
    """
    found = _Found(ignore) if symbols is None else _Sized(symbols, ignore)
    count = 0
    for path in paths:
        for chunk in grid_chunks(path, format_of(path), labelled=True):
            refuse_broken(path, chunk)
            count += len(chunk)
            rows = zip(chunk.columns["question"], chunk.columns["answer"], chunk.places, strict=True)
            for question, answer, place in rows:
                where = f"{path}, {chunk.word} {place}"
                try:
                    found.add(question, target=False, where=where)
                    found.add(answer, target=True, where=where)
                except CellError as error:
                    raise DataError(f"{where} is no problem: {error}") from None
    if not count:
        raise DataError(f"{', '.join(map(str, paths))}: there is no grid in it; give it a row a problem")
    board = found.board()
    size = 2 * count * board[0] * board[1]
    if size > MEMORY:
        raise DataError(
            f"{found.largest} has the largest grid, {board[0]}×{board[1]}, and padded to it the {count:,} "
            f"problems take {size / 2**30:,.0f} GiB; leave out the largest, or cut them into smaller ones"
        )
    return found.symbols(), board


def format_of(path: Path) -> Format:
    """The format of a table. Raises DataError where its name tells none."""
    format = table_format(path)
    if format is None:
        raise DataError(f"{path}: the name must end in .jsonl, .csv, .npz or .parquet")
    return format


class _Sized:
    """The largest grids that have been seen, where the symbols are known."""

    def __init__(self, symbols: Sequence[str], ignore: str):
        self.notation = Notation(symbols, (1, 1), ignore)
        self.height = self.width = 0
        self.largest = ""

    def add(self, text: str, *, target: bool, where: str) -> None:
        """Learn from one text. Raises CellError where it is no grid."""
        known = self.notation.scored if target else self.notation.tokens
        self._measure(*check_shape(self.notation.cells(text, known)), where)

    def _measure(self, height: int, width: int, where: str) -> None:
        if height > self.height or width > self.width:
            self.largest = where
        self.height, self.width = max(self.height, height), max(self.width, width)

    def symbols(self) -> tuple[str, ...]:
        """All symbols in order."""
        return self.notation.symbols

    def board(self) -> tuple[int, int]:
        """Height and width of the largest grids."""
        return self.height, self.width


class _Found(_Sized):
    """What has been seen. Text is cut both ways until it is known whether spaces part its cells."""

    def __init__(self, ignore: str):
        super().__init__((), ignore)
        self.ignore = ignore
        self.listed: set[str] = set()  # cells of lists
        self.words: set[str] = set()  # of texts with spaces
        self.lone: set[str] = set()  # rows without a space: words, where other rows have spaces
        self.letters: set[str] = set()  # of texts without spaces
        self.columns = 0  # of texts, where every letter is a cell
        self.beyond = ""  # where there first were too many letters

    def add(self, text: str, *, target: bool, where: str) -> None:
        unscored = {self.ignore, UNSCORED} if target else set[str]()
        if text.startswith(LISTED):
            grid = [row.split(" ") for row in text[1:].split("/")]
            self._measure(*check_shape(grid), where)
            for row in grid:
                self.listed.update(row)
            self.listed -= unscored
            self._limit(self.listed, where)
            return
        rows = text.replace("/", "\n").split("\n")
        words = [row.split() for row in rows]
        if any(len(row) > 1 for row in words):
            self._measure(*check_shape(words), where)
            for row in words:
                self.words.update(row)
            self.words -= unscored
            self._limit(self.words, where)
            return
        whole = ["".join(row) for row in words]
        height, width = check_shape([list(row) for row in whole])
        self._measure(height, 1, where)
        self.columns = max(self.columns, width)
        if len(self.letters) <= MOST:
            self.letters.update(*whole)
            self.letters -= unscored
            self.beyond = where if len(self.letters) > MOST else ""
        if len(self.lone) <= MOST:
            self.lone.update(set(whole) - unscored)

    def _limit(self, symbols: set[str], where: str) -> None:
        if len(symbols) > MOST:
            raise CellError(f"with it there are {_too_many(symbols)}")

    def _letters_are_cells(self) -> bool:
        """Whether text without spaces has a cell a character."""
        return all(len(word) == 1 for word in self.words | self.listed)

    def symbols(self) -> tuple[str, ...]:
        """All symbols: whole numbers by size, then text. Raises DataError for those that cannot be."""
        letters = self._letters_are_cells()
        found = {SPACE: " "}
        symbols = {found.get(one, one) for one in self.listed} | self.words
        symbols |= self.letters if letters else self.lone
        if len(symbols) > MOST:
            raise DataError(f"{self.beyond or self.largest}: there are {_too_many(symbols)}")
        for symbol in sorted(symbols):
            try:
                check_symbol(symbol)
            except CellError as error:
                raise DataError(f"{self.largest} and others: {error}") from None
        if not symbols:
            raise DataError("no cell is scored")
        return tuple(sorted(symbols, key=_order))

    def board(self) -> tuple[int, int]:
        return self.height, max(self.width, self.columns if self._letters_are_cells() else 0)


def _too_many(symbols: Iterable[str]) -> str:
    some = " ".join(sorted(symbols, key=_order)[:8])
    return (
        f"more than {MOST} different cells ({some} …): a cell is one of a few kinds; "
        "if these are quantities, put them into bins"
    )


def _order(symbol: str) -> tuple[int, int, str]:
    body = symbol.removeprefix("-")
    whole = body.isascii() and body.isdigit()
    return (0, int(symbol), symbol) if whole else (1, 0, symbol)
