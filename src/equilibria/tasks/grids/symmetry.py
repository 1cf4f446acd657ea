"""Symmetries of grids: turns and mirror images of each grid by itself, and values that may be exchanged."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["none", "mirrors", "dihedral"]
IMAGES = {"none": 1, "mirrors": 4, "dihedral": 8}


@dataclass(frozen=True)
class Symmetries:
    """What turns a problem into an equivalent one.

    `board`: height and width; `kind`: "mirrors" exchanges left and right, top and bottom; "dihedral" turns
    as well, and needs a square board. `relabel`: tokens that change places at random.
    """

    board: tuple[int, int]
    kind: Kind = "none"
    relabel: tuple[int, ...] = ()

    @property
    def draws(self) -> int:
        """Uniforms that one draw takes."""
        return (self.kind != "none") + len(self.relabel)

    def apply(self, inputs: Tensor, labels: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """Problems and answers [batch, tokens] under the symmetries that `uniforms` [batch, draws] name."""
        if self.kind != "none":
            which = (uniforms[:, 0] * IMAGES[self.kind]).long()
            inputs, labels = self.turned(inputs, inputs, which), self.turned(labels, inputs, which)
        if self.relabel:
            order = uniforms[:, -len(self.relabel) :].argsort(1)
            inputs, labels = self._renamed(inputs, order), self._renamed(labels, order)
        return inputs, labels

    def turned(self, grids: Tensor, inputs: Tensor, which: Tensor) -> Tensor:
        """The images of `grids` [batch, tokens], shaped as `inputs` are, under `which` [batch] from 0 (none).

        Bit 0 mirrors rows, bit 1 mirrors columns, bit 2 exchanges them first. A grid smaller than the board
        stays in its corner.
        """
        height, width = self.board
        filled = inputs.view(-1, height, width) != 0
        tall, wide = filled.any(2).sum(1)[:, None, None], filled.any(1).sum(1)[:, None, None]
        rows = torch.arange(height, device=grids.device)[None, :, None]
        columns = torch.arange(width, device=grids.device)[None, None, :]
        flip, mirror, turn = ((which >> bit & 1).bool()[:, None, None] for bit in range(3))
        tall, wide = torch.where(turn, wide, tall), torch.where(turn, tall, wide)
        inside = (rows < tall) & (columns < wide)
        row = torch.where(flip, tall - 1 - rows, rows)
        column = torch.where(mirror, wide - 1 - columns, columns)
        place = torch.where(turn, column * width + row, row * width + column)
        place = torch.where(inside, place, 0)
        return grids.gather(1, place.flatten(1)).masked_fill(~inside.flatten(1), 0)

    def _renamed(self, grids: Tensor, order: Tensor) -> Tensor:
        """Grids in which the value relabel[i] has become relabel[order[i]]; `order` [batch, values]."""
        values = torch.tensor(self.relabel, device=grids.device)
        table = torch.arange(256, device=grids.device).expand(len(grids), -1)
        table = table.scatter(1, values.expand(len(grids), -1), values[order])
        return table.gather(1, grids.long()).to(grids.dtype)

    def canonical(self, inputs: Tensor) -> Tensor:
        """One representative of each problem [count, tokens]: the same for equivalent ones.

        The least image in reading order, its exchangeable values numbered as they appear.
        """
        best = inputs
        for which in range(IMAGES[self.kind]):
            image = self.turned(inputs, inputs, torch.full((len(inputs),), which))
            if self.relabel:
                image = self._renamed(image, self._by_appearance(image).argsort(1))
            best = image if which == 0 else torch.where(_below(image, best), image, best)
        return best

    def _by_appearance(self, grids: Tensor) -> Tensor:
        """Which value comes first, second, …: int64 [count, values]; values that are not there come last."""
        first = [
            torch.where((grids == value).any(1), (grids == value).int().argmax(1), grids.shape[1])
            for value in self.relabel
        ]
        return torch.stack(first, 1).argsort(stable=True, dim=1)


def _below(one: Tensor, other: Tensor) -> Tensor:
    """Whether rows come before others in reading order: bool [count, 1]."""
    differs = one != other
    place = differs.int().argmax(1, keepdim=True)
    return one.gather(1, place) < other.gather(1, place)
