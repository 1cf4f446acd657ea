"""The equivalents of every puzzle that training draws from and that vote at test time.

Which they are follows from the seed and the puzzle, so that an identity means the same in every run.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equilibria.tasks.arc.grid import COLOURS, Grid
from equilibria.tasks.arc.puzzle import Puzzle
from equilibria.tasks.arc.symmetry import SAME_COLOURS, TURNS, Augmentation, turned

TRIALS = 5
"""Draws for each variant that is wanted, at most: a puzzle of few colours has few different ones."""

Words = NDArray[np.uint64]


@dataclass(frozen=True)
class Variants:
    """A table of all puzzles' variants; number 0 is the puzzle as it is.

    Attributes:
        turns: uint8 `[puzzles, variants]`, see `symmetry.turned`.
        colours: uint8 `[puzzles, variants, 10]`, what each colour becomes.
        counts: int64 `[puzzles]`, how many of them there are; the rest of a row repeats number 0.
        pairs: int64 `[puzzles]`, how many pairs of each puzzle are trained on.
    """

    turns: Tensor
    colours: Tensor
    counts: Tensor
    pairs: Tensor

    def to(self, device: torch.device) -> "Variants":
        """The same on a device."""
        return Variants(*(part.to(device) for part in (self.turns, self.colours, self.counts, self.pairs)))


def draw_all(puzzles: Sequence[Puzzle], pairs: Sequence[int], count: int, seed: int) -> Variants:
    """Up to `count` variants of each puzzle and itself; `pairs`: how many pairs of each are trained on."""
    turns = torch.zeros(len(puzzles), 1 + count, dtype=torch.uint8)
    colours = torch.arange(COLOURS, dtype=torch.uint8).repeat(len(puzzles), 1 + count, 1)
    counts = torch.ones(len(puzzles), dtype=torch.int64)
    for row, puzzle in enumerate(puzzles):
        found = draw(puzzle, count, seed)
        counts[row] = len(found)
        turns[row, : len(found)] = torch.tensor([one.turn for one in found])
        colours[row, : len(found)] = torch.tensor([one.colours for one in found])
    return Variants(turns, colours, counts, torch.tensor(pairs))


def draw(puzzle: Puzzle, count: int, seed: int) -> list[Augmentation]:
    """The puzzle as it is, and up to `count` variants whose demonstrations differ from all earlier ones'.

    A turn and a permutation of the colours 1 to 9 are drawn evenly; two variants are the same where they have
    the same pairs, in any order (the published builder, which looks at the tests, too). Fewer come of a
    puzzle that has no more.
    """
    digest = hashlib.sha256(f"{seed}:{puzzle.name}".encode()).digest()
    rng = np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
    fingerprints = _Fingerprints(puzzle)
    found = [Augmentation()]
    seen = set(fingerprints.of(np.zeros(1, np.int64), np.array([SAME_COLOURS])).tolist())
    for _ in range(TRIALS):
        if len(found) > count:
            break
        turns = rng.integers(0, TURNS, count)
        colours = np.tile(np.arange(COLOURS), (count, 1))
        colours[:, 1:] = rng.permuted(colours[:, 1:], axis=1)
        for turn, row, print_ in zip(
            turns.tolist(), colours.tolist(), fingerprints.of(turns, colours).tolist(), strict=True
        ):
            if print_ not in seen and len(found) <= count:
                seen.add(print_)
                found.append(Augmentation(turn, tuple(row)))
    return found


class _Fingerprints:
    """64-bit hashes of a puzzle's demonstrations under many augmentations at once.

    A grid's hash is the sum over colours of (a word of what the colour becomes) × (the sum of the words of
    its cells), so that recolouring costs ten products however large the grid is. Pairs are mixed and then
    summed: their order does not count.
    """

    def __init__(self, puzzle: Puzzle) -> None:
        rng = np.random.default_rng(0)
        self.words = _odd(rng, COLOURS)
        places = _odd(rng, 32 * 32).reshape(32, 32)
        self.cells = np.zeros((2, TURNS, len(puzzle.demonstrations), COLOURS), np.uint64)
        for number, pair in enumerate(puzzle.demonstrations):
            for side, grid in enumerate((pair.input, pair.output)):
                assert grid is not None
                for turn in range(TURNS):
                    self.cells[side, turn, number] = _cells_of(turned(grid, turn), places)

    def of(self, turns: NDArray[np.int64], colours: NDArray[np.int64]) -> Words:
        """One word for each of `turns [count]` with `colours [count, 10]`."""
        becomes = self.words[colours][:, None, :]
        inputs, outputs = ((self.cells[side][turns] * becomes).sum(axis=2) for side in (0, 1))
        return _mixed(_mixed(inputs) * np.uint64(3) + outputs).sum(axis=1)


def _cells_of(grid: Grid, places: Words) -> Words:
    """For each colour the sum of the words of its cells; the size of the grid is in every one of them."""
    height, width = grid.shape
    words = places[:height, :width] * places[height, width]
    return np.array([words[grid == colour].sum(dtype=np.uint64) for colour in range(COLOURS)], np.uint64)


def _odd(rng: np.random.Generator, count: int) -> Words:
    return rng.integers(0, 2**64, count, dtype=np.uint64) | np.uint64(1)


def _mixed(words: Words) -> Words:
    """Every bit of a word spread over all of it (the finalizer of SplitMix64)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
