"""A recipe small enough to train in a second, and a reproduction's surroundings."""

import pytest

from equilibria.recipes import load_recipe
from equilibria.reproduce.reproduction import Setup

SMALL = (
    "task.box=[2,2]",
    *("reasoner.width=16", "reasoner.heads=2", "reasoner.channel_inner=32", "reasoner.token_inner=16"),
    *("data.source=generated", "data.count=40", "data.held_out_count=32"),
    *("training.steps=4", "training.batch=8", "training.save_every=2", "training.optimizer.warmup=1"),
)

TINY = (*SMALL, "data.held_out_count=24", "training.depth=3", "training.steps=2", "training.save_every=1")


@pytest.fixture
def tiny():
    """Overrides that make a reproduction about Sudoku a matter of seconds."""
    return TINY


@pytest.fixture
def board():
    """The same for Sudoku recipes of any family, whose depth is their own."""
    return (*SMALL, "training.steps=2")


@pytest.fixture
def recipe():
    own = ["reasoner.prefix=0", "reasoner.layers=1", "reasoner.H_cycles=1", "reasoner.L_cycles=1"]
    return load_recipe("path-sot", [*SMALL, *own, "reasoner.tracked=2", "data.limit=null"])


@pytest.fixture
def setup(tmp_path):
    """A setup at the scale `cpu`, one seed, whatever is changed of it."""

    def make(**changes):
        settings = {
            "scale": "cpu",
            "out": tmp_path / "out",
            "cache": tmp_path / "cache",
            "seeds": 1,
            "jobs": 1,
            "device": "cpu",
            "overrides": (),
            "say": lambda line: None,
        }
        return Setup(**(settings | changes))

    return make
