"""What a run will cost, counted on a few rows before it starts."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from equilibria.reasoners.interface import Reasoner
from equilibria.training.carry import Batch, Carry
from equilibria.training.config import TrainingConfig
from equilibria.training.rolling import backward


@dataclass(frozen=True)
class Cost:
    """Facts of a run before it runs.

    Attributes:
        parameters: trainable numbers, identity tables left out.
        equivalent_layers: real block applications in one iteration.
        tracked_layers: of those, how many carry gradient.
        flops_per_step: matmul FLOPs of one optimizer step, forward and backward, after any curriculum.
        flops: of the whole run, stage by stage.
        flops_per_iteration: matmul FLOPs of one inference iteration of one problem.
        memory: bytes for weights, gradients, moments, average, activations kept for the backward pass,
            and the rolling batch, per process; workspace of kernels not included.
    """

    parameters: int
    equivalent_layers: int
    tracked_layers: int
    flops_per_step: float
    flops: float
    flops_per_iteration: float
    memory: float


def estimate(reasoner: Reasoner[Any], config: TrainingConfig, dtype: torch.dtype, processes: int = 1) -> Cost:
    """Run one segment of two rows on the CPU, count its FLOPs and what it keeps, and scale to the batch."""
    rows = 2
    few = config.model_copy(update={"batch": rows, "accumulate": 1})
    reasoner.compute_in(dtype)
    carry = _sample_carry(reasoner, config, rows * config.candidates)
    kept = _KeptBytes({weight.untyped_storage().data_ptr() for weight in reasoner.parameters()})
    with FlopCounterMode(display=False) as step, saved_tensors_hooks(kept.pack, lambda tensor: tensor):
        backward(reasoner, carry, few)
    per_step = step.get_total_flops() * config.batch / rows
    total, begin = 0.0, 0.0
    own = {name: getattr(reasoner.config, name) for name in reasoner.adjustable}
    for stage in config.curriculum:
        reasoner.adjust(own | stage.reasoner)
        with FlopCounterMode(display=False) as staged:
            backward(reasoner, carry, few)
        total += (stage.until - begin) * config.steps * staged.get_total_flops() * config.batch / rows
        begin = stage.until
    reasoner.adjust(own)
    total += (1.0 - begin) * config.steps * per_step
    with torch.no_grad(), FlopCounterMode(display=False) as iteration:
        condition = reasoner.encode(carry.batch.inputs)
        reasoner.iterate(carry.state, condition, noise=carry.noise())
    reasoner.zero_grad()

    parameters = reasoner.parameter_count()
    tables = sum(table.numel() for table in reasoner.identity_parameters())
    per_process = config.batch // processes
    carried = sum(value.nbytes for value in carry.tensors().values()) / rows  # of all candidates
    return Cost(
        parameters=parameters,
        equivalent_layers=reasoner.equivalent_layers,
        tracked_layers=reasoner.tracked_layers,
        flops_per_step=per_step,
        flops=total,
        flops_per_iteration=iteration.get_total_flops() / len(carry.steps),
        memory=4 * (5 * parameters + tables)  # weights, gradients, two moments, average; all float32
        + kept.bytes / rows * per_process / config.accumulate
        + 2 * carried * per_process,
    )


def _sample_carry(reasoner: Reasoner[Any], config: TrainingConfig, rows: int) -> Carry:
    carry = Carry.free(reasoner, config.solver, config.halting, rows, torch.device("cpu"))
    tokens = torch.randint(1, reasoner.shape.vocabulary, (rows, reasoner.shape.tokens))
    number = torch.arange(rows)
    return carry.refill(Batch(tokens, tokens, number, torch.zeros_like(number)), carry.state, carry.memory)


class _KeptBytes:
    """Counts the memory that autograd keeps, each storage once, parameters left out."""

    def __init__(self, seen: set[int]) -> None:
        self.seen = seen
        self.bytes = 0
        self._alive: list[Tensor] = []  # holds storages so that no address is used twice

    def pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.seen:
            self.seen.add(storage.data_ptr())
            self.bytes += storage.nbytes()
            self._alive.append(tensor)
        return tensor
