"""Whether harder problems get more evaluations: NFE under a halting rule by difficulty (EqR Sec. 6.3)."""

from dataclasses import dataclass

from torch import Tensor

from equilibria.diagnostics import ranks
from equilibria.diagnostics.metrics import interval
from equilibria.errors import DataError
from equilibria.tasks.interface import Problems, Task

RATING = "rating"


@dataclass(frozen=True)
class Group:
    """Problems of similar difficulty.

    Attributes:
        low: the least difficulty.
        high: the greatest.
        problems: how many they are.
        evaluations: mean NFE of a trajectory.
        median: its median; of two in the middle the lower.
        accuracy: the share that is right.
        ci95: its 95% interval (Wilson, over problems).
    """

    low: float
    high: float
    problems: int
    evaluations: float
    median: float
    accuracy: float
    ci95: tuple[float, float]


def difficulty(task: Task, problems: Problems) -> dict[str, Tensor]:
    """By name, every measure of difficulty there is: ratings of the file, and what the task counts.

    Each `[problems]`; NaN where a problem has none. Empty where nobody knows.
    """
    known = task.difficulty(problems.inputs, problems.labels)
    return known if problems.ratings is None else {RATING: problems.ratings} | known


def by_difficulty(values: Tensor, evaluations: Tensor, right: Tensor, groups: int = 6) -> list[Group]:
    """What trajectories cost and how often they are right, from the easiest problems to the hardest.

    Args:
        values: `[problems]` difficulty; problems without one (NaN) are left out.
        evaluations: NFE, `[problems]` or `[problems, restarts]`.
        right: bool, of the same shape.
        groups: how many, at most, equally large as far as may be; equal difficulties are in one group.

    Raises:
        DataError: the shapes do not fit, or no group is asked for.
    """
    if groups < 1:
        raise DataError(f"{groups} groups of problems: ask for at least one")
    if evaluations.shape != right.shape or values.shape != right.shape[:1]:
        raise DataError(
            f"difficulties {list(values.shape)}, evaluations {list(evaluations.shape)} and right answers "
            f"{list(right.shape)} must be of the same problems"
        )
    known = ~values.isnan()
    values, evaluations, right = values[known], evaluations[known], right[known]
    found: list[Group] = []
    for rows in ranks.equal_groups(values, groups):
        spent, share = evaluations[rows].double(), right[rows].double().mean().item()
        low, high = values[rows].min().item(), values[rows].max().item()
        found.append(
            Group(
                low,
                high,
                len(rows),
                spent.mean().item(),
                spent.median().item(),
                share,
                interval(share, len(rows)),
            )
        )
    return found


def rank_correlation(values: Tensor, evaluations: Tensor) -> float:
    """Spearman's ρ of difficulty with NFE, `[problems]` or the mean of `[problems, restarts]`.

    Above 0, harder problems get more. NaN where all are alike: so without a halting rule.
    """
    known = ~values.isnan()
    spent = evaluations[known].double()
    return ranks.rank_correlation(values[known], spent.mean(dim=1) if spent.ndim == 2 else spent)
