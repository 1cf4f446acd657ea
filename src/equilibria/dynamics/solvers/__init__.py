"""Ways to iterate a map to rest. A solver is data with `init` and `step`; see `interface.Solver`."""

from equilibria.dynamics.solvers.anderson import Anderson
from equilibria.dynamics.solvers.broyden import Broyden
from equilibria.dynamics.solvers.interface import Map, Memory, Solver
from equilibria.dynamics.solvers.patience import PatienceDamped
from equilibria.dynamics.solvers.picard import Picard, Relaxed

AnySolver = Picard | Relaxed | PatienceDamped | Anderson | Broyden

__all__ = [
    "Anderson",
    "AnySolver",
    "Broyden",
    "Map",
    "Memory",
    "PatienceDamped",
    "Picard",
    "Relaxed",
    "Solver",
]
