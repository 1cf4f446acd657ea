"""Futoshiki as a task of its own, for the guide: the grids of `futoshiki.py`, with rules and symmetries.

Everything else (files, symbols, the split, drawing) is what `Grids` does for any grids.

    equilibria train eqr-grid data=futoshiki.jsonl task.name=docs/guide/futoshiki_task.py
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from equilibria.tasks.grids import Grids

BLANK = "."
IMAGES = 16  # eight ways to turn and mirror a square, each with the values as they are or reversed
TURNED = {"<": "^", ">": "v", "^": "<", "v": ">"}  # rows and columns exchanged
FLIPPED = {"^": "v", "v": "^"}  # top and bottom exchanged
MIRRORED = {"<": ">", ">": "<"}  # left and right exchanged


class Futoshiki(Grids):
    """A Latin square with signs between neighbours, drawn as a grid of 2n - 1 rows."""

    name = "futoshiki"
    noun = "Futoshiki"
    rules = True  # `violations` and `valid` can tell right answers from wrong ones
    draws = 2  # of `augment`

    def __init__(self, config: Grids.Config | None = None):
        super().__init__(config)
        self.draws = Futoshiki.draws

    @property
    def side(self) -> int:
        """Cells in a row."""
        return (self.board[0] + 1) // 2

    def augment(self, inputs: Tensor, labels: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """Turned and mirrored, and with 1 and n exchanged, 2 and n - 1, and so on: signs change with them."""
        which = (uniforms[:, 0] * 8).long() + 8 * (uniforms[:, 1] < 0.5)
        return self.image(inputs, which), self.image(labels, which)

    def image(self, grids: Tensor, which: Tensor) -> Tensor:
        """The images of `grids` [count, tokens] under `which` [count], below IMAGES; 0 leaves all in place.

        Bits 0 to 2 are those of `Symmetries.turned`, bit 3 reverses the values.
        """
        moved = self.symmetries.turned(grids, grids, which & 7)
        return self.renamed().to(grids.device)[which].gather(1, moved.long()).to(grids.dtype)

    def renamed(self) -> Tensor:
        """What each token becomes under each image: int64 [IMAGES, vocab]."""
        symbols = self.config.symbols or ()
        reverse = {str(value): str(self.side + 1 - value) for value in range(1, self.side + 1)}
        tokens = torch.zeros(IMAGES, self.vocab_size, dtype=torch.int64)
        for which in range(IMAGES):
            steps = [TURNED] * (which >> 2 & 1) + [FLIPPED] * (which & 1) + [MIRRORED] * (which >> 1 & 1)
            steps += [reverse, FLIPPED, MIRRORED] * (which >> 3)
            for token, symbol in enumerate(symbols, 1):
                for step in steps:
                    symbol = step.get(symbol, symbol)
                tokens[which, token] = self.notation.tokens.get(symbol, token)
        return tokens

    def canonical(self, inputs: Tensor) -> Tensor:
        """The least image of each puzzle, so that no image of a training puzzle is held out."""
        every = [self.image(inputs, torch.full((len(inputs),), which)) for which in range(IMAGES)]
        images = torch.stack(every, 1).numpy()
        return torch.from_numpy(np.stack([min(rows, key=bytes) for rows in images]))

    def violations(self, inputs: Tensor, answers: Tensor) -> list[list[str]]:
        """The rules that each answer breaks, in words."""
        symbols = np.array(["?", *(self.config.symbols or ())])
        pairs = (symbols[part.cpu().numpy()].reshape(-1, *self.board).tolist() for part in (inputs, answers))
        return [list(self.broken(given, answer)) for given, answer in zip(*pairs, strict=True)]

    def valid(self, inputs: Tensor, answers: Tensor) -> Tensor:
        """Whether each answer keeps all rules."""
        return torch.tensor([not broken for broken in self.violations(inputs, answers)], device=inputs.device)

    def broken(self, given: list[list[str]], answer: list[list[str]]) -> Iterator[str]:
        """The same for one puzzle, as symbols."""
        values = sorted(str(value) for value in range(1, self.side + 1))
        lines = [row[::2] for row in answer[::2]]
        for name, group in (("row", lines), ("column", [list(line) for line in zip(*lines, strict=True)])):
            for number, line in enumerate(group, 1):
                if sorted(line) != values:
                    yield f"{name} {number} is {' '.join(line)}, not each of {' '.join(values)} once"
        for row, line in enumerate(given):
            for column, symbol in enumerate(line):
                if symbol not in (BLANK, answer[row][column]):
                    yield f"{symbol} in row {row + 1}, column {column + 1} of the drawing was changed"
                if symbol in "<>":
                    one, other = answer[row][column - 1], answer[row][column + 1]
                elif symbol in "^v":
                    one, other = answer[row - 1][column], answer[row + 1][column]
                else:
                    continue
                if (one < other) != (symbol in "<^") or one == other:
                    yield f"{one} {symbol} {other} does not hold (row {row + 1} of the drawing)"
