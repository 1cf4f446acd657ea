"""How probable it is that an answer is right, learned from problems whose answers are known."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter

from equilibria.dynamics.halting import AnyHalting, Halting
from equilibria.dynamics.solvers import Solver
from equilibria.errors import CheckpointError
from equilibria.inference.budget import Budget
from equilibria.inference.restarts import Restart, RestartPolicy

FEATURES = ("residual", "halting score", "supporters", "dissenters", "accepted")


def features(ended: Sequence[Restart], answer: bytes) -> list[float]:
    """What speaks for an answer, given the restarts that ended: as named by `FEATURES`.

    The logarithm of the lowest relative residual and the highest halting logit of the restarts that gave it
    (0 without a halting head), the logarithms of how many gave it and of one more than gave others, and
    whether one of them was accepted.
    """
    supporters = [restart for restart in ended if restart.answer == answer]
    # A state that diverged is far from rest; `min` in this order gives the bound for a NaN.
    least = min(min(1e12, restart.relative_residual) for restart in supporters)
    scores = [restart.halt_logit for restart in supporters if not math.isnan(restart.halt_logit)]
    return [
        math.log(max(least, 1e-12)),
        max(scores, default=0.0),
        math.log(len(supporters)),
        math.log(1 + len(ended) - len(supporters)),
        float(any(restart.accepted for restart in supporters)),
    ]


@dataclass(frozen=True)
class Calibration:
    """A map from what is seen of an answer to the probability that it is right.

    The features are weighed into one score (logistic regression), and the score is mapped to a probability by
    a monotone function (isotonic regression), which assumes nothing of its shape.

    Attributes:
        weights: of the features.
        scores: knots of the map, ascending.
        probabilities: at the knots; between them, straight lines.
        conditions: how the restarts were run that it was learned from; it says nothing of others.
        about: what it was learned from, and how well it did on other problems.
    """

    weights: tuple[float, ...]
    scores: tuple[float, ...]
    probabilities: tuple[float, ...]
    conditions: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    def probability(self, ended: Sequence[Restart], answer: bytes) -> float:
        """That this answer, of one of the restarts that ended, is right."""
        score = float(np.dot(self.weights, features(ended, answer)))
        return float(np.interp(score, self.scores, self.probabilities))

    @classmethod
    def fit(cls, rows: Sequence[Sequence[float]], right: Sequence[bool]) -> "Calibration":
        """Learn from rows of features, and whether each was right.

        Raises:
            ValueError: all are right, or all are wrong: nothing can be learned from that.
        """
        from sklearn.isotonic import IsotonicRegression  # slow to import, and only this needs it
        from sklearn.linear_model import LogisticRegression

        x, y = np.array(rows, dtype=np.float64), np.array(right, dtype=np.float64)
        if len(set(y.tolist())) < 2:
            raise ValueError("all answers are right, or all are wrong")
        spread = x.std(axis=0)
        scale = np.where(spread > 0, 1 / np.where(spread > 0, spread, 1), 0)
        linear = LogisticRegression(max_iter=1000).fit(x * scale, y)
        slopes = linear.coef_[0] * scale
        # From n observations nobody is surer than one in n + 2 (Laplace).
        least = 1 / (len(y) + 2)
        monotone = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
        monotone.fit(x @ slopes, y)
        knots = monotone.X_thresholds_.tolist(), monotone.y_thresholds_.tolist()
        return cls(tuple(slopes.tolist()), tuple(knots[0]), tuple(knots[1]))

    def to_json(self) -> str:
        """The whole of it, as text."""
        return json.dumps({"features": FEATURES} | asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> "Calibration":
        """Read back what `to_json` wrote.

        Raises:
            CheckpointError: it is not that; names `where`.
        """
        try:
            content = json.loads(text)
            if tuple(content.pop("features")) != FEATURES:
                raise ValueError("its features are others than this version's")
            lists = {
                name: tuple(map(float, content.pop(name))) for name in ("weights", "scores", "probabilities")
            }
            read = cls(**lists, **content)
            if (
                len(read.weights) != len(FEATURES)
                or len(read.scores) != len(read.probabilities)
                or not read.scores
            ):
                raise ValueError("its lists do not fit each other")
            numbers = np.isfinite([*read.weights, *read.scores, *read.probabilities]).all()
            rising = all(np.all(np.diff(knots) >= 0) for knots in (read.scores, read.probabilities))
            if not (numbers and rising and read.probabilities[0] >= 0 and read.probabilities[-1] <= 1):
                raise ValueError("its numbers are no rising probabilities")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{where}: not a calibration ({error}); make it anew with equilibria calibrate"
            ) from error
        return read


def conditions(budget: Budget, solver: Solver) -> dict[str, Any]:
    """How trajectories are run, as plain data: what a calibration holds for."""
    told = {
        "depth": budget.depth,
        "halting": asdict(budget.halting),  # pyright: ignore[reportArgumentType]
        "tolerance": budget.tolerance,
        "solver": asdict(solver),
    }
    return json.loads(json.dumps(told))


def calibrated_budget(calibration: Calibration) -> Budget:
    """The budget that a calibration was learned with.

    Raises:
        CheckpointError: it does not say.
    """
    told, about = calibration.conditions, calibration.about
    try:
        return Budget(
            depth=told["depth"],
            breadth=about["breadth"],
            halting=_HALTING.validate_python(told["halting"]),
            tolerance=told["tolerance"],
            nfe=about["nfe"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"this calibration does not say how it was made ({error}); make it anew with equilibria calibrate"
        ) from error


_HALTING: TypeAdapter[Halting] = TypeAdapter(Annotated[AnyHalting, Field(discriminator="rule")])


@dataclass(frozen=True, kw_only=True)
class UntilConfident(RestartPolicy):
    """The next restart only while no answer is right with the probability asked for.

    Attributes:
        confidence: that probability.
        calibration: what says how probable an answer is.
    """

    confidence: float
    calibration: Calibration
    policy: Literal["until-confident"] = "until-confident"

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence must be between 0 and 1, not {self.confidence:g}")

    def wants(self, ended: Sequence[Restart], breadth: int) -> int:
        """One more while the most probable answer is not probable enough."""
        if ended and max(self._probabilities(ended).values()) >= self.confidence:
            return len(ended)
        return min(len(ended) + 1, breadth)

    def candidates(self, ended: Sequence[Restart]) -> list[int]:
        """Those that gave the most probable answer."""
        probabilities = self._probabilities(ended)
        best = max(probabilities, key=lambda answer: probabilities[answer])
        return [place for place, restart in enumerate(ended) if restart.answer == best]

    def _probabilities(self, ended: Sequence[Restart]) -> dict[bytes, float]:
        answers = dict.fromkeys(restart.answer for restart in ended)
        return {answer: self.calibration.probability(ended, answer) for answer in answers}
