"""Deep equilibrium models: the answer is read off the fixed point of one level (Bai et al. 2019).

The state starts at zero, a solver finds the equilibrium, and its gradient comes from the implicit function
theorem: `training.schedule.name=terminal` with an implicit
`training.schedule.gradient`.
"""

from typing import Literal

from equilibria.reasoners.single_level import SingleLevelConfig, SingleLevelReasoner


class DEQConfig(SingleLevelConfig):
    """Blocks whose fixed point is sought from zero."""

    family: str = "deq"
    initial: Literal["gaussian", "zeros", "condition"] = "zeros"


class DEQReasoner(SingleLevelReasoner[DEQConfig]):
    """`z* = F(z* + x)`, decoded by heads of its own."""

    Config = DEQConfig
