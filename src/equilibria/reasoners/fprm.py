"""Fixed-Point Reasoning Models: a pre-norm loop that residual scaling keeps bounded (FPRM Sec. 3).

One iteration convolves the state, mixes the problem in (`α₂ z + β₂ x`) and runs the blocks
(`h ← α₁ h + β₁ g(norm(h))`), with β₁ and β₂ coupled to α₁ and α₂ as Theorem 1 asks. Trained and run with
the patience-damped solver (FPRM Alg. 1, 2): windows of iterations, one loss and one optimizer step a window,
until the state rests.
"""

from typing import Literal

from pydantic import Field, PositiveInt

from equilibria.nn.block import Norm
from equilibria.nn.residual_scale import ScaleMode
from equilibria.reasoners.single_level import SingleLevelConfig, SingleLevelReasoner


class FPRMConfig(SingleLevelConfig):
    """The published Sudoku model."""

    family: str = "fprm"
    mixing: Literal["mlp", "attention"] = "attention"
    positions: Literal["none", "rope", "rope2d", "learned"] = "rope"
    norm: Norm = "pre"
    residual_scale: ScaleMode = "channel"
    convolution: Literal["none", "sequence", "board"] = "board"
    convolution_kernel: PositiveInt = 3
    sigma: float = Field(default=6.0, ge=0)


class FPRMReasoner(SingleLevelReasoner[FPRMConfig]):
    """`f(z; x)` of FPRM: one convolution, one mix with the problem, L scaled pre-norm blocks."""

    Config = FPRMConfig
