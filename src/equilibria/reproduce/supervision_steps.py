"""FPRM App. "How to effectively spend loops in TRM?": supervision steps against inner cycles.

One trained TRM is run with more or fewer H and L cycles an iteration, and with as many iterations (the
paper's supervision steps) as a fixed number of block applications allows. Nothing is trained again.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from equilibria.diagnostics.drawing import COLOURS, LINES, MARKERS, picture
from equilibria.reproduce.boards import TRM, Variant, beside, exact, precise, trials
from equilibria.reproduce.cells import Trial, described, measured
from equilibria.reproduce.reproduction import Findings, Reproduction, Row, Setup, Sheet, half_range, mean
from equilibria.reproduce.runs import CachedRun
from equilibria.reproduce.statements import Statement, sheet, told

CYCLES = ((1, 2), (2, 4), (3, 6), (4, 8), (6, 12))  # (H, L): L is twice H, as the paper has it
BUDGET = {"cpu": 360, "paper": 1040}  # blocks applied a problem; FPRM: 1,040
PROBLEMS = {"cpu": 500, "paper": 2048}
PUBLISHED = (
    "Published as a figure without numbers: at about 1,040 layers accuracy is the higher the more of them "
    "are spent on supervision steps and the fewer within one."
)


def iterations(cycles: tuple[int, int], layers: int, budget: int) -> int:
    """As many as come nearest to the budget of block applications; one update applies `layers`."""
    slow, fast = cycles
    return max(1, round(budget / (slow * (fast + 1) * layers)))


def measure(trial: Trial, run: CachedRun, device: str, scale: str) -> Row:
    """Train, if that was not done, and spend the budget in every way; the trained cycles are among them."""
    precise()
    problems, own = run.splits.held_out[: PROBLEMS[scale]], run.recipe.reasoner.model_dump()
    trained = (own["H_cycles"], own["L_cycles"])
    ways, budget = sorted({trained, *CYCLES}), BUDGET[scale]
    asked = {"ways": [list(way) for way in ways], "budget": budget, "problems": problems.fingerprint()}

    def find() -> Row:
        pipeline, _ = run.trained(device)
        rows: list[Row] = []
        for way in ways:
            pipeline.reasoner.adjust({"H_cycles": way[0], "L_cycles": way[1]})
            steps = iterations(way, own["layers"], budget)
            about = {"H_cycles": way[0], "L_cycles": way[1], "steps": steps, "trained": way == trained}
            rows.append(about | exact(pipeline, problems, steps, halting="fixed"))
        return {"rows": rows}

    return run.once("supervision-steps", asked, find)


def run(setup: Setup) -> Findings:
    """One reasoner a seed, every way to spend the budget."""
    todo = trials([Variant("TRM", TRM)], setup)
    work = partial(measure, device=setup.device, scale=setup.scale)
    done = measured(
        todo, work, setup, lambda found: f"{found['rows'][0]['accuracy']:.1f}% with fewest cycles"
    )
    table = [summary(rows) for rows in zip(*(found["rows"] for _, found in done), strict=True)]
    drawing = setup.out / "supervision-steps.png"
    budget = BUDGET[setup.scale]
    draw(table, budget, drawing)
    said = [statement(table)]
    columns = {
        "H cycles": "{H_cycles}",
        "L cycles": "{L_cycles}",
        "steps": "{steps}",
        "layers": "{layers:.0f}",
        "exact %": "{accuracy:.1f} ±{spread:.1f}",
        "": "{mark}",
    }
    title = f"one TRM at about {budget:,} block applications; mean ± half the range of {setup.seeds_in_words}"
    notes = [told(said), PUBLISHED, *beside(setup.scale, todo[0].recipe, table[0]["parameters"])]
    return Findings(
        [Sheet("supervision-steps", title, table, columns), sheet(said)],
        notes,
        [drawing],
        {"budget": budget, "recipes (first seed)": described(todo)},
    )


def summary(rows: Sequence[Row]) -> Row:
    """One way over the seeds."""
    kept = {
        key: rows[0][key] for key in ("H_cycles", "L_cycles", "steps", "trained", "problems", "parameters")
    }
    means = {key: mean(rows, key) for key in ("layers", "accuracy", "low", "high")}
    mark = "as trained" if kept["trained"] else ""
    return kept | means | {"spread": half_range(rows, "accuracy"), "seeds": len(rows), "mark": mark}


def statement(table: Sequence[Row]) -> Statement:
    """That more supervision steps are the better way, among those with twice as many L as H cycles."""
    kept = sorted(
        (row for row in table if row["L_cycles"] == 2 * row["H_cycles"]), key=lambda row: row["steps"]
    )
    values = ", ".join(f"{row['steps']}: {row['accuracy']:.1f}%" for row in kept)
    best = max(kept, key=lambda row: row["accuracy"])
    half = max((row["high"] - row["low"]) / 2 for row in kept)
    return Statement(
        "at equal compute, the most supervision steps are best",
        "the budget is best spent on supervision steps",
        f"{values}, each ±{half:.1f} by the number of puzzles",
        best is kept[-1],
    )


def draw(table: Sequence[Row], budget: int, path: Path) -> None:
    """Accuracy over supervision steps; beside each point what an iteration holds."""
    rows = sorted(
        (row for row in table if row["L_cycles"] == 2 * row["H_cycles"]), key=lambda row: row["steps"]
    )
    with picture(path) as (_, axes):
        below = [row["accuracy"] - row["low"] for row in rows]
        above = [row["high"] - row["accuracy"] for row in rows]
        axes.errorbar(
            [row["steps"] for row in rows],
            [row["accuracy"] for row in rows],
            [below, above],
            color=COLOURS[0],
            marker=MARKERS[0],
            linestyle=LINES[0],
            capsize=2,
            label="L cycles twice H cycles",
        )
        for row in rows:
            cycles = f"H {row['H_cycles']}, L {row['L_cycles']}"
            at = (row["steps"], row["accuracy"])
            axes.annotate(cycles, at, (4, -9), textcoords="offset points", fontsize=6)
        for row in table:
            if row["trained"]:
                label = f"as trained: H {row['H_cycles']}, L {row['L_cycles']}"
                look = {"color": COLOURS[1], "marker": MARKERS[1], "mfc": "none", "linestyle": "none"}
                axes.plot([row["steps"]], [row["accuracy"]], markersize=7, label=label, **look)
        axes.margins(x=0.15)
        axes.set_xscale("log")
        axes.get_xaxis().set_major_formatter("{x:.0f}")
        axes.set_xlabel(f"supervision steps, at {budget:,} blocks applied")
        axes.set_ylabel("exact accuracy (%), bar: 95%")
        axes.legend(loc="best")


REPRODUCTION = Reproduction(
    name="supervision-steps",
    what="FPRM App. 'How to effectively spend loops in TRM?': supervision steps against inner cycles",
    scales={
        "cpu": "1 run of TRM a seed on 6×6 Sudoku, shared with others: about 2 minutes on one core, and 2 of "
        "inference",
        "paper": "1 run of TRM a seed, 50,000 steps of 768 on Sudoku-Extreme",
    },
    run=run,
    seeds=1,
)
