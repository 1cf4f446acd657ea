"""The rolling batch at work: problems come in, a segment runs, gradients stay behind (EqR Alg. 1)."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from equilibria.dynamics.noise import NoiseSource, combine
from equilibria.reasoners.interface import Reasoner
from equilibria.training.carry import Batch, Carry, fresh_memory
from equilibria.training.config import TrainingConfig
from equilibria.training.curriculum import Stage, stage_at
from equilibria.training.replay import Replay
from equilibria.training.sampler import Sampler
from equilibria.training.segment import Supervision, run_segment


class RollingBatch:
    """What a run trains on, and the segment that advances it.

    Args:
        reasoner: the map, on its device.
        sampler: which problems arrive.
        config: of the training.
        carry: where a resumed run stood; None: all rows free.

    Attributes:
        record: whether segments are recorded as CUDA graphs, where there is CUDA.
    """

    def __init__(
        self, reasoner: Reasoner[Any], sampler: Sampler, config: TrainingConfig, carry: Carry | None = None
    ) -> None:
        self.reasoner, self.sampler, self.config = reasoner, sampler, config
        rows = (sampler.share.stop - sampler.share.start) * config.candidates
        self.carry = carry or Carry.free(reasoner, config.solver, config.halting, rows, sampler.device)
        # Sparse gradients have no fixed size, so what makes them cannot be recorded.
        self.record = config.compiled and not reasoner.identity_parameters()
        self.totals: dict[str, Tensor] = {}
        self.stage: Stage | None = None
        self._own = {name: getattr(reasoner.config, name) for name in reasoner.adjustable}
        self._segment: Replay | None = None

    def advance(self, step: int) -> None:
        """One segment at `step` (from 0); afterwards the parameters hold its gradients."""
        stage = stage_at(self.config.curriculum, step, self.config.steps)
        if stage is not self.stage or self._segment is None:
            self.stage = stage
            self._adjust(stage)
            self._segment = Replay(self._run, self.sampler.device, self.record)
        self._segment(*self.sampler.places(step))

    def leave(self) -> None:
        """Leave the reasoner as its recipe says, whatever the stage."""
        self._adjust(None)

    @contextmanager
    def as_recipe(self) -> Iterator[None]:
        """Inside, the reasoner runs as its recipe says, whatever the stage."""
        self._adjust(None)
        try:
            yield
        finally:
            self._adjust(self.stage)

    def _adjust(self, stage: Stage | None) -> None:
        self.reasoner.adjust(self._own | (stage.reasoner if stage else {}))

    def facts(self, totals: dict[str, float]) -> dict[str, float]:
        """Means per problem, and per problem that finished, of `totals` over all processes."""
        rows, finished = max(totals["rows"], 1.0), max(totals["finished"], 1.0)
        facts = {
            "loss": totals["loss"] / rows,
            "exact": totals["exact"] / finished,
            "tokens": totals["token_accuracy"] / finished,
            "halting_step": totals["steps"] / finished,
            "residual": totals["residual"] / rows / math.sqrt(math.prod(self.reasoner.state_shape)),
        }
        if "halt_right" in totals:
            facts["halting_accuracy"] = totals["halt_right"] / finished
        return facts

    def clear(self) -> None:
        """Begin to count anew."""
        for total in self.totals.values():
            total.zero_()

    def _run(self, rows: Tensor, sample: Tensor) -> None:
        """A segment, in place and without waiting for the device."""
        for weight in self.reasoner.parameters():
            weight.grad = None
        arriving = self.sampler.draw(rows, sample, self.stage.reveal if self.stage else 0.0)
        arriving = candidates(arriving, self.config.candidates)
        states = self._initial_states(arriving)
        memory = fresh_memory(self.config.solver, self.config.halting, states)
        refilled = self.carry.refill(arriving, states, memory)
        depth = self.stage.depth if self.stage else None
        after, metrics = backward(self.reasoner, refilled, self.config, depth)
        self.carry.overwrite(after)
        for name, value in metrics.items():
            self.totals.setdefault(name, torch.zeros_like(value, dtype=torch.float64)).add_(value)

    @torch.no_grad()
    def _initial_states(self, arriving: Batch) -> Tensor:
        """Where arriving problems start, `[rows, streams, tokens, width]`; only free rows will be read."""
        if self.carry.halted.device.type != "cpu":
            return self._initial_state(arriving.inputs, arriving.identifiers, arriving.keys)
        # On a CPU the draws take a tenth of a segment, and asking which rows are free costs nothing.
        free = self.carry.halted.nonzero().flatten()
        some = (arriving.inputs[free], arriving.identifiers[free], arriving.keys[free])
        return self.carry.state.index_copy(0, free, self._initial_state(*some))

    def _initial_state(self, inputs: Tensor, identifiers: Tensor, keys: Tensor) -> Tensor:
        return self.reasoner.initial_state(self.reasoner.encode(inputs, identifiers), NoiseSource(keys))


def candidates(batch: Batch, count: int) -> Batch:
    """Every problem `count` times, next to each other, with draws of their own."""
    if count == 1:
        return batch
    restart = torch.arange(count, device=batch.keys.device)
    return Batch(
        inputs=batch.inputs.repeat_interleave(count, dim=0),
        targets=batch.targets.repeat_interleave(count, dim=0),
        keys=combine(batch.keys[:, None], restart).flatten(),
        identifiers=batch.identifiers.repeat_interleave(count),
    )


def backward(
    reasoner: Reasoner[Any], carry: Carry, config: TrainingConfig, depth: int | None = None
) -> tuple[Carry, dict[str, Tensor]]:
    """One segment of all rows and its gradients, part by part where gradients are accumulated.

    The loss is a sum over problems divided by the global batch, so parts and processes simply add up.
    `depth` overrides that of the config.
    """
    wanted = depth or config.depth
    size = len(carry.steps) // config.accumulate
    supervision = Supervision(
        config.schedule,
        config.halting,
        min(wanted, reasoner.max_depth or wanted),
        config.objective,
        config.smoothing,
        config.candidates,
        config.solver,
        share=size / config.candidates / config.batch,
    )
    parts: list[Carry] = []
    metrics: list[dict[str, Tensor]] = []
    for part in range(config.accumulate):
        segment = run_segment(reasoner, carry.rows(slice(part * size, (part + 1) * size)), supervision)
        (segment.loss / config.batch).backward()
        parts.append(segment.carry)
        metrics.append(segment.metrics)
    sums = {name: torch.stack([part[name] for part in metrics]).sum(0) for name in metrics[0]}
    return Carry.join(parts), sums
