"""Puzzles out of JSON: a file a puzzle (ARC, Mini-ARC), or challenges with their solutions (Kaggle)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from equilibria.errors import DataError
from equilibria.tables import existing_file
from equilibria.tables.json_text import NotJsonError, parse_json
from equilibria.tasks.arc.grid import LARGEST, Grid, GridError, as_grid
from equilibria.tasks.arc.puzzle import Pair, Puzzle

CHALLENGES, SOLUTIONS = "challenges.json", "solutions.json"
LARGE = (
    8 * 2**20
)  # bytes of a file; all of ConceptARC has a tenth, and lists in memory take twenty times more


def read_folder(folder: Path, largest: int = LARGEST) -> list[Puzzle]:
    """The puzzles of a folder, by name: challenges.json and solutions.json, or one JSON file a puzzle.

    A puzzle may lack its solutions. Raises DataError naming file and puzzle.
    """
    if (folder / CHALLENGES).is_file():
        return _read_kaggle(folder, largest)
    files = sorted(path for path in folder.iterdir() if path.suffix == ".json")
    if not files:
        raise DataError(
            f"{folder} holds no puzzles: it needs {CHALLENGES} (and {SOLUTIONS}), or one .json file a puzzle"
        )
    return [read_file(path, largest, folder.name) for path in files]


def read_file(path: Path, largest: int = LARGEST, corpus: str | None = None) -> Puzzle:
    """The puzzle of one file, called as the file is. Raises DataError naming the file."""
    where = f"{path}, task {path.stem}"
    return _puzzle(_json(path), corpus or path.parent.name, path.stem, where, largest)


def _read_kaggle(folder: Path, largest: int) -> list[Puzzle]:
    challenges = _mapping(folder / CHALLENGES)
    solutions = _mapping(folder / SOLUTIONS) if (folder / SOLUTIONS).is_file() else {}
    if strangers := sorted(set(solutions) - set(challenges)):
        raise DataError(
            f"{folder / SOLUTIONS}, task {strangers[0]}: {CHALLENGES} has no such task; are the two files of "
            "one data set?"
        )
    puzzles: list[Puzzle] = []
    for name in sorted(challenges):
        puzzle = _puzzle(challenges[name], folder.name, name, f"{folder / CHALLENGES}, task {name}", largest)
        if name in solutions:
            puzzle = _solved(puzzle, solutions[name], f"{folder / SOLUTIONS}, task {name}", largest)
        puzzles.append(puzzle)
    return puzzles


def _puzzle(value: Any, corpus: str, name: str, where: str, largest: int) -> Puzzle:
    def pairs(key: str, *, complete: bool) -> tuple[Pair, ...]:
        found = value.get(key) if isinstance(value, dict) else None
        if not isinstance(found, list) or not found:
            raise DataError(
                f"{where}: it needs '{key}', a list of at least one pair; a task is "
                '{"train": [{"input": grid, "output": grid}, …], "test": [{"input": grid}, …]}'
            )
        return tuple(
            _pair(pair, f"{where}, {key} pair {number}", largest, complete)
            for number, pair in enumerate(found, 1)
        )

    return Puzzle(corpus, name, pairs("train", complete=True), pairs("test", complete=False))


def _solved(puzzle: Puzzle, solution: Any, where: str, largest: int) -> Puzzle:
    """The puzzle with its tests' outputs."""
    count = len(puzzle.tests)
    if not isinstance(solution, list) or len(solution) != count:
        raise DataError(f"{where}: it must list {count} grid{'s' * (count > 1)}, one for each test")
    tests = tuple(
        Pair(pair.input, _grid(output, f"{where}, test {number}", largest))
        for number, (pair, output) in enumerate(zip(puzzle.tests, solution, strict=True), 1)
    )
    return replace(puzzle, tests=tests)


def _pair(value: Any, where: str, largest: int, complete: bool) -> Pair:
    pair: dict[str, Any] = value if isinstance(value, dict) else {}
    for key in ("input", "output") if complete else ("input",):
        if key not in pair:
            raise DataError(f"{where}: the key '{key}' is missing")
    output = _grid(pair["output"], f"{where}, output", largest) if "output" in pair else None
    return Pair(_grid(pair["input"], f"{where}, input", largest), output)


def _grid(value: Any, where: str, largest: int) -> Grid:
    try:
        return as_grid(value, largest)
    except GridError as error:
        raise DataError(f"{where}: {error}") from None


def _mapping(path: Path) -> dict[str, Any]:
    found = _json(path)
    if not isinstance(found, dict) or not found:
        raise DataError(f"{path}: it must map the names of tasks to tasks")
    return found


def _json(path: Path) -> Any:
    where = f"{path}, task {path.stem}"
    size = existing_file(path).stat().st_size
    if size > LARGE:
        raise DataError(f"{where}: the file has {size:,} bytes, and {LARGE:,} are the most; split it")
    try:
        return parse_json(path.read_text(encoding="utf-8-sig"), "mend it there")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: this is not JSON in UTF-8 (byte {error.start:,} is no text); save it so"
        ) from None
    except NotJsonError as error:
        raise DataError(f"{where}: this {error}") from None
    except OSError as error:
        raise DataError(
            f"{where}: it cannot be read ({error.strerror}); are its permissions right?"
        ) from None
