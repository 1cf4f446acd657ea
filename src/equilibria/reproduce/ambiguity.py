"""EqR App. C.2: labels that name one of several right answers, and what they do to depth.

One recipe learns three sorts of mazes of one size. In two of them the labels are the only right answers:
mazes without loops (Maze-Unique), and mazes walled at random of which only those with one shortest path are
kept. The third is walled at random likewise, with whatever number of shortest paths, one of which is the
label (as in Maze-Hard). The last two differ in nothing else.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from equilibria.diagnostics.drawing import COLOURS, MARKERS, picture
from equilibria.reproduce.maze import EQR
from equilibria.reproduce.mazes import Variant, all_scores, attempts, by_method, draw_over_depth
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet

RANDOM = ("task.mode=random",)
PERFECT = Variant("without loops", EQR.recipe, breadth=EQR.breadth)
UNIQUE = Variant("one shortest path", EQR.recipe, (*RANDOM, "task.unique=true"))
AMBIGUOUS = Variant("several shortest paths", EQR.recipe, (*RANDOM, "task.unique=false"))
VARIANTS = (PERFECT, UNIQUE, AMBIGUOUS)


def run(setup: Setup) -> Findings:
    """Train, test at every depth, and set the sorts of mazes beside each other."""
    done = all_scores(VARIANTS, setup)
    summaries = [row for row in by_method(done) if row["breadth"] == 1]
    drawing = setup.out / "maze-ambiguity.png"
    draw(summaries, drawing)
    trained, recipe = summaries[0]["trained"], attempts((PERFECT,), setup)[0].recipe
    shown = [row for row in summaries if row["depth"] / trained in (0.5, 1, 2, 4, 8)]
    columns = {
        "mazes": "{method}",
        "D": "{depth}",
        "exact %": "{exact:.1f} ± {spread:.1f}",
        "any shortest path %": "{any_shortest:.1f}",
        "AUROC": "{auroc:.3f}",
        "residual": "{residual:.3f}",
    }
    title = (
        f"{recipe.task['size']}×{recipe.task['size']} mazes, {recipe.training.steps:,} steps of "
        f"{recipe.training.batch}, trained at depth {trained}; mean ± half the range of "
        f"{setup.seeds} seed{'s' if setup.seeds > 1 else ''}"
    )
    recipes = {a.variant.label: a.recipe.model_dump(mode="json") for a in attempts(VARIANTS, setup)[:3]}
    sheets = [
        Sheet("maze-ambiguity", title, shown, columns),
        Sheet("depths", "every depth", summaries, {}),
        Sheet("runs", "every run", done, {}),
    ]
    notes = [verdict(summaries, variant.label) for variant in VARIANTS]
    return Findings(sheets, notes, [drawing], {"recipes (first seed)": recipes})


def verdict(summaries: Sequence[Row], method: str) -> str:
    """How accuracy goes on beyond the depth of training: to twice it, and from there to eight times."""
    rows = {row["depth"]: row for row in summaries if row["method"] == method}
    trained = next(iter(rows.values()))["trained"]
    at = [rows[factor * trained] for factor in (1, 2, 8)]
    exact = [row["exact"] for row in at]
    shortest = [row["any_shortest"] for row in at]
    depths = ", ".join(str(row["depth"]) for row in at)
    return (
        f"Mazes {'with ' if 'path' in method else ''}{method}, depth {depths}: exact accuracy "
        f"{_steps(exact)}; answers that are a shortest path {_steps(shortest)}."
    )


def _steps(values: Sequence[float]) -> str:
    """`58.9 → 80.0 (+21.1) → 82.8 (+2.8)`."""
    changes = [f"→ {after:.1f} ({after - before:+.1f})" for before, after in pairwise(values)]
    return " ".join([f"{values[0]:.1f}", *changes])


def draw(summaries: Sequence[Row], path: Path) -> None:
    """Accuracy over depth for each sort of mazes; any shortest path where that is another number."""
    with picture(path) as (_, axes):
        draw_over_depth(axes, summaries, VARIANTS)
        place = VARIANTS.index(AMBIGUOUS)
        rows = [row for row in summaries if row["method"] == AMBIGUOUS.label]
        axes.plot(
            [row["depth"] for row in rows],
            [row["any_shortest"] for row in rows],
            color=COLOURS[place],
            marker=MARKERS[place],
            mfc="white",
            linestyle=":",
            label="several: any of them",
        )
        axes.legend(loc="lower right")


REPRODUCTION = Reproduction(
    name="maze-ambiguity",
    what="EqR App. C.2: labels that name one of several answers",
    scales={
        "cpu": "6 runs (3 sorts of 11×11 mazes, 2 seeds), of which `maze` shares 2: 10 to 13 minutes "
        "each on one core",
        "paper": "6 runs of 100,000 steps at 30×30: not timed yet",
    },
    run=run,
)
