"""How much compute a problem may cost, and how the restarts are turned into one answer."""

from dataclasses import dataclass

from equilibria.dynamics.halting import FixedDepth, Halting
from equilibria.errors import EquilibriaError
from equilibria.inference.restarts import Fixed, Race, RestartPolicy
from equilibria.inference.selection import SELECTIONS, Selection


@dataclass(frozen=True)
class Budget:
    """Depth × breadth, and the rules within them.

    Attributes:
        depth: D, most iterations of one trajectory.
        breadth: B, most independent restarts per problem.
        halting: which rule may stop a trajectory before its depth is spent.
        restarts: which policy may do with fewer restarts.
        selection: which restart answers (see `selection`).
        tolerance: a trajectory is settled when its residual, as the root-mean-square change of a state
            element per iteration averaged over the last three, is at most this. Path noise sets a floor.
        nfe: most iterations for one problem, over all its restarts; None: depth × breadth. (Each counts once,
            also where one runs a solve inside, whose evaluations an answer's own `nfe` counts.)
    """

    depth: int = 16
    breadth: int = 1
    halting: Halting = FixedDepth()
    restarts: RestartPolicy = Fixed()
    selection: Selection = "convergence"
    tolerance: float = 0.05
    nfe: int | None = None

    def __post_init__(self) -> None:
        for name in ("depth", "breadth", "nfe"):
            value = getattr(self, name)
            if (value is not None or name != "nfe") and (not isinstance(value, int) or value < 1):
                raise EquilibriaError(f"{name} must be a whole number from 1 up, not {value!r}")
        for name, kind in (("halting", Halting), ("restarts", RestartPolicy)):
            value = getattr(self, name)
            if not isinstance(value, kind):
                example = "FixedDepth()" if kind is Halting else "Fixed()"
                raise EquilibriaError(f"{name} must be a rule such as {example}, not {value!r}")
        if self.nfe is not None and isinstance(self.restarts, Race):
            raise EquilibriaError(
                "a race runs all restarts side by side, so it takes no cap on iterations: bound depth and "
                "breadth, or use until-settled"
            )
        if self.selection not in SELECTIONS:
            raise EquilibriaError(f"selection must be one of {', '.join(SELECTIONS)}, not {self.selection!r}")
        if not self.tolerance > 0:
            raise EquilibriaError(f"tolerance must be positive, not {self.tolerance!r}")
