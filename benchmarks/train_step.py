"""Speed of a whole training step: our paths against a plain one (`plain.py`), two published models.

    python benchmarks/train_step.py --model sudoku --batch 16

A step is one turn of EqR's Algorithm 1 in the midst of a run, rows being of all ages: free rows take new
problems (Sudoku boards under a symmetry) and random states, all rows advance by one iteration of which the
last slow cycle carries gradient, and loss, backward pass, optimizer and average of the weights follow.

    plain      eager, parameter by parameter, as read off the page
    eager      ours
    compiled   ours with training.compiled=true, every kernel launched one by one
    fast       the same, on CUDA alone: the segment replayed as one recorded graph
"""

from dataclasses import replace
from pathlib import Path

import measure
import plain
import report
import torch

from equilibria.dynamics.noise import NoiseSource
from equilibria.tasks import Problems, Splits
from equilibria.training.launch import Launch
from equilibria.training.trainer import Run, Training

BATCHES = {
    "cpu": {"sudoku": (16, 4), "maze": (2,)},
    "cuda": {"sudoku": (768, 96), "maze": (768, 96)},
}


def plain_training(case: measure.Case) -> plain.Training:
    """A plain run, its rows filled."""
    return plain.Training(
        case.model,
        case.weights(),
        case.problems(measure.PROBLEMS),
        case.batch,
        case.precision.dtype,
        vary=plain.sudoku_symmetry if case.name == "sudoku" else None,
    )


def our_training(case: measure.Case, *overrides: str, record: bool = False) -> Training:
    """Our run, its rows filled: `overrides` of the recipe; `record`: whether CUDA graphs are allowed."""
    recipe = case.recipe(
        f"training.batch={case.batch}", f"training.precision={case.precision.value}", *overrides
    )
    tokens, targets = (part.to(torch.uint8).cpu() for part in case.problems(measure.PROBLEMS))
    problems = Problems(tokens, targets, ("random",) * measure.PROBLEMS)
    training = Training(
        case.reasoner(*overrides).train(),
        recipe.build_task(),  # asked for its symmetries alone, which is why it may stand in for mazes
        Splits(problems, problems, "random"),
        recipe.training,
        Run(Path(), "", lambda *_: None, augment=case.name == "sudoku"),  # a step writes nothing
        Launch(case.device.type),
    )
    training.rolling.record = training.rolling.record and record
    fill(training)
    return training


@torch.no_grad()
def fill(training: Training) -> None:
    """Give every row a problem at an age of its own; the rows of a new run would be free all at once."""
    rolling, reasoner = training.rolling, training.reasoner
    arriving, depth = rolling.sampler.at(0), training.config.depth
    state = reasoner.initial_state(reasoner.encode(arriving.inputs), NoiseSource(arriving.keys))
    filled = rolling.carry.refill(arriving, state, rolling.carry.memory)
    rows = len(filled.steps)
    ages = torch.arange(rows, device=filled.steps.device) * depth // rows
    rolling.carry.overwrite(replace(filled, steps=ages))


def paths(case: measure.Case) -> measure.Paths:
    compiled = "training.compiled=true"
    found: measure.Paths = {
        "plain": lambda: plain_training(case).step,
        "eager": lambda: our_training(case).step,
        "compiled": lambda: our_training(case, compiled).step,
    }
    if case.device.type == "cuda":
        found["fast"] = lambda: our_training(case, compiled, record=True).step
    return found


if __name__ == "__main__":
    about = "Milliseconds of a whole training step: plain, ours, ours compiled, ours recorded."
    report.command(measure.Benchmark("train_step", about, BATCHES, paths))
