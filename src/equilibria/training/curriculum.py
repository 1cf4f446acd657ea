"""Training that starts easier: fewer cycles, fewer iterations, more of the answer given."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class Stage(BaseModel):
    """The beginning of a run, or a further part of it; after the last stage a run is as its recipe says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    until: float = Field(gt=0, lt=1)
    """Share of the run's steps at which this stage ends."""
    reasoner: dict[str, Any] = {}
    """Fields of the reasoner that differ: those its family can change with weights in place, as cycles."""
    depth: PositiveInt | None = None
    """Iterations after which a row makes room; None: as ever."""
    reveal: float = Field(default=0.0, ge=0, le=1)
    """Share of the rows that are given a random part of their answers."""


def stage_at(curriculum: tuple[Stage, ...], step: int, steps: int) -> Stage | None:
    """The stage of a step (from 0), or None where the curriculum is over."""
    return next((stage for stage in curriculum if step < stage.until * steps), None)
