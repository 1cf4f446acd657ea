"""EqR Tab. 3 and 4, the columns of Maze-Unique: random initial states and noise, then depth, then breadth.

TRM and EqR are one network here: all that EqR adds is a random initial state (RI), noise on the path (NI) and
damping. Both learn from the same mazes for equally many steps. Then each runs deeper than it was trained, and
EqR from many initial states.
"""

from collections.abc import Sequence
from pathlib import Path

from equilibria.diagnostics.drawing import COLOURS, picture
from equilibria.reproduce.mazes import Variant, all_scores, attempts, by_method, draw_over_depth
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet

TRM, EQR = (
    Variant("TRM", {"cpu": "trm-maze11-cpu", "paper": "trm-maze-unique"}),
    Variant("EqR", {"cpu": "eqr-maze11-cpu", "paper": "eqr-maze-unique"}, breadth=16),
)
SINGLE, AVERAGE, VOTE, CONVERGED = "single", "average", "majority", "Top-1 convergence"
PUBLISHED = {
    ("TRM", 1, 1, SINGLE): 44.9,
    ("EqR", 1, 1, SINGLE): 82.2,
    ("EqR", 4, 1, SINGLE): 88.9,
}
"""By method, depth over that of training, breadth and selection; 93.0 needs 128 restarts."""
BESIDE = (
    "Published, at 30×30 after 100,000 steps: TRM 44.9%, EqR 82.2% at (16, 1), 88.9% at (64, 1), 93.0% at "
    "(64, 128). Mazes and networks are smaller here: compare the signs of the gaps, not the values."
)


def budgets(summaries: Sequence[Row]) -> list[Row]:
    """The lines of the table: one for each method, budget and way to choose among restarts."""
    lines: list[Row] = []
    for row in summaries:
        factor = row["depth"] / row["trained"]
        if factor not in (1, 4, 8):
            continue
        ways = {SINGLE: row["exact"]}
        if row["breadth"] > 1:
            ways = {AVERAGE: row["exact"], VOTE: row["majority"], CONVERGED: row["most_converged"]}
        for way, accuracy in ways.items():
            lines.append(
                row
                | {
                    "selection": way,
                    "accuracy": accuracy,
                    "spread": row["spread"] if way in (SINGLE, AVERAGE) else None,
                    "published": PUBLISHED.get((row["method"], factor, row["breadth"], way)),
                }
            )
    return lines


def run(setup: Setup) -> Findings:
    """Train, test, and set the budgets beside each other."""
    done = all_scores((TRM, EQR), setup)
    summaries = by_method(done)
    drawing = setup.out / "maze.png"
    draw(summaries, drawing)
    lines = budgets(summaries)
    first, recipe = summaries[0], attempts((EQR,), setup)[0].recipe
    columns = {
        "method": "{method}",
        "D": "{depth}",
        "B": "{breadth}",
        "chosen by": "{selection}",
        "mazes": "{problems:,}",
        "exact %": "{accuracy:.1f}",
        "±": "{spread:.1f}",
        "AUROC": "{auroc:.3f}",
        "ΔPI %": "{path_independence:.1f}",
        "paper %": "{published:.1f}",
    }
    title = (
        f"{recipe.task['size']}×{recipe.task['size']} mazes with one way; {recipe.training.steps:,} steps of "
        f"{recipe.training.batch}, trained at depth {first['trained']}; mean and half the range of "
        f"{setup.seeds} seed{'s' if setup.seeds > 1 else ''}"
    )
    recipes = {a.recipe.name: a.recipe.model_dump(mode="json") for a in attempts((TRM, EQR), setup)[:2]}
    sheets = [
        Sheet("maze", title, lines, columns),
        Sheet("depths", "every depth", summaries, {}),
        Sheet("runs", "every run", done, {}),
    ]
    return Findings(sheets, [*verdict(lines), BESIDE], [drawing], {"recipes (first seed)": recipes})


def verdict(lines: Sequence[Row]) -> list[str]:
    """Which of the paper's statements hold here, in the table's own numbers."""
    at = {
        (row["method"], row["depth"] // row["trained"], row["breadth"], row["selection"]): row
        for row in lines
    }

    many = EQR.breadth
    trm, trm_deep = at["TRM", 1, 1, SINGLE], at["TRM", 4, 1, SINGLE]
    eqr, eqr_deep = at["EqR", 1, 1, SINGLE], at["EqR", 4, 1, SINGLE]
    mean, vote, converged = (at["EqR", 4, many, way] for way in (AVERAGE, VOTE, CONVERGED))
    coupling = eqr_deep["auroc"]
    told = "nothing to tell apart" if coupling is None else f"AUROC {coupling:.3f}"
    apart = abs(eqr["accuracy"] - trm["accuracy"]) > eqr["spread"] + trm["spread"]
    return [
        _statement("RI and NI lift accuracy at the depth of training", trm, eqr)
        + ("" if apart else " That is within the spread of the seeds."),
        _statement("Depth beyond training helps EqR (4 times)", eqr, eqr_deep),
        _statement("It helps TRM", trm, trm_deep),
        _statement(f"A vote of {many} restarts helps", mean, vote),
        _statement(f"The most converged of {many} helps", mean, converged),
        f"The residual tells right from wrong, at four times the depth (1 perfectly, ½ not at all): {told}.",
    ]


def _statement(what: str, before: Row, after: Row) -> str:
    """Whether accuracy rises from one line of the table to another."""
    low, high = before["accuracy"], after["accuracy"]
    word = "yes" if high > low else "no change" if high == low else "no"
    return f"{what}: {word}, {low:.1f} to {high:.1f}%."


def draw(summaries: Sequence[Row], path: Path) -> None:
    """Accuracy of single trajectories over depth, and of many restarts."""
    with picture(path) as (_, axes):
        draw_over_depth(axes, summaries, (TRM, EQR))
        many = [row for row in summaries if row["breadth"] > 1]
        style = {"color": COLOURS[1], "mfc": "white", "linestyle": "none"}
        for marker, key, name in (("^", "most_converged", "most converged"), ("v", "majority", "majority")):
            label = f"EqR, {name} of {EQR.breadth}"
            axes.plot([r["depth"] for r in many], [r[key] for r in many], marker=marker, label=label, **style)
        axes.legend(loc="lower right")


REPRODUCTION = Reproduction(
    name="maze",
    what="EqR Tab. 3, 4 (Maze-Unique): RI + NI, depth, breadth",
    scales={
        "cpu": "4 runs (TRM and EqR, 2 seeds) of 2,000 steps on 11×11 mazes: 10 to 13 minutes each on "
        "one core",
        "paper": "4 runs (TRM and EqR, 2 seeds) of 100,000 steps at 30×30: not timed yet",
    },
    run=run,
)
