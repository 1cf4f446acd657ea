"""Identities: a number for every puzzle that is trained on and for each of its variants; 0 is no puzzle."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from equilibria.errors import DataError
from equilibria.tasks.arc.canvas import decode
from equilibria.tasks.arc.corpus import trained_pairs
from equilibria.tasks.arc.grid import Grid
from equilibria.tasks.arc.puzzle import Puzzle
from equilibria.tasks.arc.symmetry import Augmentation
from equilibria.tasks.arc.transform import sizes, transformed
from equilibria.tasks.arc.variants import Variants, draw_all


class Identities:
    """Puzzles in their order, and what follows from an identity.

    Puzzle p as it is has the identity 1 + p · (1 + variants), and its variant v the v-th after that.
    (Published tables close up where a puzzle has fewer variants; here a number follows from the recipe.)

    Args:
        puzzles: all that are trained on, in order.
        variants: of each of them besides itself, at most.
        canvas: side of the board.
        seed: of the variants.

    Raises:
        DataError: two puzzles have the same corpus and name.
    """

    def __init__(self, puzzles: Sequence[Puzzle], variants: int, canvas: int, seed: int) -> None:
        self.puzzles = tuple(puzzles)
        self.stride = 1 + variants
        self.canvas = canvas
        self.seed = seed
        self._by_name: dict[str, int | None] = {}  # None: the name of several puzzles
        for number, puzzle in enumerate(self.puzzles):
            self._by_name[puzzle.name] = None if puzzle.name in self._by_name else number
        by_source = {puzzle.source: number for number, puzzle in enumerate(self.puzzles)}
        if len(by_source) < len(self.puzzles):
            twice = next(p.source for number, p in enumerate(self.puzzles) if by_source[p.source] != number)
            raise DataError(f"{twice} is there twice: name each corpus once, and folders differently")
        self._by_name |= by_source
        self._tables: dict[torch.device, Variants] = {}

    @cached_property
    def variants(self) -> Variants:
        """The variants of all puzzles; finding them takes seconds where there are many."""
        pairs = [len(trained_pairs(puzzle)) for puzzle in self.puzzles]
        return draw_all(self.puzzles, pairs, self.stride - 1, self.seed)

    def knows(self, puzzle: Puzzle) -> bool:
        """Whether a puzzle of that name has an identity."""
        return self._number(puzzle.source) is not None

    def _number(self, source: str) -> int | None:
        by_name = self._by_name
        return by_name.get(source, by_name.get(source.rpartition("/")[2]))

    def of(self, source: str) -> int:
        """The identity of the puzzle `corpus/name`, or `name`, as it is; DataError where it has none."""
        number = self._number(source)
        if number is None:
            known = ", ".join(puzzle.source for puzzle in self.puzzles[:3])
            raise DataError(
                f"puzzle {source!r} has no identity: it is not among those trained on ({known}, …), so "
                "nothing tells the reasoner its rule; train on its demonstrations"
            )
        return 1 + number * self.stride

    def puzzle(self, identifier: int) -> tuple[Puzzle, Augmentation]:
        """The puzzle and the variant that an identity from 1 up stands for."""
        number, variant = divmod(identifier - 1, self.stride)
        turn, colours = self.variants.turns[number, variant], self.variants.colours[number, variant]
        return self.puzzles[number], Augmentation(int(turn), tuple(colours.tolist()))

    def vary(
        self, inputs: Tensor, labels: Tensor, identifiers: Tensor, uniforms: Tensor, *, translate: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pairs under a variant of their puzzle and, with `translate`, moved on the canvas, both grids alike.

        As published, one pair of a variant stays in the corner: here, one in as many draws as the puzzle has
        pairs does. A grid that is as long as the canvas cannot move. A row without identity stays as it is.

        Args:
            inputs, labels: uint8 `[batch, canvas²]`, in the corner.
            identifiers: int64 `[batch]`, of puzzles as they are.
            uniforms: `[batch, 4]`: variant, whether to move, and where to.
        """
        table = self._table(inputs.device)
        known = identifiers > 0
        number = ((identifiers - 1) // self.stride).clamp(min=0)
        count = table.counts[number]
        variant = torch.where(known, (uniforms[:, 0] * count).long().minimum(count - 1), 0)
        turns, colours = table.turns[number, variant], table.colours[number, variant]
        moves = known & (uniforms[:, 1] * table.pairs[number] >= 1.0) & translate
        height, width = (
            torch.maximum(*sides)
            for sides in zip(*(sizes(tokens, turns, self.canvas) for tokens in (inputs, labels)), strict=True)
        )
        room = 1 + self.canvas - torch.stack([height, width], dim=1)
        offsets = torch.where(moves[:, None], (uniforms[:, 2:] * room).long().minimum(room - 1), 0)
        inputs, labels = (
            transformed(tokens, self.canvas, turns, colours, offsets) for tokens in (inputs, labels)
        )
        return inputs, labels, identifiers + variant

    def _table(self, device: torch.device) -> Variants:
        if device not in self._tables:
            self._tables[device] = self.variants.to(device)
        return self._tables[device]

    def count(self, identifier: int, most: int | None = None) -> int:
        """How many variants a puzzle has, itself among them, or `most` of them."""
        count = int(self.variants.counts[(identifier - 1) // self.stride])
        return count if most is None else min(count, most)

    def views(self, inputs: Tensor, identifier: int, most: int | None = None) -> tuple[Tensor, Tensor]:
        """A test input `[canvas²]` under every variant of its puzzle, itself first, at most `most` of them.

        Returns:
            Canvases uint8 `[views, canvas²]`, in the corner, and their identities int64 `[views]`.
        """
        number, count = (identifier - 1) // self.stride, self.count(identifier, most)
        turns, colours = self.variants.turns[number, :count], self.variants.colours[number, :count]
        corner = torch.zeros(count, 2, dtype=torch.int64)
        seen = transformed(inputs.expand(count, -1), self.canvas, turns, colours, corner)
        return seen, identifier + torch.arange(count)

    def undo(self, answers: Tensor, identifiers: Tensor) -> list[Grid | None]:
        """The grids that `answers [count, canvas²]` to variants say of the puzzle itself; None: no grid."""
        return [
            None if grid is None else self.puzzle(identifier)[1].invert(grid)
            for grid, identifier in zip(decode(answers, self.canvas), identifiers.tolist(), strict=True)
        ]
