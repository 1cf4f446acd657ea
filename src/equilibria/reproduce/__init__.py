"""The papers' tables and figures, made again: one module each, found here by name."""

from equilibria.errors import EquilibriaError
from equilibria.reproduce import (
    act,
    ambiguity,
    construction_path,
    costs,
    maze,
    mini_arc,
    signal_propagation,
    state_tracking,
)
from equilibria.reproduce.reproduction import Findings, Reproduction, Sheet, nearest

__all__ = ["Findings", "Reproduction", "Sheet", "reproduction", "reproductions"]


def reproductions() -> tuple[Reproduction, ...]:
    """All that can be made."""
    modules = (construction_path, costs, act, maze, ambiguity, mini_arc, state_tracking, signal_propagation)
    return tuple(module.REPRODUCTION for module in modules)


def reproduction(name: str) -> Reproduction:
    """The one of this name.

    Raises:
        EquilibriaError: there is none; says which there are.
    """
    known = {one.name: one for one in reproductions()}
    if name not in known:
        raise EquilibriaError(
            f"no reproduction '{name}'; {nearest(name, list(known))}there are: {', '.join(known)}"
        )
    return known[name]
