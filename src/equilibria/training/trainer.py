"""Training from the first step to the last: the papers' Algorithm 1 with what a real run needs around it."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from equilibria.dynamics.noise import NoiseSource
from equilibria.errors import TrainingError
from equilibria.inference.engine import Engine
from equilibria.reasoners.interface import Reasoner
from equilibria.tasks.interface import Problems, Task
from equilibria.tasks.splits import Splits
from equilibria.training.average import ExponentialAverage
from equilibria.training.carry import Carry
from equilibria.training.config import TrainingConfig
from equilibria.training.launch import Launch
from equilibria.training.log import RunLog
from equilibria.training.optimizers import build_optimizers, rate, set_rate
from equilibria.training.sampler import Sampler
from equilibria.training.segment import run_segment
from equilibria.training.state import Progress, load_state, save_state
from equilibria.training.stopping import StopRequest, stop_on_signals


@dataclass(frozen=True)
class Run:
    """What surrounds a training run.

    Attributes:
        folder: where `state.safetensors`, `last/`, `best/` and the logs go.
        identity: hash of recipe and data; a run resumes only under the same.
        save_model: writes the reasoner as it stands, averaged, as a checkpoint folder of that name.
        augment: whether problems are varied by their symmetries.
        resume: go on from `state.safetensors`.
        quiet: say nothing.
    """

    folder: Path
    identity: str
    save_model: Callable[[str, Progress], None]
    augment: bool = True
    resume: bool = False
    quiet: bool = False

    @property
    def state(self) -> Path:
        """The file a run resumes from."""
        return self.folder / "state.safetensors"


def train(
    reasoner: Reasoner[Any], task: Task, splits: Splits, config: TrainingConfig, run: Run, launch: Launch
) -> Progress:
    """Train `reasoner` in place by segmented online training; afterwards it holds the averaged weights.

    Every turn of the loop is one segment: free rows take fresh problems, all rows iterate once, the loss
    of where they stand moves the weights, and rows that are done become free (EqR Alg. 1).

    Raises:
        TrainingError: the loss stopped being finite, or the batch does not divide over processes.
        CheckpointError: there is nothing to resume, or it belongs to another recipe or data set.
    """
    share = launch.share(config.batch, config.accumulate)
    reasoner.to(launch.device).compute_in(launch.dtype(config.precision))
    weights = reasoner.dense_parameters()
    optimizers = build_optimizers(reasoner, config.optimizer)
    average = ExponentialAverage(weights, config.average)
    sampler = Sampler(
        splits.train,
        task,
        batch=config.batch,
        share=share,
        seed=config.seed,
        augment=run.augment,
        device=launch.device,
    )
    if run.resume:
        carry, progress = load_state(run.state, reasoner, optimizers, average, share, run.identity)
    else:
        rows = share.stop - share.start
        carry, progress = Carry.free(reasoner, rows, launch.device), Progress(run.identity)

    log = RunLog(run.folder, progress.step, config.steps, run.quiet) if launch.is_main else None
    totals: dict[str, Tensor] = {}
    clock = time.perf_counter()
    reasoner.train()
    with stop_on_signals() as stop:
        while progress.step < config.steps and not launch.any(bool(stop)):
            step = progress.step + 1
            set_rate(optimizers, rate(step, config.steps, config.optimizer))
            arriving = sampler.at(progress.step)
            with torch.no_grad():
                condition = reasoner.encode(arriving.inputs, arriving.identifiers)
                fresh = reasoner.initial_state(condition, NoiseSource(arriving.keys))
            carry = carry.refill(arriving, fresh)
            carry, metrics = backward(reasoner, carry, config)
            _check_finite(metrics, carry, step, config, launch)
            launch.sum_gradients([*weights, *reasoner.identity_parameters()])
            if config.optimizer.clip is not None:
                torch.nn.utils.clip_grad_norm_(weights, config.optimizer.clip)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            average.update()

            progress.step = step
            totals = {name: totals.get(name, 0.0) + value for name, value in metrics.items()}
            if step % config.log_every == 0 or step == config.steps:
                clock = _tick(progress, clock)
                facts = summarise(launch.sum_metrics(totals), reasoner) | {
                    "lr": optimizers[-1].param_groups[0]["lr"],
                    "steps_per_second": step / max(progress.seconds, 1e-9),
                }
                totals = {}
                if log is not None:
                    log.record(step, facts)
            if step % config.evaluate_every == 0 or step == config.steps:
                clock = _tick(progress, clock)
                accuracy = evaluate_periodically(reasoner, average, splits.held_out, config)
                improved = progress.best is None or accuracy > progress.best
                if improved:
                    progress.best, progress.best_step = accuracy, step
                if log is not None:
                    log.record(step, {"held_out_exact": accuracy})
                    if improved:
                        with average.applied():
                            run.save_model("best", progress)
                clock = time.perf_counter()
            if step % config.save_every == 0 or step == config.steps:
                clock = _tick(progress, clock)
                _save(reasoner, optimizers, average, carry, progress, run, launch)
                clock = time.perf_counter()
        _tick(progress, clock)
        _finish(stop, reasoner, optimizers, average, carry, progress, config, run, launch, log)
    average.store(average.shadow)
    reasoner.eval()
    return progress


def backward(
    reasoner: Reasoner[Any], carry: Carry, config: TrainingConfig
) -> tuple[Carry, dict[str, Tensor]]:
    """One segment of all rows and its gradients, part by part where gradients are accumulated.

    The loss is a sum over rows divided by the global batch, so parts and processes simply add up.
    """
    size = len(carry.steps) // config.accumulate
    parts: list[Carry] = []
    totals: dict[str, Tensor] = {}
    for part in range(config.accumulate):
        segment = run_segment(
            reasoner,
            carry.rows(slice(part * size, (part + 1) * size)),
            schedule=config.build_schedule(),
            halting=config.halting.build(),
            depth=min(config.depth, reasoner.max_depth or config.depth),
            objective=config.objective,
        )
        (segment.loss / config.batch).backward()
        parts.append(segment.carry)
        totals = {name: totals.get(name, 0.0) + value for name, value in segment.metrics.items()}
    return Carry.join(parts), totals


def summarise(totals: dict[str, float], reasoner: Reasoner[Any]) -> dict[str, float]:
    """Sums over an interval → what is logged: means per row, and per row that finished."""
    rows, finished = max(totals["rows"], 1.0), max(totals["finished"], 1.0)
    streams, tokens, width = reasoner.state_shape
    facts = {
        "loss": totals["loss"] / rows,
        "exact": totals["exact"] / finished,
        "tokens": totals["token_accuracy"] / finished,
        "halting_step": totals["steps"] / finished,
        "residual": totals["residual"] / rows / (streams * tokens * width) ** 0.5,
    }
    if "halt_right" in totals:
        facts["halting_accuracy"] = totals["halt_right"] / finished
    return facts


def evaluate_periodically(
    reasoner: Reasoner[Any], average: ExponentialAverage, held_out: Problems, config: TrainingConfig
) -> float:
    """Exact accuracy of the averaged weights on held-out problems, at the trained depth and breadth 1."""
    problems = held_out[: config.evaluate_problems]
    labels = problems.labels
    assert labels is not None
    right = 0
    reasoner.eval()
    with average.applied():
        for part, (pool,) in Engine(reasoner).pools(problems.inputs, depths=(config.depth,), breadth=1):
            asked = labels[part] != 0
            right += int(((pool.answers[:, 0] == labels[part]) | ~asked).all(dim=1).sum())
    reasoner.train()
    return right / len(problems)


def _tick(progress: Progress, since: float) -> float:
    """Add the time since the last tick to the run's training time."""
    now = time.perf_counter()
    progress.seconds += now - since
    return now


def _check_finite(
    metrics: dict[str, Tensor], carry: Carry, step: int, config: TrainingConfig, launch: Launch
) -> None:
    """Stop on a loss that is not finite: at once on a CPU, within a logging interval on a device."""
    if launch.device.type != "cpu" and step % config.log_every:
        return
    if torch.isfinite(metrics["loss"]):
        return
    digest = hashlib.sha256(carry.batch.inputs.cpu().numpy().tobytes()).hexdigest()[:16]
    raise TrainingError(
        f"the loss is {metrics['loss'].item()} at step {step} (batch {digest}); the last saved state is "
        "untouched. Try a lower training.optimizer.lr, a longer training.optimizer.warmup, "
        "training.optimizer.clip=1.0, or training.precision=fp32, and resume"
    )


def _save(
    reasoner: Reasoner[Any],
    optimizers: list[Optimizer],
    average: ExponentialAverage,
    carry: Carry,
    progress: Progress,
    run: Run,
    launch: Launch,
) -> None:
    """The whole state first, then the averaged weights as a checkpoint anyone can load."""
    tensors = launch.gather_carry(carry)
    if launch.is_main:
        save_state(run.state, reasoner, optimizers, average, tensors, progress)
        with average.applied():
            run.save_model("last", progress)
    launch.wait()


def _finish(
    stop: StopRequest,
    reasoner: Reasoner[Any],
    optimizers: list[Optimizer],
    average: ExponentialAverage,
    carry: Carry,
    progress: Progress,
    config: TrainingConfig,
    run: Run,
    launch: Launch,
    log: RunLog | None,
) -> None:
    """Save what a stop cut short, and say how it ended."""
    cut_short = progress.step < config.steps
    if cut_short:
        _save(reasoner, optimizers, average, carry, progress, run, launch)
    if log is not None:
        if cut_short:
            log.say(f"stopped at step {progress.step:,} of {config.steps:,} and saved; go on with --resume")
        log.close()
