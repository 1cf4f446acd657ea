"""How much compute a problem may cost, and how the restarts are turned into one answer."""

from dataclasses import dataclass

from equilibria.dynamics.halting import FixedDepth, Halting
from equilibria.errors import EquilibriaError
from equilibria.inference.selection import SELECTIONS, Selection


@dataclass(frozen=True)
class Budget:
    """Depth × breadth, and the rules within them.

    Attributes:
        depth: D, most iterations of one trajectory.
        breadth: B, independent restarts per problem.
        halting: which rule may stop a trajectory before its depth is spent.
        selection: which restart answers (see `selection`).
        tolerance: a trajectory is settled when its residual, as the root-mean-square change of a state
            element per iteration averaged over the last three, is at most this. Path noise sets a floor.
    """

    depth: int = 16
    breadth: int = 1
    halting: Halting = FixedDepth()
    selection: Selection = "convergence"
    tolerance: float = 0.05

    def __post_init__(self) -> None:
        for name in ("depth", "breadth"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise EquilibriaError(f"{name} must be a whole number from 1 up, not {value!r}")
        if not isinstance(self.halting, Halting):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise EquilibriaError(f"halting must be a rule such as FixedDepth(), not {self.halting!r}")
        if self.selection not in SELECTIONS:
            raise EquilibriaError(f"selection must be one of {', '.join(SELECTIONS)}, not {self.selection!r}")
        if not self.tolerance > 0:
            raise EquilibriaError(f"tolerance must be positive, not {self.tolerance!r}")
