"""Which problems arrive at which step: a pure function of (seed, step), so that a run resumes anywhere."""

import numpy as np
import torch
from torch import Tensor

from equilibria.dynamics.noise import NoiseSource, combine
from equilibria.tasks.interface import Problems, Task
from equilibria.training.carry import Batch
from equilibria.training.losses import IGNORE

AUGMENTATION_STREAM = 1 << 22


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
        self.task = task
        self.batch = batch
        self.share = share
        self.seed = seed
        self.augment = augment
        self.device = device
        self._epoch: tuple[int, Tensor] | None = None

    def at(self, step: int) -> Batch:
        """The problems that arrive at `step` (from 0), this process's rows only."""
        rows = self._order(step)[self.share].to(self.device)
        sample = torch.arange(self.share.start, self.share.stop, device=self.device) + step * self.batch
        keys = combine(self.seed, sample)
        inputs, labels = self.inputs[rows], self.labels[rows]
        if self.augment and self.task.draws:
            uniform = NoiseSource(keys).uniform(AUGMENTATION_STREAM, self.task.draws)
            inputs, labels = self.task.augment(inputs, labels, uniform)
        targets = labels.long()
        return Batch(inputs.long(), targets.masked_fill(targets == 0, IGNORE), keys, torch.zeros_like(keys))

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
        return torch.from_numpy(generator.permutation(len(self.inputs)))
