"""The papers' tables and figures, made again: one module each, found here by name."""

from equilibria.errors import EquilibriaError
from equilibria.reproduce import (
    act,
    ambiguity,
    anchors,
    attractor,
    backbone,
    construction_path,
    costs,
    data_sets,
    difficulty,
    erase_and_retry,
    feedforward_rates,
    halting_by_difficulty,
    initial_states,
    iterations,
    loop_use,
    maze,
    methods,
    mini_arc,
    modes,
    path_noise,
    residual_scales,
    scaling,
    shaping,
    signal_propagation,
    solvable_length,
    state_tracking,
    step_size,
    supervision_steps,
    training_dynamics,
    trm_blocks,
)
from equilibria.reproduce.reproduction import Findings, Reproduction, Sheet, nearest

__all__ = ["Findings", "Reproduction", "Sheet", "reproduction", "reproductions"]


def reproductions() -> tuple[Reproduction, ...]:
    """All that can be made."""
    modules = (
        construction_path,
        methods,
        feedforward_rates,
        iterations,
        training_dynamics,
        anchors,
        costs,
        shaping,
        scaling,
        modes,
        initial_states,
        path_noise,
        backbone,
        act,
        maze,
        ambiguity,
        data_sets,
        difficulty,
        erase_and_retry,
        mini_arc,
        state_tracking,
        signal_propagation,
        residual_scales,
        step_size,
        loop_use,
        solvable_length,
        halting_by_difficulty,
        trm_blocks,
        supervision_steps,
        attractor,
    )
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
