"""A grid for a picture: the symbols of the data, without the padding around it."""

import numpy as np
from numpy.typing import NDArray

from equilibria.tasks.grids.notation import Notation, trimmed
from equilibria.tasks.picture import Panel, board_panels


def grid_panels(
    notation: Notation,
    given: NDArray[np.uint8],
    answer: NDArray[np.uint8] | None,
    label: NDArray[np.uint8] | None,
) -> list[Panel]:
    """`given` [tokens] with its `answer` and the right one where there are any (see `board_panels`)."""
    problem = trimmed(given, notation.board)
    height, width = problem.shape
    shown, wanted = (
        None if tokens is None else tokens.reshape(notation.board)[:height, :width].ravel().tolist()
        for tokens in (answer, label)
    )
    return board_panels((height, width), notation.symbol, problem.ravel().tolist(), shown, wanted, None)
