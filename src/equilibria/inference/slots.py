"""Continuous batching: a fixed number of slots, each running one trajectory of one problem.

A trajectory that ends leaves its slot, and the next one that is ready takes it in the same tick, on the
device: shapes never change and nothing waits for the host, which looks in every few ticks (EqR Sec. 6.3
describes such a queue; FPRM leaves it for later).
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from equilibria.dynamics.halting import Halting
from equilibria.dynamics.noise import NoiseSource, fingerprint
from equilibria.dynamics.norms import across
from equilibria.dynamics.solvers import Solver
from equilibria.inference.turnover import NO_TICKET, Direct, Rows, Static
from equilibria.reasoners.advance import Position, Rollout
from equilibria.reasoners.interface import Condition, Reasoner

WINDOW = 3
"""L: how many last iterations a convergence score averages over (EqR App. D.3)."""

FACTS = ("residual", "logit_change", "halt_logit", "evaluations", "halted")
"""What is told of a trajectory beside its answer; see `End`."""
NOW = ("answer", "residuals", "changes", "score", "evaluations", "halted")
"""What is known of a trajectory after an iteration, from which that is told."""
CONDITION, SOLVER, HALTING = "condition.", "solver.", "halting."


class Trajectory(NamedTuple):
    """One to be run.

    Attributes:
        ticket: a number to recognise it by.
        tokens: `[tokens]` its problem.
        restart: which restart of the problem; its draws depend on (seed, problem, restart) alone.
        limit: iterations it may have.
        identifier: the problem's puzzle identity, or None.
        problem: its place in the call; nothing that is computed depends on it.
    """

    ticket: int
    tokens: Tensor
    restart: int
    limit: int
    identifier: Tensor | None = None
    problem: int = -1


class End(NamedTuple):
    """Where one stood when it ended; lists are by mark, a depth that was asked for.

    Attributes:
        ticket: as of the trajectory.
        steps: iterations it ran.
        answers: `[marks, tokens]` uint8, on the CPU.
        facts: by mark, the numbers named by `FACTS`. residual: mean of `‖z_{k+1} − z_k‖₂` over its last
            `WINDOW` iterations; logit_change: mean over those and all tokens of the Euclidean change of the
            logits of a token (the score of the published evaluator; NaN after one iteration); halt_logit:
            of the halting head, NaN where there is none; evaluations: applications of f; halted: 1 where a
            rule ended it.
    """

    ticket: int
    steps: int
    answers: Tensor
    facts: list[list[float]]


class Slots:
    """The trajectories that run side by side, those that wait for a place, and those that have ended.

    Args:
        reasoner: the map, on its device.
        solver: how it is iterated.
        halting: which trajectories end before their limit.
        seed: of all draws.
        tokens: of a problem; a family may take more or fewer than it was built for.
        marks: depths at which a trajectory is looked at, ascending; the last may be beyond all limits.
        count: slots.
        ready: places for trajectories that wait; no more than these can start between two looks of the host.
        every: ticks between two looks.
    """

    def __init__(
        self,
        reasoner: Reasoner[Any],
        solver: Solver,
        halting: Halting,
        *,
        seed: int,
        tokens: int,
        marks: Sequence[int],
        count: int,
        ready: int,
        every: int = 1,
    ) -> None:
        self.reasoner, self.solver, self.halting, self.seed = reasoner, solver, halting, seed
        self.count, self.ready, self.every = count, ready, every
        self.device = next(reasoner.parameters()).device
        self.marks = tuple(marks)
        self._turns = torch.eye(WINDOW, dtype=torch.bool, device=self.device)
        blank = [
            Trajectory(NO_TICKET, torch.zeros(tokens, dtype=torch.uint8), 0, 0)
            for _ in range(max(count, ready))
        ]
        self._template, idle = self._prepare(blank)
        self._rows = {name: value[:count].clone() for name, value in idle.items()}
        waiting = {name: value[:ready].clone() for name, value in idle.items()}
        # Where looking is free, only the rows that change are touched.
        self._turnover = (Direct if self.device.type == "cpu" else Static)(
            self._rows, waiting, self._kept(), every
        )
        self.given, self.started, self.finished = 0, 0, 0
        self.slot_ticks = 0
        self._busy = torch.zeros((), dtype=torch.int64, device=self.device)

    @property
    def busy_ticks(self) -> int:
        """Iterations that slots ran for a trajectory. Waits for the device."""
        return int(self._busy)

    @property
    def vacant(self) -> int:
        """Trajectories that may be given now."""
        return self.ready - self.waiting

    @property
    def waiting(self) -> int:
        """Trajectories that have no slot yet."""
        return self.given - self.started

    @property
    def running(self) -> int:
        """Slots at work when the host last looked."""
        return self.started - self.finished

    @torch.inference_mode()
    def give(self, trajectories: Sequence[Trajectory]) -> None:
        """Make trajectories ready to start, no more than are `vacant`."""
        _, rows = self._prepare(trajectories)
        self._turnover.give(rows, self.given)
        self.given += len(trajectories)

    @torch.inference_mode()
    def start(self) -> None:
        """Let waiting trajectories take free slots now, not only when a tick has ended."""
        idle = self._rows["ticket"] == NO_TICKET
        self._rows = self._turnover.turn(self._rows, torch.zeros_like(idle), idle)
        self.started += min(self.count - self.running, self.waiting)

    @torch.inference_mode()
    def tick(self) -> None:
        """One iteration of every slot. Never waits for the device (but where an iteration solves inside)."""
        self.slot_ticks += self.count
        rows, _, ended, free = self._iterate(self._rows)
        self._rows = self._turnover.turn(rows, ended, free)

    def _iterate(self, rows: Rows) -> tuple[Rows, Tensor, Tensor, Tensor]:
        """One iteration: the rows after it; `[slots]` its residuals, who has ended, who does not go on."""
        condition = self._condition(rows)
        position = Position(rows["state"], _part(rows, SOLVER))
        rollout = Rollout(self.reasoner, self.solver, condition, NoiseSource(rows["key"]), rows["steps"])
        advance = rollout(position)
        prediction = self.reasoner.decode(advance.answer, condition)
        steps = rows["steps"] + 1
        halted, remembered = self.halting.halts(advance.signals(prediction, steps), _part(rows, HALTING))

        recent = self._turns[rows["steps"] % WINDOW]
        logits = prediction.logits
        # Before the first iteration logits are NaN, and so is their change.
        change = torch.linalg.vector_norm((logits - rows["logits"]).float(), dim=-1).mean(dim=1)
        score = torch.full_like(change, torch.nan) if prediction.halt_logit is None else prediction.halt_logit
        now = {
            "answer": logits.argmax(dim=-1).to(torch.uint8),
            "residuals": torch.where(recent, advance.step.residual[:, None], rows["residuals"]),
            "changes": torch.where(recent, change[:, None], rows["changes"]),
            "score": score,
            "evaluations": rows["evaluations"] + advance.step.evaluations,
            "halted": halted,
        }
        # A mark holds what was there when it was reached, or at the end where that came first.
        for mark in self.marks[:-1]:
            open_, prefix = steps <= mark, _mark(mark)
            for name in NOW:
                marked = rows[prefix + name]
                rows = rows | {prefix + name: torch.where(across(open_, marked), now[name], marked)}
        rows = rows | now
        rows |= {"state": advance.position.state, "steps": steps, "logits": logits}
        rows |= _named(SOLVER, advance.position.memory) | _named(HALTING, remembered)
        busy = rows["ticket"] != NO_TICKET
        self._busy = self._busy + busy.sum()
        ended = busy & (halted | (steps >= rows["limit"]))
        return rows, advance.step.residual, ended, ended | ~busy

    @torch.inference_mode()
    def fetch(self) -> list[End]:
        """The trajectories that ended since the last look, in the order they did. Waits for the device."""
        gone, self.started = self._turnover.fetch()
        ends = self._ends(gone) if gone else []
        self.finished += len(ends)
        return ends

    @torch.inference_mode()
    def unfinished(self) -> list[End]:
        """Trajectories in the slots as they stand, those left out that have not run yet."""
        rows = self._rows
        there = (rows["ticket"] != NO_TICKET) & (rows["steps"] > 0)
        return self._ends({name: rows[name][there] for name in self._kept()})

    @torch.inference_mode()
    def limit(self, limits: dict[int, int]) -> None:
        """Lower the limits of some trajectories, by ticket; one past its own ends at its next tick."""
        tickets = torch.tensor(list(limits), device=self.device)
        bounds = torch.tensor(list(limits.values()), device=self.device)
        for rows in (self._rows, self._turnover.waiting):
            same = rows["ticket"][:, None] == tickets
            bound = torch.where(same, bounds, torch.iinfo(torch.int64).max).amin(dim=1)
            rows["limit"] = torch.minimum(rows["limit"], bound)

    @torch.inference_mode()
    def shrink(self, count: int) -> None:
        """Go on with so few slots, which must hold all that run. Waits for the device."""
        busy = self._rows["ticket"] != NO_TICKET
        order = busy.nonzero().squeeze(1)[:count]
        self._rows = {name: value[order] for name, value in self._rows.items()}
        self.count = count

    @torch.inference_mode()
    def _prepare(self, trajectories: Sequence[Trajectory]) -> tuple[Condition, Rows]:
        """Encode, draw initial states, forget everything else."""
        device, count = self.device, len(trajectories)
        tokens = torch.stack([t.tokens for t in trajectories]).to(device, torch.uint8)
        numbers = [(t.ticket, t.restart, t.limit) for t in trajectories]
        ticket, restart, limit = torch.tensor(numbers, device=device).unbind(dim=1)
        names = [t.identifier for t in trajectories if t.identifier is not None]
        source = NoiseSource.trajectories(self.seed, fingerprint(tokens), restart)
        condition = self.reasoner.encode(tokens, torch.stack(names).to(device) if names else None)
        state = self.reasoner.initial_state(condition, source)
        given = {name: getattr(condition, name) for name in _tensors(condition)}
        values, dtype = self.reasoner.shape.vocabulary, self.reasoner.compute_dtype
        whole = torch.zeros(count, dtype=torch.int64, device=device)
        unknown = torch.full((count, WINDOW), torch.nan, device=device)
        logits = torch.full((*tokens.shape, values), torch.nan, dtype=dtype, device=device)
        now = {
            "answer": torch.zeros_like(tokens),
            "residuals": unknown,
            "changes": unknown,
            "score": unknown[:, 0],
            "evaluations": whole,
            "halted": whole.bool(),
        }
        marked = {_mark(mark) + name: value for mark in self.marks[:-1] for name, value in now.items()}
        return condition, {
            "ticket": ticket,
            "key": source.keys,
            "limit": limit,
            "steps": whole,
            "state": state,
            "logits": logits,
            **now,
            **marked,
            **_named(CONDITION, given),
            **_named(SOLVER, self.solver.init(state)),
            **_named(HALTING, self.halting.init(count, device)),
        }

    def _kept(self) -> list[str]:
        """Names of what is kept of a trajectory that has ended."""
        prefixes = [*(_mark(mark) for mark in self.marks[:-1]), ""]
        return ["ticket", "steps", *(prefix + name for prefix in prefixes for name in NOW)]

    def _ends(self, gone: Rows) -> list[End]:
        gone = {name: value.cpu() for name, value in gone.items()}
        answers, facts = [], []
        for prefix in [*(_mark(mark) for mark in self.marks[:-1]), ""]:
            now = {name: gone[prefix + name] for name in NOW}
            means = [now[name].nanmean(dim=1) for name in ("residuals", "changes")]
            others = [now[name].float() for name in ("score", "evaluations", "halted")]
            answers.append(now["answer"])
            facts.append(torch.stack([*means, *others], dim=1))
        told = torch.stack(facts, dim=1).tolist()
        numbers = (gone[name].tolist() for name in ("ticket", "steps"))
        return [End(*row) for row in zip(*numbers, torch.stack(answers, dim=1), told, strict=True)]

    def _condition(self, rows: Rows) -> Condition:
        return replace(self._template, **_part(rows, CONDITION))


def _tensors(condition: Condition) -> list[str]:
    return [field.name for field in fields(condition) if isinstance(getattr(condition, field.name), Tensor)]


def _named(prefix: str, tensors: dict[str, Tensor]) -> Rows:
    return {prefix + name: value for name, value in tensors.items()}


def _part(rows: Rows, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in rows.items() if name.startswith(prefix)}


def _mark(mark: int) -> str:
    return f"mark {mark}."
