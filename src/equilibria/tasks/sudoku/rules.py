"""The rules of Sudoku: which boards contradict themselves, which answers are valid, and why not in words."""

from collections import Counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equilibria.tasks.sudoku.board import BLANK, Box, cell_name, members, side, symbol, unit_name, units


def _bits(box: Box) -> NDArray[np.int32]:
    """One bit for each digit's token, none for pad and blank: int32 [256], so that any uint8 can index it."""
    bits = np.zeros(256, np.int32)
    bits[2 : 2 + side(box)] = 1 << np.arange(side(box))
    return bits


def contradictory(boards: NDArray[np.uint8], box: Box) -> NDArray[np.bool_]:
    """Whether a digit stands twice in a row, column or box: bool [count] for boards [count, tokens]."""
    cells = _bits(box)[boards][:, members(box)]
    # bits add up to their union exactly where no two are the same
    return (cells.sum(-1) != np.bitwise_or.reduce(cells, -1)).any(-1)


def contradiction(board: NDArray[np.uint8], box: Box) -> str | None:
    """The first pair of cells of a board [tokens] that cannot stand together, in words."""
    for unit, cells in enumerate(members(box)):
        first: dict[int, int] = {}
        for cell in cells.tolist():
            token = int(board[cell])
            if token > BLANK and token in first:
                return (
                    f"{symbol(token)} stands at {cell_name(first[token], box)} "
                    f"and at {cell_name(cell, box)}, but {unit_name(unit, box)} may hold it only once"
                )
            first[token] = cell
    return None


def clashing(board: NDArray[np.uint8], box: Box) -> NDArray[np.bool_]:
    """The cells of a board [tokens] whose digit stands again in their row, column or box: bool [tokens]."""
    peers = (units(box)[:, None, :] == units(box)[None, :, :]).any(-1)
    same = board[:, None] == board[None, :]
    return ((peers & same).sum(1) > 1) & (board > BLANK)  # each cell is its own peer


def valid(inputs: Tensor, answers: Tensor, box: Box) -> Tensor:
    """Whether each answer [count, tokens] keeps the clues and the rules: bool [count], on their device."""
    height, width = box
    size = side(box)
    bits = torch.from_numpy(_bits(box)).to(answers.device)[answers.long()].view(-1, size, size)
    boxes = bits.view(-1, width, height, height, width)
    # n powers of two add up to 2^n - 1 only if they are 1, 2, 4 … 2^(n-1), each once
    sums = torch.cat([bits.sum(2), bits.sum(1), boxes.sum((2, 4)).flatten(1)], dim=1)
    kept = (inputs <= BLANK) | (inputs == answers)
    return (sums == 2**size - 1).all(1) & kept.all(1)


def violations(board: NDArray[np.uint8], answer: NDArray[np.uint8], box: Box) -> list[str]:
    """What is wrong with one answer [tokens] to one board [tokens]; empty if nothing is."""
    wrong = [
        f"clue {symbol(clue)} at {cell_name(cell, box)} became {symbol(token) if token > BLANK else 'empty'}"
        for cell, (clue, token) in enumerate(zip(board.tolist(), answer.tolist(), strict=True))
        if BLANK < clue != token
    ]
    wrong += [f"{cell_name(cell, box)} is empty" for cell in np.flatnonzero(answer <= BLANK).tolist()]
    for unit, cells in enumerate(members(box)):
        for token, times in sorted(Counter(answer[cells].tolist()).items()):
            if token > BLANK and times > 1:
                often = "twice" if times == 2 else f"{times} times"
                wrong.append(f"{unit_name(unit, box)} has {symbol(token)} {often}")
    return wrong
