"""Futoshiki puzzles as JSON lines: a problem that is neither Sudoku nor maze, for the guide.

A Futoshiki is a Latin square: every row and column has each of 1…n once. A few cells are given, and signs
between neighbours say which is less. Drawn as a grid of 2n − 1 rows, cells stand at even places and signs
between them (`^` and `v`, turned signs, have their point at the lesser cell, too):

    .+.<2+.
    ++++v++
    .+.+.+.

Every puzzle has one solution, and loses it if any sign or given cell is taken away.

    python docs/guide/futoshiki.py futoshiki.jsonl
"""

import argparse
import json
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BLANK, NOTHING = ".", "+"  # a cell to fill, and a place between cells where there is no sign
SIGNS = {"across": "<>", "down": "^v"}  # before a greater neighbour, and before a lesser one

Bytes = NDArray[np.uint8]


def latin_squares(side: int) -> Bytes:
    """All of them, [count, side, side] with values from 1: 576 for side 4, 161,280 for side 5."""
    lines = np.array(list(permutations(range(1, side + 1))), np.uint8)
    squares = lines[:, None]
    for _ in range(side - 1):
        fits = (squares[:, None] != lines[None, :, None]).all((2, 3))  # no value twice in a column
        square, line = np.nonzero(fits)
        squares = np.concatenate([squares[square], lines[line][:, None]], 1)
    return squares


class Maker:
    """Makes puzzles of one size. What a puzzle may tell is a *clue*: the value of a cell, or a sign.

    `clues` [clues, squares]: what each clue is in each Latin square, as a number: a value, or 0 and 1.
    """

    def __init__(self, side: int):
        self.side = side
        self.squares = latin_squares(side)
        across = self.squares[:, :, :-1] > self.squares[:, :, 1:]
        down = self.squares[:, :-1] > self.squares[:, 1:]
        told = [part.reshape(len(self.squares), -1) for part in (self.squares, across, down)]
        self.clues: Bytes = np.ascontiguousarray(np.concatenate(told, 1, dtype=np.uint8).T)

    def puzzle(self, draw: np.random.Generator) -> tuple[list[list[str]], list[list[str]]]:
        """A puzzle and its solution, both drawn. Clues are dropped, in random order, while one square fits.

        Kept for each square: how many clues of the puzzle it contradicts. The solution contradicts none.
        """
        solution = int(draw.integers(len(self.squares)))
        wrong = (self.clues != self.clues[:, [solution]]).astype(np.uint8)
        contradicted = wrong.sum(0, dtype=np.uint8)
        kept = np.ones(len(wrong), bool)
        for clue in draw.permutation(len(wrong)):
            fewer = contradicted - wrong[clue]
            if np.count_nonzero(fewer) == len(fewer) - 1:
                contradicted, kept[clue] = fewer, False
        told = self.clues[:, solution]
        everything = kept.copy()
        everything[: self.side**2] = True
        return self.drawn(told, kept), self.drawn(told, everything)

    def drawn(self, told: Bytes, kept: NDArray[np.bool_]) -> list[list[str]]:
        """The grid of the clues that are kept."""
        side, size = self.side, 2 * self.side - 1
        grid = [[NOTHING] * size for _ in range(size)]
        places = [(2 * row, 2 * column) for row in range(side) for column in range(side)]
        places += [(2 * row, 2 * column + 1) for row in range(side) for column in range(side - 1)]
        places += [(2 * row + 1, 2 * column) for row in range(side - 1) for column in range(side)]
        for (row, column), value, known in zip(places, told.tolist(), kept.tolist(), strict=True):
            if row % 2 == column % 2 == 0:
                grid[row][column] = str(value) if known else BLANK
            elif known:
                grid[row][column] = SIGNS["down" if row % 2 else "across"][value]
        return grid


def puzzles(side: int, count: int, seed: int) -> Iterator[tuple[list[list[str]], list[list[str]]]]:
    """`count` different puzzles, each with its solution: the same for the same seed."""
    maker, draw = Maker(side), np.random.default_rng(seed)
    made: set[str] = set()
    while len(made) < count:
        puzzle, solution = maker.puzzle(draw)
        if (text := str(puzzle)) not in made:
            made.add(text)
            yield puzzle, solution


def main() -> None:
    """Write a file of puzzles."""
    parser = argparse.ArgumentParser(description="Write Futoshiki puzzles with one solution each.")
    parser.add_argument("out", type=Path, help="the file to write, such as futoshiki.jsonl")
    parser.add_argument("--side", type=int, default=4, choices=(3, 4, 5))
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with options.out.open("w", encoding="utf-8") as file:
        for puzzle, solution in puzzles(options.side, options.count, options.seed):
            file.write(json.dumps({"input": puzzle, "target": solution}) + "\n")
    print(f"{options.count:,} puzzles in {options.out}")


if __name__ == "__main__":
    main()
