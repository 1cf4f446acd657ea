"""Training from the first step to the last: the papers' Algorithm 1 with what a real run needs around it."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from equilibria.diagnostics.metrics import exactly_right
from equilibria.diagnostics.validity import valid_answers
from equilibria.dynamics.solvers import Picard, Solver
from equilibria.errors import TrainingError
from equilibria.inference.engine import Engine
from equilibria.reasoners.interface import Reasoner
from equilibria.tasks.interface import Task
from equilibria.tasks.splits import Splits
from equilibria.training.average import ExponentialAverage
from equilibria.training.carry import Carry
from equilibria.training.config import TrainingConfig
from equilibria.training.launch import Launch
from equilibria.training.log import RunLog
from equilibria.training.optimizers import build_optimizers, rate, set_rate
from equilibria.training.rolling import RollingBatch
from equilibria.training.sampler import Sampler
from equilibria.training.state import Progress, load_state, save_state
from equilibria.training.stopping import stop_on_signals


@dataclass(frozen=True)
class Run:
    """What surrounds a training run.

    Attributes:
        folder: where `state.safetensors`, `last/`, `best/` and the logs go.
        identity: hash of recipe and data; a run resumes only under the same.
        save_model: writes the reasoner as it stands, averaged, as a checkpoint folder of that name.
        solver: how the map is iterated when it is evaluated.
        augment: whether problems are varied by their symmetries.
        resume: go on from `state.safetensors`.
        first_step: where a new run begins to count, if it continues the weights of an earlier one.
        minutes: after so many from now, save and stop; evaluations and saves included. None: no limit.
        quiet: say nothing.
    """

    folder: Path
    identity: str
    save_model: Callable[[str, Progress], None]
    solver: Solver = Picard()
    augment: bool = True
    resume: bool = False
    first_step: int = 0
    minutes: float | None = None
    quiet: bool = False

    @property
    def state(self) -> Path:
        """The file a run resumes from."""
        return self.folder / "state.safetensors"


def train(
    reasoner: Reasoner[Any], task: Task, splits: Splits, config: TrainingConfig, run: Run, launch: Launch
) -> Progress:
    """Train `reasoner` in place by segmented online training; afterwards it holds the averaged weights.

    Raises:
        TrainingError: the loss stopped being finite, or the batch does not divide over processes.
        CheckpointError: there is nothing to resume, or it belongs to another recipe or data set.
    """
    return Training(reasoner, task, splits, config, run, launch).loop()


class Training:
    """A run: what is trained, and everything that changes while it is."""

    def __init__(
        self,
        reasoner: Reasoner[Any],
        task: Task,
        splits: Splits,
        config: TrainingConfig,
        run: Run,
        launch: Launch,
    ) -> None:
        self.began = time.perf_counter()
        share = launch.share(config.batch, config.accumulate)
        reasoner.to(launch.device).compute_in(launch.dtype(config.precision))
        self.reasoner, self.held_out, self.config = reasoner, splits.held_out, config
        self.task = task
        self.run, self.launch = run, launch
        self.weights = reasoner.dense_parameters()
        self.optimizers = build_optimizers(reasoner, config.optimizer)
        self.average = ExponentialAverage(self.weights, config.average)
        sampler = Sampler(
            splits.train,
            task,
            batch=config.batch,
            share=share,
            seed=config.seed,
            augment=run.augment,
            device=launch.device,
        )
        carry: Carry | None = None
        self.progress = Progress(run.identity, step=run.first_step, restarted=run.first_step)
        if run.resume:
            rows = slice(share.start * config.candidates, share.stop * config.candidates)
            carry, self.progress = load_state(
                run.state, reasoner, self.optimizers, self.average, rows, run.identity
            )
        if config.compiled:
            reasoner.compiled()
        self.rolling = RollingBatch(reasoner, sampler, config, carry)

    def loop(self) -> Progress:
        """Step until done or asked to stop, logging, evaluating and saving on the way."""
        config, progress = self.config, self.progress
        log = RunLog(self.run.folder, progress.step, config.steps, self.run.quiet, self.launch.is_main)
        self.reasoner.train()
        with stop_on_signals() as stop, log:
            clock = time.perf_counter()
            while progress.step < config.steps and not self.launch.any(bool(stop) or self.late()):
                self.step()
                due = {
                    name: progress.step % every == 0 or progress.step == config.steps
                    for name, every in (
                        ("log", config.log_every),
                        ("evaluate", config.evaluate_every),
                        ("save", config.save_every),
                    )
                }
                if not any(due.values()):
                    continue
                facts = self.facts()  # waits for the device, so the clock counts work that is done
                progress.seconds += time.perf_counter() - clock
                log.record(progress.step, facts | self.speed())
                if due["evaluate"]:
                    clock = time.perf_counter()
                    log.record(progress.step, self.evaluate())
                    progress.evaluation_seconds += time.perf_counter() - clock
                if due["save"]:
                    self.save()
                clock = time.perf_counter()
            if progress.step < config.steps:
                self.launch.finish()
                progress.seconds += time.perf_counter() - clock
                self.save()
                log.say(
                    f"{'time is up' if self.late() else 'stopped'} at step {progress.step:,} of "
                    f"{config.steps:,}: everything is saved, go on with --resume"
                )
            log.say(
                f"{progress.seconds / 60:.1f} minutes of training, "
                f"{progress.evaluation_seconds / 60:.1f} of evaluation"
            )
        self.average.store(self.average.shadow)
        self.rolling.leave()
        self.reasoner.eval()
        return progress

    def step(self) -> None:
        """One segment: free rows take fresh problems, all rows iterate once, the loss of where they stand
        moves the weights, and rows that are done become free (one turn of EqR Alg. 1)."""
        number, config = self.progress.step + 1, self.config
        set_rate(self.optimizers, rate(number, config.steps, config.optimizer, self.progress.restarted))
        self.rolling.advance(self.progress.step)
        self.check_finite(number)
        self.launch.sum_gradients([*self.weights, *self.reasoner.identity_parameters()])
        if config.optimizer.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.weights, config.optimizer.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.average.update(follow=number <= config.average_from * config.steps)
        self.progress.step = number

    def late(self) -> bool:
        """Whether the time given is used up."""
        minutes = self.run.minutes
        return minutes is not None and time.perf_counter() - self.began > 60 * minutes

    def facts(self) -> dict[str, float]:
        """What is logged of the steps since the last time."""
        totals = self.launch.sum_metrics(self.rolling.totals)
        self.rolling.clear()
        return self.rolling.facts(totals)

    def speed(self) -> dict[str, float]:
        """The rates at which the run goes."""
        progress = self.progress
        return {
            "lr": self.optimizers[-1].param_groups[0]["lr"],
            "steps_per_second": (progress.step - progress.restarted) / max(progress.seconds, 1e-9),
        }

    def evaluate(self) -> dict[str, float]:
        """Accuracy of the averaged weights on held-out problems, at the trained depth and breadth 1.

        Where it is the best so far, the weights are kept as the run's best checkpoint. Where a label is not
        the only right answer, the share of answers that keep the rules is said as well.
        """
        # A trial run of a few steps is not worth an evaluation that takes a thousand times as long.
        trained_on = self.progress.step * self.config.batch
        problems = self.held_out[: min(self.config.evaluate_problems, trained_on)]
        assert problems.labels is not None
        self.reasoner.eval()
        with self.average.applied(), self.rolling.as_recipe():
            engine = Engine(self.reasoner, solver=self.run.solver)
            (pool,) = engine.pools(
                problems.inputs, depths=(self.config.depth,), breadth=1, identifiers=problems.identifiers
            )
            asked = problems.labels != 0
            right = (pool.answers[:, 0] == problems.labels) & asked
            accuracy = exactly_right(pool.answers[:, 0], problems.labels).double().mean().item()
            tokens = float((right.sum(dim=1) / asked.sum(dim=1).clamp(min=1)).sum())
            valid = valid_answers(self.task, problems.inputs, pool.answers)
            if self.progress.best is None or accuracy > self.progress.best:
                self.progress.best, self.progress.best_step = accuracy, self.progress.step
                if self.launch.is_main:
                    self.run.save_model("best", self.progress)
        self.reasoner.train()
        facts = {"held_out_exact": accuracy, "held_out_tokens": tokens / len(problems)}
        return facts if valid is None else facts | {"held_out_valid": valid.double().mean().item()}

    def save(self) -> None:
        """The whole state first, then the averaged weights as a checkpoint anyone can load."""
        carry = self.launch.gather_carry(self.rolling.carry)
        if self.launch.is_main:
            save_state(self.run.state, self.reasoner, self.optimizers, self.average, carry, self.progress)
            with self.average.applied():
                self.run.save_model("last", self.progress)
        self.launch.wait()

    def check_finite(self, step: int) -> None:
        """Stop on a loss that is not finite: at once on a CPU, before the next log or save elsewhere."""
        config = self.config
        looked_at = step == config.steps or not all(
            step % every for every in (config.log_every, config.evaluate_every, config.save_every)
        )
        if self.launch.device.type != "cpu" and not looked_at:
            return
        loss = self.rolling.totals["loss"]
        if torch.isfinite(loss):
            return
        digest = hashlib.sha256(self.rolling.carry.batch.inputs.cpu().numpy().tobytes()).hexdigest()[:16]
        raise TrainingError(
            f"the loss is {loss.item()} at step {step} (batch {digest}); the last saved state is untouched. "
            "Try a lower training.optimizer.lr, a longer training.optimizer.warmup, "
            "training.optimizer.clip=1.0, or training.precision=fp32, and resume"
        )
