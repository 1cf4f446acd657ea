"""Which problems arrive at which step: a pure function of (seed, step), so that a run resumes anywhere."""

import numpy as np
import torch
from torch import Tensor

from equilibria.dynamics.noise import NoiseSource, combine
from equilibria.tasks.interface import Problems, Task
from equilibria.training.carry import Batch
from equilibria.training.losses import IGNORE

AUGMENTATION_STREAM, REVEAL_STREAM = 1 << 22, 1 << 23
MOST_GIVEN = 0.7


def give_away(inputs: Tensor, targets: Tensor, noise: NoiseSource, share: float) -> Tensor:
    """Problems made easier: in a `share` of the rows, tokens of the answer stand in the problem.

    How many is drawn per row, evenly between none and MOST_GIVEN of those asked for.
    """
    uniform = noise.uniform(REVEAL_STREAM, 2 + inputs.shape[1])
    chance = torch.where(uniform[:, :1] < share, MOST_GIVEN * uniform[:, 1:2], 0.0)
    return torch.where((uniform[:, 2:] < chance) & (targets != 0), targets, inputs)


class Sampler:
    """Batches of problems, shuffled anew every epoch, varied by the task's symmetries on the device.

    Args:
        problems: the training set; it is kept on the device whole.
        task: gives the symmetries.
        batch: rows of the global batch.
        share: this process's rows of it.
        seed: of order and symmetries.
        augment: whether to vary problems by their symmetries.
        device: where batches are wanted.
    """

    def __init__(
        self,
        problems: Problems,
        task: Task,
        *,
        batch: int,
        share: slice,
        seed: int,
        augment: bool,
        device: torch.device,
    ) -> None:
        assert problems.labels is not None
        self.inputs = problems.inputs.to(device)
        self.labels = problems.labels.to(device)
        self.identifiers = None if problems.identifiers is None else problems.identifiers.to(device)
        self.task = task
        self.batch = batch
        self.share = share
        self.seed = seed
        self.augment = augment
        self.device = device
        self._epoch: tuple[int, Tensor] | None = None

    def at(self, step: int) -> Batch:
        """The problems that arrive at `step` (from 0), this process's rows only."""
        return self.draw(*self.places(step))

    def places(self, step: int) -> tuple[Tensor, Tensor]:
        """Which problem arrives in each row at `step`, and that row's number in the run: int64 `[rows]`."""
        rows = self._order(step)[self.share]
        sample = torch.arange(self.share.start, self.share.stop, device=self.device) + step * self.batch
        return rows, sample

    def draw(self, rows: Tensor, sample: Tensor, reveal: float = 0.0) -> Batch:
        """The problems of some places, varied: on the device, and nothing waits for it.

        Of a share `reveal` of them, part of the answer is given away: see `give_away`.
        """
        keys = combine(self.seed, sample)
        inputs, labels = self.inputs[rows], self.labels[rows]
        identifiers = torch.zeros_like(keys) if self.identifiers is None else self.identifiers[rows]
        if self.augment and self.task.draws:
            uniform = NoiseSource(keys).uniform(AUGMENTATION_STREAM, self.task.draws)
            inputs, labels, identifiers = self.task.vary(inputs, labels, identifiers, uniform)
        inputs, targets = inputs.long(), labels.long()
        if reveal:
            inputs = give_away(inputs, targets, NoiseSource(keys), reveal)
        return Batch(inputs, targets.masked_fill(targets == 0, IGNORE), keys, identifiers)

    def _order(self, step: int) -> Tensor:
        """Row numbers of the global batch. An epoch's last, partial batch is dropped, as published."""
        count = len(self.inputs)
        if count < self.batch:
            epochs = -(-self.batch // count)
            orders = [self._permutation(step * epochs + epoch) for epoch in range(epochs)]
            return torch.cat(orders)[: self.batch]
        epoch, place = divmod(step, count // self.batch)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = (epoch, self._permutation(epoch))
        return self._epoch[1][place * self.batch : (place + 1) * self.batch]

    def _permutation(self, epoch: int) -> Tensor:
        generator = np.random.Generator(np.random.Philox(key=[self.seed, epoch]))
        return torch.from_numpy(generator.permutation(len(self.inputs))).to(self.device)
