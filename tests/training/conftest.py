"""A recipe that trains in a second, and a way to compare where two runs stand."""

import json
import os

os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that these tests start

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from equilibria.recipes import Recipe, load_recipe

torch.set_num_threads(1)  # as in those processes: sums are then taken in the same order

# Whatever the shipped recipe is tuned to, these tests stand on the same ground.
TINY = (
    "task.box=[2,2]",
    "reasoner.width=16",
    "reasoner.layers=2",
    "reasoner.H_cycles=2",
    "reasoner.L_cycles=2",
    "reasoner.channel_inner=32",
    "reasoner.token_inner=16",
    "data.count=60",
    "data.held_out_count=20",
    "training.batch=16",
    "training.depth=4",
    "training.steps=10",
    "training.log_every=5",
    "training.evaluate_every=7",
    "training.save_every=5",
    "training.optimizer.min_ratio=1.0",
    "training.optimizer.warmup=4",
    "training.halting.exploration=0.1",
    "training.average=0.99",
    "training.precision=fp32",
)


@pytest.fixture
def tiny() -> Callable[..., Recipe]:
    """The recipe, with overrides on top; another halting rule starts from its own defaults."""

    def build(*overrides: str) -> Recipe:
        other = any(override.startswith("training.halting.rule=") for override in overrides)
        ground = [entry for entry in TINY if not (other and entry.startswith("training.halting."))]
        return load_recipe("eqr-sudoku6-cpu", [*ground, *overrides])

    return build


@pytest.fixture
def same_state() -> Callable[[Path, Path], None]:
    """Asserts that two runs stand at the very same state, bit for bit."""

    def check(first: Path, second: Path) -> None:
        a, b = (load_file(folder / "state.safetensors") for folder in (first, second))
        assert a.keys() == b.keys()
        different = [name for name in a if not torch.equal(a[name], b[name])]
        assert not different

    return check


@pytest.fixture
def saved_step() -> Callable[[Path], int]:
    """The step a run's folder would resume from; the whole file is read."""

    def read(folder: Path) -> int:
        with safe_open(folder / "state.safetensors", framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                file.get_tensor(name)
            return json.loads(file.metadata()["progress"])["step"]

    return read
