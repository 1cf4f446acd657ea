"""A paper's statements, each checked in numbers: whether it holds where it was tried, and how surely."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from equilibria.reproduce.reproduction import Sheet


@dataclass(frozen=True)
class Spread:
    """What runs came to that differ in their seed alone.

    Attributes:
        mean: of them.
        sd: of one run; NaN where there is only one.
        low, high: the 95% interval of the mean, by Student's t; NaN likewise.
        runs: how many.
    """

    mean: float
    sd: float
    low: float
    high: float
    runs: int

    @property
    def half(self) -> float:
        """Half the interval."""
        return (self.high - self.low) / 2


def spread(values: Sequence[float]) -> Spread:
    """Mean, standard deviation and interval of at least one run."""
    mean, runs = fmean(values), len(values)
    if runs == 1:
        return Spread(mean, math.nan, math.nan, math.nan, 1)
    from scipy.special import stdtrit  # comes with scikit-learn; slow to import, and only this needs it

    sd = stdev(values)
    half = float(stdtrit(runs - 1, 0.975)) * sd / math.sqrt(runs)
    return Spread(mean, sd, mean - half, mean + half, runs)


@dataclass(frozen=True)
class Statement:
    """Something that a paper says.

    Attributes:
        claim: in words that can be true or false.
        published: the paper's numbers for it.
        ours: our numbers for it.
        holds: whether they say the same.
        sure: whether more than the spread of the seeds says so; None where one run cannot tell.
    """

    claim: str
    published: str
    ours: str
    holds: bool
    sure: bool | None = None

    @property
    def verdict(self) -> str:
        """In words."""
        word = "holds" if self.holds else "does not hold"
        return word + (", within the spread of the seeds" if self.sure is False else "")


def rises(
    claim: str,
    published: str,
    before: Sequence[float],
    after: Sequence[float],
    form: str = ".1f",
    *,
    falls: bool = False,
) -> Statement:
    """The statement that a number rises.

    Args:
        claim, published: as in `Statement`.
        before, after: of the same seeds in the same order: what is judged is the mean of the differences. A
            seed in which either is NaN (an AUROC where all are right) is left out.
        form: a format of the numbers.
        falls: the statement is that it falls.
    """
    pairs = [pair for pair in zip(before, after, strict=True) if not any(map(math.isnan, pair))]
    if not pairs:
        return Statement(claim, published, "nothing to compare", False)
    change = spread([high - low for low, high in pairs])
    ours = " → ".join(f"{fmean(column):{form}}" for column in zip(*pairs, strict=True))
    sure = None
    if change.runs > 1:
        ours += f" ({change.mean:+{form}} ± {change.half:{form}})"
        sure = change.low > 0 or change.high < 0
    return Statement(claim, published, ours, change.mean < 0 if falls else change.mean > 0, sure)


def told(statements: Sequence[Statement]) -> str:
    """How many hold, and which do not."""
    held = [one for one in statements if one.holds]
    sure = sum(one.sure is True for one in held)
    text = f"{len(held)} of {len(statements)} statements of the paper hold here"
    if any(one.sure is not None for one in statements):
        text += f", {sure} of them beyond the spread of the seeds"
    broken = "; ".join(f"{one.claim} ({one.ours})" for one in statements if not one.holds)
    return text + (f". Those that do not: {broken}." if broken else ".")


def sheet(
    statements: Sequence[Statement], title: str = "what the paper says, and what is found here"
) -> Sheet:
    """A table of them."""
    rows = [
        {
            "statement": one.claim,
            "published": one.published,
            "ours": one.ours,
            "holds": one.holds,
            "sure": one.sure,
            "verdict": one.verdict,
        }
        for one in statements
    ]
    columns = {"statement": "{statement}", "paper": "{published}", "ours": "{ours}", "here it": "{verdict}"}
    return Sheet("statements", title, rows, columns)
