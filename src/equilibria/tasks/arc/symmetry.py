"""One of eight turns and mirror images of a grid, after a permutation of the colours 1 to 9."""

from dataclasses import dataclass

import numpy as np

from equilibria.tasks.arc.grid import COLOURS, Grid

TURNS = 8
INVERSE = (0, 3, 2, 1, 4, 5, 6, 7)
SAME_COLOURS = tuple(range(COLOURS))


def turned(grid: Grid, turn: int) -> Grid:
    """`grid` under a symmetry of the square, in the published numbering.

    0 as it is; 1, 2, 3 counter-clockwise by 90°, 180°, 270°; 4 left and right exchanged; 5 up and down;
    6 transposed; 7 turned by 90°, then left and right exchanged.
    """
    if turn < 4:
        return np.rot90(grid, turn)
    return {4: np.fliplr(grid), 5: np.flipud(grid), 6: grid.T, 7: np.fliplr(np.rot90(grid))}[turn]


@dataclass(frozen=True)
class Augmentation:
    """An equivalent of a puzzle: all its grids recoloured, then turned.

    `turn`: see `turned`; `colours`: what each of the colours 0 to 9 becomes; 0 stays.
    """

    turn: int = 0
    colours: tuple[int, ...] = SAME_COLOURS

    def apply(self, grid: Grid) -> Grid:
        """The grid of the equivalent puzzle."""
        return turned(np.array(self.colours, dtype=np.uint8)[grid], self.turn).copy()

    def invert(self, grid: Grid) -> Grid:
        """The grid of the original puzzle."""
        original = np.argsort(self.colours).astype(np.uint8)
        return original[turned(grid, INVERSE[self.turn])].copy()
