"""What a diagnosis holds: plain numbers in frozen sections, which the report shows and advice is drawn from.

Shares are between 0 and 1. A confidence interval is of 95%, over problems: Wilson's for a share, normal for a
difference that is paired by problem. NaN stands for what could not be measured.
"""

import math
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

Interval = tuple[float, float]


@dataclass(frozen=True)
class Setting:
    """What was run, on what, and what it cost.

    Attributes:
        reasoner: the name it was loaded by.
        recipe: the name of its recipe.
        recipe_file: where that stands with all its changes; empty: in no file beside its weights.
        family: of its map.
        changes: overrides it was loaded with.
        task, noun: the task and what a person calls one of its problems.
        rules: whether the task can tell right answers from wrong ones by itself.
        data: file of the problems; empty: those that the recipe held out. `data_sha256`: a hash of them.
        problems: how many.
        depth, breadth: most iterations of a trajectory, and restarts of a problem.
        trained_depth: iterations of a trajectory in training.
        trained_initial, trained_noise: initial states and path noise in training, as its recipe says; None
            where the family has no such field.
        halting: which rule let trajectories leave early.
        tolerance: settled is a root-mean-square change of a state element per iteration of at most this.
        random_start: whether restarts begin in different states.
        path_noise: whether noise is added along the way.
        seed, solver, device, dtype, code, torch: how it was run.
        nfe: applications of f, all told.
        seconds, cpu_seconds: wall-clock and process time, all told.
    """

    reasoner: str
    recipe: str
    recipe_file: str
    family: str
    changes: tuple[str, ...]
    task: str
    noun: str
    rules: bool
    data: str
    data_sha256: str
    problems: int
    depth: int
    breadth: int
    trained_depth: int
    trained_initial: str | None
    trained_noise: float | None
    halting: str
    tolerance: float
    random_start: bool
    path_noise: bool
    seed: int
    solver: str
    device: str
    dtype: str
    code: str
    torch: str
    nfe: int
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class DepthPoint:
    """Restarts after so many iterations.

    Attributes:
        depth: iterations.
        accuracy: mean over restarts, then problems, that is right; `ci95` of it.
        nfe: iterations run so far, per restart.
        settled: share of restarts that had come to rest.
    """

    depth: int
    accuracy: float
    ci95: Interval
    nfe: float
    settled: float


@dataclass(frozen=True)
class Accuracy:
    """Accuracy over depth.

    Attributes:
        by_depth: ascending.
        before: depth looked at before the last.
        gain: from there to the last, in accuracy of a single restart; `gain_ci95` of it.
        still_moving: share of restarts that are wrong at the end and have not settled: all that more depth
            could help.
        resting_wrong: share that rests on a wrong answer: depth cannot help these.
        best_depth: of those looked at, the one of the best accuracy, the least of equals.
        saturation: least depth within one point of the best (FPRM Sec. 4.4).
        proposal: accuracy of the initial states, decoded before any iteration.
        internalized: share of the accuracy at the end that they have (Attractor Models Sec. 4.3): 1 where
            nothing is left to iterate; NaN where nothing is right at the end.
    """

    by_depth: tuple[DepthPoint, ...]
    before: int
    gain: float
    gain_ci95: Interval
    still_moving: float
    resting_wrong: float
    best_depth: int
    saturation: int
    proposal: float
    internalized: float


@dataclass(frozen=True)
class Breadth:
    """Accuracy over restarts at the full depth (EqR Fig. 8).

    Attributes:
        counts: of restarts, ascending.
        curves: by rule, the expected accuracy at each count.
        best: of the rules that see no label, the one of the best accuracy at the greatest count.
        single, accuracy: expected accuracy of one restart, and of all under that rule.
        gain: what all restarts under it add to a single one; `gain_ci95` of it.
        enough: least count within half a point of that.
        unselected: how much more often some restart is right than the one that is chosen; `unselected_ci95`.
        convergence_over_majority: Top-1 convergence less majority at the greatest count; `…_ci95` of it.
    """

    counts: tuple[int, ...]
    curves: dict[str, tuple[float, ...]]
    best: str
    single: float
    accuracy: float
    gain: float
    gain_ci95: Interval
    enough: int
    unselected: float
    unselected_ci95: Interval
    convergence_over_majority: float
    convergence_over_majority_ci95: Interval


@dataclass(frozen=True)
class CouplingBin:
    """Restarts of like residual: how many, their mean residual, and the share that is right."""

    count: int
    residual: float
    right: float
    ci95: Interval


@dataclass(frozen=True)
class CouplingSection:
    """Whether a low residual means a right answer.

    Attributes:
        auroc: 1 perfectly, ½ not at all.
        rank_correlation: Spearman's, of residual with error.
        bins: of equally many restarts, by ascending residual.
    """

    auroc: float
    rank_correlation: float
    bins: tuple[CouplingBin, ...]


@dataclass(frozen=True)
class Mode:
    """One mode of the landscape (EqR Fig. 6).

    Attributes:
        mode: a, b, c or d.
        count, share, ci95: problems in it.
        unsettled: mean share of their restarts that had not come to rest; NaN without problems.
        resting: of these problems, those of which most restarts rest.
        examples: places of a few of them in the data.
    """

    mode: str
    count: int
    share: float
    ci95: Interval
    unsettled: float
    resting: int
    examples: tuple[int, ...]


@dataclass(frozen=True)
class ProblemRow:
    """One problem.

    Attributes:
        problem: its place in the data, from 0.
        source: where it comes from.
        mode: of its landscape.
        p_correct, p_wrong, p_unsettled: shares of restarts that rest on a right answer, that rest on a
            wrong one, and that do not rest.
        answers: different answers among restarts that rest.
        iterations: median of what a restart ran.
        chosen: chance that the answer `Breadth.best` chooses among all restarts is right.
        keeps_rules: whether the commonest wrong answer that restarts rest on keeps the rules of the task, so
            that the label is not the only answer; None where there is none, or the rules are not known.
    """

    problem: int
    source: str
    mode: str
    p_correct: float
    p_wrong: float
    p_unsettled: float
    answers: int
    iterations: float
    chosen: float
    keeps_rules: bool | None


@dataclass(frozen=True)
class Labels:
    """Whether the labels are in doubt.

    Attributes:
        contradicted: inputs that stand in the data with different labels.
        rule_keeping: problems whose restarts rest on an answer that keeps all rules and is not the label;
            None where the rules are not known.
    """

    contradicted: int
    rule_keeping: int | None


@dataclass(frozen=True)
class Basin:
    """One attractor of a problem.

    Attributes:
        mass: share of the problem's restarts that reach it.
        right: whether it decodes to a right answer.
        period: 1 for a fixed point, p for a cycle.
        agreement: share of those restarts that give the commonest answer there.
        stable: share of copies, moved by a tenth of their length, that come back; None where the solver's
            step is no map of a state.
    """

    mass: float
    right: bool
    period: int
    agreement: float
    stable: float | None


@dataclass(frozen=True)
class BasinRow:
    """The attractors of an example problem, told apart by their states; the greatest basin first."""

    problem: int
    mode: str
    basins: tuple[Basin, ...]
    unsettled: float


@dataclass(frozen=True)
class Curve:
    """Something over a count: equally long."""

    counts: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Band:
    """Quartiles over restarts, by iteration (from 1); `restarts` that still ran at it."""

    low: tuple[float, ...]
    median: tuple[float, ...]
    high: tuple[float, ...]
    restarts: tuple[int, ...]


@dataclass(frozen=True)
class Residuals:
    """Residual per state element over iterations, of restarts that end right and of those that end wrong."""

    right: Band
    wrong: Band


@dataclass(frozen=True)
class LocalState:
    """The map around one settled state, without path noise.

    Attributes:
        problem, restart, right: which state.
        period: 1 at a fixed point; p on a cycle, where the map is applied p times.
        residual: `‖f(z) − z‖₂` there.
        eigenvalues: (real, imaginary), the largest of the Jacobian.
        radius: the largest magnitude: below 1, nearby states are drawn in.
        norm: `‖J‖₂`, the most one iteration can stretch.
        margin: γ of EqR Eq. 6: how far the logits of the labels lead; negative where the answer is wrong.
        certified: whether EqR Eq. 7 certifies the answer; `reason` says why not.
    """

    problem: int
    restart: int
    right: bool
    period: int
    residual: float
    eigenvalues: tuple[tuple[float, float], ...]
    radius: float
    norm: float
    margin: float
    certified: bool
    reason: str


@dataclass(frozen=True)
class CycleRow:
    """One restart that ends in a cycle: its period, and how many cells change their value within it."""

    problem: int
    restart: int
    period: int
    cells: int


@dataclass(frozen=True)
class Cycles:
    """How restarts of a sample of problems end, run to the full depth.

    Attributes:
        restarts: how many were looked at.
        resting, cycling, wandering: shares that end at a fixed point, in a cycle, and in neither.
        examples: some that cycle.
        erased: share of restarts in which some cell was right, then wrong, then right again.
        noise: whether path noise was on, which hides cycles.
    """

    restarts: int
    resting: float
    cycling: float
    wandering: float
    examples: tuple[CycleRow, ...]
    erased: float
    noise: bool


@dataclass(frozen=True)
class DifficultyGroup:
    """Problems of like difficulty: bounds, how many, mean iterations and the share of restarts right."""

    low: float
    high: float
    problems: int
    iterations: float
    accuracy: float
    ci95: Interval


@dataclass(frozen=True)
class Difficulty:
    """Iterations to settle against one measure of difficulty; `rank_correlation` is Spearman's."""

    name: str
    rank_correlation: float
    groups: tuple[DifficultyGroup, ...]


@dataclass(frozen=True)
class HeadBin:
    """Restarts of like halting score: how many, the mean score, and the share that is right."""

    count: int
    score: float
    right: float
    ci95: Interval


@dataclass(frozen=True)
class Head:
    """The halting head: what it says of answers at the end against what is right."""

    auroc: float
    bins: tuple[HeadBin, ...]


@dataclass(frozen=True)
class Stopping:
    """One rule that ends trajectories early, at several thresholds (EqR Fig. 7).

    Attributes:
        rule: "head" or "residual".
        points: (iterations per restart, accuracy), by ascending iterations.
        target: accuracy that both it and a fixed depth reach.
        fixed_nfe, nfe: iterations that a fixed depth and this rule need for it.
        ratio: of the two: how many times fewer.
    """

    rule: str
    points: tuple[tuple[float, float], ...]
    target: float
    fixed_nfe: float
    nfe: float
    ratio: float


@dataclass(frozen=True)
class Path:
    """One restart in the plane of a picture: where it was, and how it ended (right, wrong or unsettled)."""

    points: tuple[tuple[float, float], ...]
    end: str


@dataclass(frozen=True)
class Picture:
    """Restarts of one problem on the plane of most variance of their states, scaled to ±1.

    Attributes:
        mode, problem: of which this is an example.
        explained: shares of variance along both axes.
        paths: a restart each.
    """

    mode: str
    problem: int
    explained: tuple[float, float]
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Advice:
    """Something to do.

    Attributes:
        title: what, in a few words.
        why: the reason, with the numbers.
        command: a command that does it; empty where there is none.
        evidence: where the numbers stand in the diagnosis, as in "breadth.gain".
    """

    title: str
    why: str
    command: str
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was found; a section each. Sections that do not apply are None or empty."""

    verdict: str
    setting: Setting
    accuracy: Accuracy
    breadth: Breadth
    coupling: CouplingSection
    modes: tuple[Mode, ...]
    labels: Labels
    problems: tuple[ProblemRow, ...]
    basins: tuple[BasinRow, ...]
    path_independence: Curve
    residuals: Residuals
    local: tuple[LocalState, ...]
    cycles: Cycles
    difficulty: tuple[Difficulty, ...]
    head: Head | None
    stopping: tuple[Stopping, ...]
    pictures: tuple[Picture, ...]
    advice: tuple[Advice, ...]

    def mode(self, letter: str) -> Mode:
        """One of the four."""
        return next(mode for mode in self.modes if mode.mode == letter)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: numbers of six significant digits, None for NaN; modes by their letter."""
        told = _plain(self)
        told["modes"] = {mode.pop("mode"): mode for mode in told["modes"]}
        return told


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
