"""What a run will cost, counted on a few rows before it starts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from equilibria.reasoners.interface import Reasoner
from equilibria.training.carry import Batch, Carry
from equilibria.training.config import TrainingConfig
from equilibria.training.live import live_bytes
from equilibria.training.rolling import backward

ROWS = 2  # of the segment that is counted; with one, some copies would not be made


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
        memory: bytes per process at the fullest moment of a segment: weights, moments, average, the rolling
            batch, and activations and gradients as they come and go; workspace of kernels not included.
    """

    parameters: int
    equivalent_layers: int
    tracked_layers: int
    flops_per_step: float
    flops: float
    flops_per_iteration: float
    memory: float


def estimate(reasoner: Reasoner[Any], config: TrainingConfig, dtype: torch.dtype, processes: int = 1) -> Cost:
    """Run a segment of two rows and one of three on the CPU, count what they take, and scale to the batch."""
    reasoner.compute_in(dtype)
    few = config.model_copy(update={"accumulate": 1})
    carry = _sample_carry(reasoner, config, ROWS * config.candidates)
    reasoner.zero_grad()
    with FlopCounterMode(display=False) as step:
        fewer = live_bytes(lambda: backward(reasoner, carry, few))
    larger = _sample_carry(reasoner, config, (ROWS + 1) * config.candidates)
    reasoner.zero_grad()
    more = live_bytes(lambda: backward(reasoner, larger, few))
    per_step = step.get_total_flops() * config.batch / ROWS
    total, begin = 0.0, 0.0
    own = {name: getattr(reasoner.config, name) for name in reasoner.adjustable}
    for stage in config.curriculum:
        reasoner.adjust(own | stage.reasoner)
        with FlopCounterMode(display=False) as staged:
            backward(reasoner, carry, few)
        total += (stage.until - begin) * config.steps * staged.get_total_flops() * config.batch / ROWS
        begin = stage.until
    reasoner.adjust(own)
    total += (1.0 - begin) * config.steps * per_step
    one = carry.rows(slice(0, 1))
    with torch.no_grad(), FlopCounterMode(display=False) as iteration:
        condition = reasoner.encode(one.batch.inputs)
        reasoner.iterate(one.state, condition, noise=one.noise())
    reasoner.zero_grad()

    parameters = reasoner.parameter_count()
    tables = sum(table.numel() for table in reasoner.identity_parameters())
    rows = config.batch // processes
    carried = sum(value.nbytes for value in carry.tensors().values()) / ROWS  # of all candidates
    return Cost(
        parameters=parameters,
        equivalent_layers=reasoner.equivalent_layers,
        tracked_layers=reasoner.tracked_layers,
        flops_per_step=per_step,
        flops=total,
        flops_per_iteration=iteration.get_total_flops(),
        memory=4 * (4 * parameters + tables)  # weights, two moments, average; all float32
        + 3 * carried * rows  # as it was, the states of arrivals, and with these in it
        + (4 * parameters if config.accumulate > 1 else 0)  # gradients of the parts before
        + _fullest(fewer, more, rows / config.accumulate),
    )


def _sample_carry(reasoner: Reasoner[Any], config: TrainingConfig, rows: int) -> Carry:
    carry = Carry.free(reasoner, config.solver, config.halting, rows, torch.device("cpu"))
    tokens = torch.randint(1, reasoner.shape.vocabulary, (rows, reasoner.shape.tokens))
    number = torch.arange(rows)
    return carry.refill(Batch(tokens, tokens, number, torch.zeros_like(number)), carry.state, carry.memory)


def _fullest(fewer: list[int], more: list[int], rows: float) -> float:
    """The most bytes at any moment of a segment of `rows`, from those of `ROWS` rows and of one more.

    What belongs to weights stays, what belongs to rows grows, moment by moment. Moments are told from the
    end: where a solver stops by itself the ways there differ in length, and the backward passes do not.
    """
    moments = min(len(fewer), len(more))
    low, high = (np.array(trace[-moments:], dtype=np.float64) for trace in (fewer, more))
    return float((low + (rows - ROWS) * (high - low)).max())
