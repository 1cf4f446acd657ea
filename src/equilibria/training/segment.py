"""One training segment: iterate, supervise, decide who halts (EqR Alg. 1, one turn of its loop)."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from equilibria.dynamics.halting import Halting, Memory, Signals
from equilibria.dynamics.solvers import Picard, Solver
from equilibria.reasoners.advance import Advance, Position, Rollout
from equilibria.reasoners.interface import Condition, Prediction, Reasoner
from equilibria.training.carry import Carry
from equilibria.training.losses import IGNORE, Objective, answer_loss, is_correct
from equilibria.training.schedules import Schedule

EXPLORATION_STREAM = 1 << 21  # draws of the halting exploration, apart from those of states and paths


@dataclass(frozen=True)
class Supervision:
    """How a segment is judged.

    Attributes:
        schedule: how a segment advances, and where gradient flows.
        halting: who stops early, and the loss of deciding it.
        depth: iterations after which every row makes room.
        objective: cross-entropy of the answer.
        smoothing: label smoothing.
        candidates: trajectories of one problem, next to each other in the batch.
        solver: how the map is iterated.
        share: part of the global batch that these rows are. A penalty is a mean over rows, so it counts for
            as much.
    """

    schedule: Schedule
    halting: Halting
    depth: int
    objective: Objective = "stablemax"
    smoothing: float = 0.0
    candidates: int = 1
    solver: Solver = field(default_factory=Picard)
    share: float = 1.0


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
    """Advance every row of a refilled carry by one segment and supervise its anchors.

    With K candidates all K trajectories of a problem advance, but only the one of the lowest loss is
    learned from: it alone is run again, with gradient ("Speed is Confidence", arXiv 2601.19085). Its
    halting decision holds for all K.
    """
    if supervision.candidates == 1:
        everyone, learned = None, carry
    else:
        with torch.no_grad():
            everyone = _Work.of(reasoner, carry, supervision)
            last = everyone.anchors[-1]
            prediction = reasoner.decode(last.answer, everyone.condition)
            loss = answer_loss(prediction.logits, carry.batch.targets, supervision.objective)
            best = loss.view(-1, supervision.candidates).argmin(dim=1)
        learned = carry.rows(torch.arange(0, len(loss), supervision.candidates, device=loss.device) + best)
    work = _Work.of(reasoner, learned, supervision)
    views = [work.view(place) for place in range(len(work.anchors))]
    losses: list[Tensor] = []
    for place, (prediction, signals) in enumerate(views):
        targets, penalty = learned.batch.targets, work.anchors[place].step.penalty
        answer = answer_loss(prediction.logits, targets, supervision.objective, supervision.smoothing).sum()
        deciding = supervision.halting.loss(signals, partial(work.peek, place)).sum()
        total = answer + deciding
        losses.append(total if penalty is None else total + supervision.share * penalty)
    loss = torch.stack(losses).mean() if len(losses) > 1 else losses[0]
    anchor, (prediction, signals) = work.anchors[-1], views[-1]
    with torch.no_grad():
        halted, memory = work.halts(signals)
        reached = anchor.position
        if everyone is None:
            after = carry.next(reached.state, reached.memory | memory, halted, work.interval)
        else:
            reached = everyone.anchors[-1].position
            count = supervision.candidates
            shared = {name: value.repeat_interleave(count, dim=0) for name, value in memory.items()}
            freed = halted.repeat_interleave(count)
            after = carry.next(reached.state, reached.memory | shared, freed, work.interval)
        metrics = _metrics(learned, prediction, signals, halted, loss)
        metrics["residual"] = anchor.step.residual.sum()
    return Segment(loss, after, metrics)


@dataclass(frozen=True)
class _Work:
    """What one segment of some rows computed."""

    carry: Carry
    supervision: Supervision
    rollout: Rollout
    interval: int
    anchors: list[Advance]

    @classmethod
    def of(cls, reasoner: Reasoner[Any], carry: Carry, supervision: Supervision) -> "_Work":
        """Run it."""
        condition = reasoner.encode(carry.batch.inputs, carry.batch.identifiers)
        rollout = Rollout(reasoner, supervision.solver, condition, carry.noise(), carry.steps)
        state = carry.state
        if reasoner.learns_initial_state:
            fresh = reasoner.initial_state(condition, carry.noise())
            state = torch.where((carry.steps == 0).view(-1, 1, 1, 1), fresh, state)
        anchors = supervision.schedule.run(rollout, Position(state, carry.memory), supervision.depth)
        return cls(carry, supervision, rollout, supervision.schedule.interval(supervision.depth), anchors)

    @property
    def condition(self) -> Condition:
        return self.rollout.condition

    @property
    def steps(self) -> Tensor:
        """Iterations that rows have done when the segment is over."""
        return self.carry.steps + self.interval

    def view(self, place: int) -> tuple[Prediction, Signals]:
        """What an anchor predicts, and what the halting rule sees there, labels included."""
        anchor, steps = self.anchors[place], self.steps - (len(self.anchors) - 1 - place)
        prediction = self.rollout.reasoner.decode(anchor.answer, self.condition)
        with torch.no_grad():
            correct = is_correct(prediction.logits, self.carry.batch.targets)
        final = steps >= self.supervision.depth
        return prediction, replace(anchor.signals(prediction, steps), correct=correct, final=final)

    @torch.no_grad()
    def peek(self, place: int) -> Signals:
        """What the rule sees one anchor after that at `place`: after the last, one segment later."""
        if place + 1 < len(self.anchors):
            return self.view(place + 1)[1]
        advance = self.anchors[-1]
        for ahead in range(self.interval):
            advance = self.rollout(advance.position, self.interval + ahead)
        prediction = self.rollout.reasoner.decode(advance.answer, self.condition)
        return advance.signals(prediction, self.steps + self.interval)

    def halts(self, signals: Signals) -> tuple[Tensor, Memory]:
        """Which rows make room, and what the halting rule remembers of all."""
        halting, depth = self.supervision.halting, self.supervision.depth
        halted, memory = self.steps >= depth, self.carry.memory
        if depth > self.interval:
            own, memory = halting.halts(signals, memory)
            uniform = self.carry.noise().uniform(EXPLORATION_STREAM, 2)
            segments = -(-depth // self.interval)
            halted = halting.explore(halted | own, self.steps // self.interval, segments, uniform)
        remembered = halting.init(len(halted), halted.device)
        return halted, {name: memory[name] for name in remembered}


def _metrics(
    carry: Carry, prediction: Prediction, signals: Signals, halted: Tensor, loss: Tensor
) -> dict[str, Tensor]:
    """Sums over rows; those of finished problems count only rows that halted and had targets."""
    targets = carry.batch.targets
    assert signals.correct is not None
    asked = targets != IGNORE
    finished = halted & asked.any(dim=1)
    right = (prediction.logits.argmax(-1) == targets) & asked
    token_accuracy = right.sum(1) / asked.sum(1).clamp(min=1)
    metrics = {
        "rows": torch.ones_like(halted).sum(),
        "loss": loss.detach().double(),
        "finished": finished.sum(),
        "exact": (finished & signals.correct).sum(),
        "token_accuracy": torch.where(finished, token_accuracy, 0.0).sum(),
        "steps": torch.where(finished, signals.steps, 0).sum(),
    }
    if prediction.halt_logit is not None:
        metrics["halt_right"] = (finished & ((prediction.halt_logit > 0) == signals.correct)).sum()
    return metrics
