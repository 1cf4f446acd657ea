"""The training section of a recipe."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from equilibria.dynamics.halting import AnyHalting, LearnedHead
from equilibria.dynamics.solvers import AnySolver, Picard
from equilibria.training.curriculum import Stage
from equilibria.training.losses import Objective
from equilibria.training.optimizers import OptimizerConfig
from equilibria.training.schedules import AnySchedule, SegmentedOnline

Solving = Annotated[AnySolver, Field(discriminator="name")]
Halting = Annotated[AnyHalting, Field(discriminator="rule")]
Supervising = Annotated[AnySchedule, Field(discriminator="name")]


class TrainingConfig(BaseModel):
    """How a reasoner is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: PositiveInt = 50_000
    """Optimizer steps; in segmented online training, one a segment."""
    batch: PositiveInt = 768
    """Rows of the rolling batch, over all processes."""
    accumulate: PositiveInt = 1
    """Parts a step's batch is cut into, one after the other, to save memory."""
    depth: PositiveInt = 16
    """Iterations after which a row makes room (the papers' N_sup, halt_max_steps)."""
    schedule: Supervising = SegmentedOnline()
    """Where losses sit, where gradient flows, and when the optimizer steps."""
    solver: Solving = Picard()
    """How the map is iterated."""
    curriculum: tuple[Stage, ...] = ()
    """Easier stages at the beginning, in order."""
    candidates: PositiveInt = 1
    """K trajectories a row, from K random initial states; the one of the lowest loss is learned from."""
    halting: Halting = LearnedHead()
    """Who decides that a row is done."""
    objective: Objective = "stablemax"
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Label smoothing: the part of every target that is spread over the vocabulary."""
    optimizer: OptimizerConfig = OptimizerConfig()
    average: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the exponential moving average of the weights; 0: none."""
    average_from: float = Field(default=0.0, ge=0, lt=1)
    """Share of the run before which the average follows the weights: what is bad early stays out of it."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Dtype of activations; auto: bf16 where the device multiplies it natively, fp32 elsewhere."""
    compiled: bool = False
    """Run the reasoner through torch.compile, and on CUDA replay each segment as one recorded graph: the
    same mathematics in fewer passes over memory."""
    seed: int = Field(default=0, ge=0, lt=1 << 62)
    log_every: PositiveInt = 50
    evaluate_every: PositiveInt = 5000
    evaluate_problems: PositiveInt = 2048
    """Held-out problems of a periodic evaluation at `depth`, breadth 1; no more than were trained on."""
    save_every: PositiveInt = 1000
    keep: Literal["fp32", "bf16"] = "fp32"
    """Dtype of the weights in the checkpoints `best` and `last`; what a run resumes from is always whole."""

    @model_validator(mode="after")
    def _divisible(self) -> "TrainingConfig":
        if self.batch % self.accumulate:
            raise ValueError(f"batch {self.batch} must be a multiple of accumulate {self.accumulate}")
        if self.depth % self.schedule.interval(self.depth):
            interval = self.schedule.interval(self.depth)
            raise ValueError(f"depth {self.depth} must be a multiple of the schedule's {interval} iterations")
        for stage in self.curriculum:
            if stage.depth and stage.depth % self.schedule.interval(stage.depth):
                raise ValueError(
                    f"curriculum: depth {stage.depth} must be a multiple of the schedule's interval"
                )
        ends = [stage.until for stage in self.curriculum]
        if ends != sorted(set(ends)):
            raise ValueError(f"curriculum: stages must end one after the other, not at {ends}")
        return self
