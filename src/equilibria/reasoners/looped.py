"""Looped Transformers: the same blocks again and again, a fixed number of times (FPRM Fig. 2).

A Universal Transformer starts from the embedded problem (Dehghani et al. 2019); FPRM's Figure 2 compares
post-norm, pre-norm, and pre-norm with residual scaling in such a loop.
"""

from typing import Literal

from equilibria.reasoners.single_level import SingleLevelConfig, SingleLevelReasoner


class LoopedConfig(SingleLevelConfig):
    """Attention blocks, normalised afterwards, that start from the embedded problem."""

    family: str = "looped"
    mixing: Literal["mlp", "attention"] = "attention"
    initial: Literal["gaussian", "zeros", "condition"] = "condition"


class LoopedReasoner(SingleLevelReasoner[LoopedConfig]):
    """`z ← F(z + x)`, or `F(α₂ z + β₂ x)` with residual scaling."""

    Config = LoopedConfig
