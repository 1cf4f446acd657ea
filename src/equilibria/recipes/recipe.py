"""A recipe: everything that makes a trained reasoner, in one frozen model."""

import hashlib
import json
from typing import Any

import torch
from omegaconf import OmegaConf
from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializeAsAny,
    model_validator,
)

from equilibria.dynamics.halting import FixedDepth
from equilibria.dynamics.solvers import Solver
from equilibria.inference.restarts import AnyRestarts, Fixed
from equilibria.reasoners import ProblemShape, Reasoner, ReasonerConfig, family
from equilibria.tasks import Task, load_task
from equilibria.training.config import Halting, Solving, TrainingConfig


class DataConfig(BaseModel):
    """Where problems come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = "generated"
    """`generated`, a table, a folder with train.csv and test.csv, a Hub data set `owner/name`, or a file of
    one, `hf://datasets/owner/name/FILE`."""
    limit: PositiveInt | None = None
    """Train on the first so many problems only."""
    only: tuple[str, ...] = ()
    """Keep, in training and held out, the problems of these sources (the column `source`); empty: all."""
    held_out: str | None = None
    """A file to hold out instead of what `source` offers."""
    held_out_count: PositiveInt = 2048
    count: PositiveInt = 20_000
    """Problems to generate for training, where `source` is `generated`."""
    seed: NonNegativeInt = 0
    augment: bool = True
    """Vary every training problem by the task's symmetries, each time it is drawn."""


class InferenceConfig(BaseModel):
    """The budget a reasoner is used with where the user names none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    depth: PositiveInt = 16
    breadth: PositiveInt = 1
    halting: Halting = FixedDepth()
    """Which rule may stop a trajectory before its depth is spent."""
    restarts: AnyRestarts = Fixed()
    """Which policy decides about the next restart of a problem."""
    nfe: PositiveInt | None = None
    """Most function evaluations of one problem; None: depth × breadth."""
    solver: Solving | None = None
    """How the map is iterated; None: as in training."""
    tolerance: PositiveFloat = 0.05
    """Settled: root-mean-square change of a state element per iteration at most this."""


class Recipe(BaseModel):
    """One recipe = one YAML file = one of these."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    summary: str
    """One line: what it is and where it was published."""
    hardware: str = ""
    """What it was run on, how long that took and how much memory it needed; empty where not run."""
    task: dict[str, Any]
    reasoner: SerializeAsAny[ReasonerConfig]
    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()
    inference: InferenceConfig = InferenceConfig()

    @model_validator(mode="after")
    def _curriculum_runs(self) -> "Recipe":
        adjustable = family(self.reasoner.family).adjustable
        for stage in self.training.curriculum:
            if fixed := sorted(set(stage.reasoner) - adjustable):
                raise ValueError(
                    f"training.curriculum: '{fixed[0]}' is part of the weights; a stage may change "
                    f"{', '.join(sorted(adjustable)) or 'nothing of this family'}"
                )
            type(self.reasoner).model_validate(self.reasoner.model_dump() | stage.reasoner)
        return self

    @property
    def solver(self) -> Solver:
        """How the map is iterated outside training."""
        return self.inference.solver or self.training.solver

    def build_task(self) -> Task:
        """The task of this recipe."""
        return load_task(self.task)

    def fitted(self) -> "Recipe":
        """This recipe with what its task leaves open as found in the data; itself where nothing is open.

        So a checkpoint needs no data to be loaded. Raises DataError where the data cannot be read.
        """
        task = self.build_task()
        found = task.fitted(self.data.source, self.data.held_out)
        if found is task:
            return self
        section = {"name": self.task["name"]} | found.config.model_dump(mode="json")
        return self.model_copy(update={"task": section})

    def build_reasoner(self, task: Task) -> Reasoner[Any]:
        """The reasoner of this recipe, freshly initialised from the training seed."""
        shape = ProblemShape(task.vocab_size, task.tokens, task.board, task.identifiers)
        torch.manual_seed(self.training.seed)
        return family(self.reasoner.family)(self.reasoner, shape)

    def to_yaml(self) -> str:
        """The recipe whole, defaults written out."""
        return OmegaConf.to_yaml(OmegaConf.create(self.model_dump(mode="json")))

    def identity(self, data: str) -> str:
        """A hash of what determines a run's course: task, reasoner, data, training; not how it is watched."""
        content = self.model_dump(mode="json", include={"task", "reasoner", "training"})
        for watching in (
            "log_every",
            "evaluate_every",
            "evaluate_problems",
            "save_every",
            "compiled",
            "keep",
        ):
            content["training"].pop(watching)
        training = self.training
        if training.optimizer.min_ratio == 1.0 and not training.curriculum and not training.average_from:
            content["training"].pop("steps")  # nothing in the run depends on where it ends
        content["data"] = data
        content["augment"] = self.data.augment
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
