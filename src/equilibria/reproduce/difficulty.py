"""EqR Fig. 16: does the difficulty of a puzzle, as a solver rates it, say what a reasoner gets right?

The shipped reasoners, on held-out puzzles: the 9×9 one by rating, on both sorts of puzzles it was trained on
and, where a folder sudoku-forum is, on harder ones it was not; the 6×6 one by empty cells as well.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from equilibria.diagnostics.adaptivity import RATING, by_difficulty, difficulty, rank_correlation
from equilibria.diagnostics.drawing import COLOURS, COLUMN, LINES, MARKERS, picture
from equilibria.diagnostics.metrics import exactly_right
from equilibria.loading import load
from equilibria.pipeline import Pipeline
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet
from equilibria.shipped import find_checkpoint
from equilibria.tasks import Problems

ALL = "all"
FORUM = Path("sudoku-forum/test.csv")
NINE, SIX = "sudoku-9x9", "sudoku-6x6"
COUNTS = {"cpu": {NINE: 512, SIX: 2000}, "paper": {NINE: 4096, SIX: 2000}}
FEWEST = 40
"""Puzzles of a source that is looked at alone."""
DEPTHS = {NINE: (16,), SIX: (4, 16)}
"""Iterations; a shallow look, too, where the reasoner gets nearly everything right in the end."""


@dataclass(frozen=True)
class Tried:
    """Puzzles, and which of them a reasoner got right.

    Attributes:
        name: of the reasoner.
        depth: of the trajectories.
        problems: that were tried once each.
        right: bool `[problems]`.
        measures: `[problems]` by name, how hard they are.
    """

    name: str
    depth: int
    problems: Problems
    right: Tensor
    measures: Mapping[str, Tensor]


def held_out(pipeline: Pipeline, name: str, count: int) -> Problems:
    """Puzzles that the reasoner was not trained on: of the forum's test set where that is there and fits,
    else those that lie beside its weights."""
    file = FORUM if name == NINE and FORUM.is_file() else find_checkpoint(name) / "held-out.csv"
    return pipeline.task.read(file, limit=count)


def try_out(name: str, setup: Setup) -> list[Tried]:
    """One reasoner at its depths, each puzzle tried once."""
    pipeline = load(name, "cpu" if setup.device == "auto" else setup.device, setup.overrides)
    problems = held_out(pipeline, name, COUNTS[setup.scale][name])
    setup.say(f"{name}: {len(problems):,} puzzles to depth {DEPTHS[name][-1]}")
    pools = pipeline.engine.pools(problems.inputs, depths=DEPTHS[name], breadth=1, seed=setup.seeds - 1)
    assert problems.labels is not None
    measures = {
        measure: values
        for measure, values in difficulty(pipeline.task, problems).items()
        if name == SIX
        or measure == RATING  # the number of clues of these 9×9 puzzles gives their source away
    }
    return [
        Tried(name, depth, problems, exactly_right(pool.answers[:, 0], problems.labels), measures)
        for depth, pool in zip(DEPTHS[name], pools, strict=True)
    ]


def sources(problems: Problems) -> list[str]:
    """Where at least `FEWEST` of the puzzles come from, the largest source first."""
    counts = Counter(problems.sources)
    return [name for name, count in counts.most_common() if count >= FEWEST]


def groups(tried: Tried) -> list[Row]:
    """Accuracy by difficulty, of all puzzles and of every source."""
    rows: list[Row] = []
    for measure, values in tried.measures.items():
        several = sources(tried.problems) if len(set(tried.problems.sources)) > 1 else []
        for source in (ALL, *several):
            chosen = [source in (ALL, one) for one in tried.problems.sources]
            where = values.new_tensor(chosen).bool()
            right = tried.right[where]
            for group in by_difficulty(values[where], right.double(), right):
                told = {
                    name: value
                    for name, value in asdict(group).items()
                    if name in ("low", "high", "problems")
                }
                low, high = group.ci95
                rows.append(
                    {"reasoner": tried.name, "depth": tried.depth, "measure": measure, "source": source}
                    | told
                    | {"accuracy": 100 * group.accuracy, "half": 50 * (high - low)}
                    | {"ci95_low": 100 * low, "ci95_high": 100 * high}
                    | {"correlation": rank_correlation(values[where], right)}
                )
    return rows


def run(setup: Setup) -> Findings:
    """Try the puzzles, and group them by difficulty."""
    tried = [one for name in (NINE, SIX) for one in try_out(name, setup)]
    table = [row for one in tried for row in groups(one)]
    drawing = setup.out / "difficulty.png"
    draw(table, drawing)
    columns = {
        "reasoner": "{reasoner}",
        "D": "{depth}",
        "by": "{measure}",
        "puzzles from": "{source}",
        "least": "{low:.0f}",
        "most": "{high:.0f}",
        "puzzles": "{problems:,}",
        "exact %": "{accuracy:.1f} ±{half:.1f}",
        "rank corr.": "{correlation:+.2f}",
    }
    single = [
        {"reasoner": one.name, "depth": one.depth, "source": source, "right": right}
        | {measure: values[place].item() for measure, values in one.measures.items()}
        for one in tried
        for place, (source, right) in enumerate(zip(one.problems.sources, one.right.tolist(), strict=True))
    ]
    return Findings(
        [
            Sheet(
                "difficulty", "EqR Fig. 16: accuracy of the shipped reasoners by difficulty", table, columns
            ),
            Sheet("puzzles", "every puzzle", single, {}),
        ],
        [*notes(tried), *within(table), BESIDE],
        [drawing],
        {"puzzles": {one.name: one.problems.fingerprint() for one in tried}, "depths": DEPTHS},
    )


BESIDE = (
    "Published (Fig. 16): the model solves some of the hardest puzzles and fails on some easier ones, so "
    "ratings do not fully predict success. Rank correlations are of difficulty with being right, within the "
    "puzzles named."
)


def notes(tried: Sequence[Tried]) -> list[str]:
    """The hardest puzzle that was solved, and the easiest that was not."""
    said: list[str] = []
    for one in tried:
        for measure, values in one.measures.items():
            start = f"{one.name} at depth {one.depth}, {measure}"
            solved, failed = values[one.right], values[~one.right]
            if not len(solved) or not len(failed):
                said.append(f"{start}: all puzzles alike ({'solved' if len(solved) else 'not solved'}).")
                continue
            hardest, easiest = solved.max().item(), failed.min().item()
            share = (failed < hardest).double().mean().item()
            said.append(
                f"{start} from {values.min():.0f} to {values.max():.0f}: the hardest solved has "
                f"{hardest:.0f}, the easiest not solved {easiest:.0f}; {100 * share:.0f}% of those not "
                f"solved are easier than the hardest solved. Difficulty alone decides (published: no): "
                f"{'no' if share else 'yes'}."
            )
    if not FORUM.is_file():
        said.append(
            f"{NINE} was tried on the examples beside its weights alone: there is no {FORUM} here. Start "
            "where that folder lies, or link it."
        )
    return said


def within(table: Sequence[Row]) -> list[str]:
    """What is left of a correlation inside single sources of puzzles."""
    found = {
        (row["reasoner"], row["depth"], row["measure"], row["source"]): row["correlation"] for row in table
    }
    said: list[str] = []
    for (name, depth, measure, source), whole in found.items():
        parts = {key[3]: value for key, value in found.items() if key[:3] == (name, depth, measure)}
        parts.pop(ALL)
        if source == ALL and parts:
            told = ", ".join(f"{value:+.2f} within {_short(one)}" for one, value in parts.items())
            said.append(
                f"{name} at depth {depth}: {measure} and being right correlate with {whole:+.2f} over all "
                f"puzzles, and {told}. What is more than within them is between sources."
            )
    return said


def draw(table: Sequence[Row], path: Path) -> None:
    """Accuracy by difficulty with 95% intervals: a panel a measure."""
    panels = list(dict.fromkeys((row["reasoner"], row["measure"]) for row in table))
    with picture(path, columns=len(panels), width=2 * COLUMN, height=2.8) as (_, all_axes):
        for axes, (reasoner, measure) in zip(all_axes, panels, strict=True):
            rows = [row for row in table if (row["reasoner"], row["measure"]) == (reasoner, measure)]
            lines = dict.fromkeys((row["depth"], row["source"]) for row in rows)
            for place, (depth, source) in enumerate(lines):
                line = [row for row in rows if (row["depth"], row["source"]) == (depth, source)]
                middles = [(row["low"] + row["high"]) / 2 for row in line]
                errors = [
                    [row["accuracy"] - row["ci95_low"] for row in line],
                    [row["ci95_high"] - row["accuracy"] for row in line],
                ]
                axes.errorbar(
                    *(middles, [row["accuracy"] for row in line], errors),
                    color=COLOURS[place % len(COLOURS)],
                    marker=MARKERS[place % len(MARKERS)],
                    linestyle=LINES[place % len(LINES)],
                    capsize=2,
                    label=f"depth {depth}" if reasoner == SIX else _short(source),
                )
            if measure == RATING:
                axes.set_xscale("symlog", linthresh=1)
                axes.set_xlim(-0.2, None)
                axes.get_xaxis().set_major_formatter("{x:g}")
            axes.set_title(reasoner)
            axes.set_xlabel("rating (guesses of a solver)" if measure == RATING else measure)
            axes.set_ylim(-3, 142)  # room for the legend
            axes.set_yticks(range(0, 101, 20))
            axes.legend(loc="upper left")
        all_axes[0].set_ylabel("exact accuracy (%)")


def _short(source: str) -> str:
    """A source without its place in the collection it is from: `17 clue` of `puzzles2_17_clue`."""
    return source.split("_", 1)[-1].replace("_", " ")


REPRODUCTION = Reproduction(
    name="difficulty",
    what="EqR Fig. 16: accuracy by difficulty",
    scales={
        "cpu": "512 puzzles of 9×9 beside a folder sudoku-forum, 2,000 of 6×6: about 2 minutes on one core, "
        "no training",
        "paper": "4,096 and 2,000 puzzles: not timed yet",
    },
    run=run,
    seeds=1,
)
