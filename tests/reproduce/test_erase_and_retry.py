"""EqR Fig. 13: which trajectory is drawn, and which of its cells is circled."""

import numpy as np

from equilibria.reproduce import erase_and_retry
from equilibria.reproduce.erase_and_retry import Trajectory, chosen, notes, run
from equilibria.tasks.sudoku import Sudoku


def trajectory(answers, changes, retried, label=(2, 3, 4, 5)):
    return Trajectory(
        np.zeros(4, np.uint8),
        np.array(label, np.uint8),
        np.array(answers, np.uint8),
        np.array(changes),
        np.array(retried, bool),
    )


BACK = trajectory([[5, 5, 5, 5], [2, 3, 5, 2], [3, 3, 4, 4], [2, 3, 4, 5]], [2, 0, 1, 2], [1, 0, 0, 0])
STRAIGHT = trajectory([[5, 5, 5, 5], [2, 3, 3, 2], [2, 3, 4, 5]], [0, 0, 1, 1], [0, 0, 0, 0])
WRONG = trajectory([[5, 5, 5, 5], [2, 3, 2, 2], [2, 3, 5, 5]], [9, 9, 9, 9], [1, 1, 1, 1])


def test_the_most_erased_of_those_that_were_solved_is_drawn():
    assert (BACK.solved, STRAIGHT.solved, WRONG.solved) == (True, True, False)
    assert chosen([STRAIGHT, WRONG, BACK]) == 2


def test_a_cell_found_again_is_circled_before_one_that_merely_changed():
    assert BACK.oscillating == 0
    assert BACK.values() == [2, 3, 2]  # not what was decoded before the first iteration
    assert STRAIGHT.oscillating in (2, 3)


def test_what_is_said_names_the_cell_and_its_values():
    said = notes([STRAIGHT, WRONG, BACK], 2, Sudoku(Sudoku.Config(box=(2, 2))))
    assert "2 of 3 puzzles are solved" in said[0] and "In 1 of them" in said[0] and said[0].endswith("no.")
    assert "(row 1, column 1) goes 1 → 2 → 1." in said[1]
    assert notes([STRAIGHT], 0, Sudoku(Sudoku.Config(box=(2, 2))))[0].endswith("yes.")


def test_it_is_drawn(setup, monkeypatch):
    monkeypatch.setattr(erase_and_retry, "DEPTH", 3)
    findings = run(setup())
    assert len(findings.sheets[0].rows) == 20
    assert [row["iteration"] for row in findings.sheets[1].rows] == [0, 1, 2, 3]
    assert findings.pictures[0].read_bytes().startswith(b"\x89PNG")
