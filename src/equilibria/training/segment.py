"""One training segment: iterate, supervise, decide who halts (EqR Alg. 1, one turn of its loop)."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from equilibria.dynamics.halting import FixedDepth, LearnedHead
from equilibria.dynamics.noise import NoiseSource
from equilibria.reasoners.interface import Condition, Prediction, Reasoner, Step
from equilibria.training.carry import Carry
from equilibria.training.losses import IGNORE, Objective, answer_loss, is_correct

EXPLORATION_STREAM = 1 << 21  # draws of the halting exploration, apart from those of states and paths


class Schedule(Protocol):
    """Where gradient flows between two losses: the seam other schedules fit in."""

    def advance(
        self, reasoner: Reasoner[Any], state: Tensor, condition: Condition, noise: NoiseSource
    ) -> Step: ...


@dataclass(frozen=True)
class SegmentedOnline:
    """Every iteration is a segment: supervised, and followed by an optimizer step (EqR Sec. 3, Eq. 10)."""

    def advance(
        self, reasoner: Reasoner[Any], state: Tensor, condition: Condition, noise: NoiseSource
    ) -> Step:
        """One iteration from a detached state."""
        return reasoner.iterate(state, condition, noise=noise)


@dataclass(frozen=True)
class Supervision:
    """How a segment is judged.

    Attributes:
        schedule: how a segment advances, and where gradient flows.
        halting: who stops early, and the loss of deciding it.
        depth: steps after which every row makes room.
        objective: cross-entropy of the answer.
        smoothing: label smoothing.
        candidates: trajectories of one problem, next to each other in the batch.
    """

    schedule: Schedule
    halting: FixedDepth | LearnedHead
    depth: int
    objective: Objective = "stablemax"
    smoothing: float = 0.0
    candidates: int = 1


@dataclass(frozen=True)
class Segment:
    """What a segment gave; every number is a sum over problems, still on the device.

    Attributes:
        loss: answer and halting loss, with gradient.
        carry: the rolling batch after it.
        metrics: sums by name; those of finished problems count only ones that halted with targets.
    """

    loss: Tensor
    carry: Carry
    metrics: dict[str, Tensor]


def run_segment(reasoner: Reasoner[Any], carry: Carry, supervision: Supervision) -> Segment:
    """Advance every row of a refilled carry by one segment and supervise it.

    With K candidates all K trajectories of a problem advance, but only the one of the lowest loss is
    learned from: it alone is run again, with gradient ("Speed is Confidence", arXiv 2601.19085). Its
    halting decision holds for all K.
    """
    if supervision.candidates == 1:
        state, learned = None, carry
    else:
        with torch.no_grad():
            step, prediction = _advance(reasoner, carry, supervision)
            loss = answer_loss(prediction.logits, carry.batch.targets, supervision.objective)
            best = loss.view(-1, supervision.candidates).argmin(dim=1)
        state = step.state
        chosen = torch.arange(0, len(loss), supervision.candidates, device=loss.device) + best
        learned = carry.rows(chosen)
    step, prediction = _advance(reasoner, learned, supervision)
    targets = learned.batch.targets
    with torch.no_grad():
        correct = is_correct(prediction.logits, targets)
    halting, depth = supervision.halting, supervision.depth
    answer = answer_loss(prediction.logits, targets, supervision.objective, supervision.smoothing).sum()
    decision = halting.loss(prediction.halt_logit, correct).sum()
    loss = answer + decision if step.penalty is None else answer + decision + step.penalty

    with torch.no_grad():
        steps = learned.steps + 1
        halted = steps >= depth
        if depth > 1:
            halted = halted | halting.halts(prediction.halt_logit, steps)
            uniform = learned.noise().uniform(EXPLORATION_STREAM, 2)
            halted = halting.explore(halted, steps, depth, uniform)
        if state is None:
            after = carry.next(step.state, halted)
        else:
            after = carry.next(state, halted.repeat_interleave(supervision.candidates))
        asked = targets != IGNORE
        finished = halted & asked.any(dim=1)
        right = (prediction.logits.argmax(-1) == targets) & asked
        token_accuracy = right.sum(1) / asked.sum(1).clamp(min=1)
        metrics = {
            "rows": torch.ones_like(halted).sum(),
            "loss": loss.detach().double(),
            "residual": step.residual.sum(),
            "finished": finished.sum(),
            "exact": (finished & correct).sum(),
            "token_accuracy": torch.where(finished, token_accuracy, 0.0).sum(),
            "steps": torch.where(finished, steps, 0).sum(),
        }
        if prediction.halt_logit is not None:
            metrics["halt_right"] = (finished & ((prediction.halt_logit > 0) == correct)).sum()
    return Segment(loss, after, metrics)


def _advance(reasoner: Reasoner[Any], carry: Carry, supervision: Supervision) -> tuple[Step, Prediction]:
    condition = reasoner.encode(carry.batch.inputs, carry.batch.identifiers)
    step = supervision.schedule.advance(reasoner, carry.state, condition, carry.noise())
    return step, reasoner.decode(step.state, condition)
