"""A puzzle: pairs of grids that show a rule, and pairs that ask for it."""

from dataclasses import dataclass

from equilibria.tasks.arc.grid import Grid


@dataclass(frozen=True)
class Pair:
    """A grid, and the grid that the rule makes of it; None where that is not known."""

    input: Grid
    output: Grid | None


@dataclass(frozen=True)
class Puzzle:
    """What ARC calls a task.

    `corpus`: the collection it is from; `name`: unique there; `asked`: whether the collection evaluates on
    it, so that its tests are kept from training.
    """

    corpus: str
    name: str
    demonstrations: tuple[Pair, ...]
    tests: tuple[Pair, ...]
    asked: bool = True

    @property
    def source(self) -> str:
        """Corpus and name, as problems are told where they come from."""
        return f"{self.corpus}/{self.name}"

    @property
    def largest(self) -> int:
        """The longest side of any of its grids."""
        pairs = (*self.demonstrations, *self.tests)
        grids = [grid for pair in pairs for grid in (pair.input, pair.output) if grid is not None]
        return max(max(grid.shape) for grid in grids)
