"""What `equilibria data inspect` prints: a survey of grids, its findings, and a recipe with its cost."""

import shlex
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

import equilibria as eq
from equilibria.cli.train import plan_table

RECIPE = "eqr-grid"
SMALL = 256  # tokens up to which a token MLP suits a board that is always filled
ATTENTION = ["reasoner.mixing=attention", "reasoner.positions=rope2d"]
SHOWN = 16  # symbols, and shapes, that are listed one by one
LARGE = 4096  # tokens beyond which attention over all of them is no longer for a CPU
MEMORY = 4e9  # bytes that a run on a small machine may take
RARE = 0.001  # share of target cells


def show_survey(
    survey: "eq.Survey", source: str, settings: Sequence[str], console: Console, *, cost: bool
) -> None:
    """Print a survey of `source`, taken with these settings."""
    table = Table(title=escape(source), show_header=False, title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column()
    for name, value in _facts(survey):
        table.add_row(name, escape(value))
    console.print(table)
    console.print(_symbols(survey))
    findings = list(_findings(survey))
    console.print("\n[bold]findings[/]" if findings else "\nNothing in it will make training hard.")
    for title, text in findings:
        console.print(f"[yellow]•[/] [bold]{escape(title)}[/]", highlight=False)
        console.print(Padding(text, (0, 0, 0, 2)), highlight=False, markup=False)
    mixing = [] if len(survey.shapes) == 1 and survey.task.tokens <= SMALL else ATTENTION
    overrides = [f"data={source}", *(f"task.{one}" for one in settings), *mixing]
    plan = None
    if cost and survey.task.tokens <= LARGE:
        plan, batch = _plan(survey, source, mixing)
        overrides += batch
    console.print("\n[bold]a recipe for it[/]")
    command = f"  equilibria train {RECIPE} {shlex.join(overrides)}"
    console.print(command, highlight=False, markup=False, soft_wrap=True)
    if plan is not None:
        console.print(plan_table(plan))


def _plan(survey: "eq.Survey", source: str, mixing: list[str]) -> tuple["eq.Plan", list[str]]:
    """What the recipe costs on this data, with tokens mixed so, and a batch that a small machine can hold;
    overrides for that."""
    recipe = eq.load_recipe(RECIPE)
    task = {"name": survey.task.name} | survey.task.config.model_dump(mode="json")
    data = recipe.data.model_copy(update={"source": source})
    recipe = recipe.model_copy(update={"task": task, "data": data})
    plan = eq.plan(recipe, mixing)
    batch = recipe.training.batch
    while batch > 8 and plan.cost.memory * batch / recipe.training.batch > MEMORY:
        batch //= 2
    if batch == recipe.training.batch:
        return plan, []
    fewer = [f"training.batch={batch}"]
    return eq.plan(recipe, [*mixing, *fewer]), fewer


def _facts(survey: "eq.Survey") -> Iterator[tuple[str, str]]:
    task = survey.task
    height, width = task.board
    files = [f"{path.name}, {format}: {rows:,} problems" for path, format, rows in survey.files]
    yield "files" if len(files) > 1 else "file", "\n".join(files)
    shapes = [f"{tall}×{wide} ({count:,})" for (tall, wide), count in survey.shapes[:SHOWN]]
    more = f" and {len(survey.shapes) - SHOWN} more" if len(survey.shapes) > SHOWN else ""
    if len(shapes) == 1:
        yield "shape", f"{height}×{width}, all problems: {task.tokens} tokens"
    else:
        yield "shapes", ", ".join(shapes) + more
        yield "board", f"{height}×{width}: {task.tokens} tokens, {survey.padding:.0%} of all are padding"
    count = len(survey.inputs)
    yield "vocabulary", f"{count} symbols, and 0 as padding: {task.vocab_size} tokens"
    if survey.unscored:
        yield "not scored", f"{survey.unscored:,} cells of targets ({task.config.ignore} or null)"
    yield "unchanged", f"{survey.kept:.1%} of the scored cells have the symbol that the input has there"
    how = "the second file" if len(survey.files) > 1 else "chosen by a hash of the input"
    yield "held out", f"{_many(survey.held_out, 'problem', 'problems')}: {how}"


def _symbols(survey: "eq.Survey") -> Table:
    """How often each symbol stands in inputs and targets, the most frequent in targets first."""
    table = Table(title="cells", title_justify="left")
    for name in ("symbol", "token"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("in inputs", "in targets"):
        table.add_column(name, justify="right")
    symbols = sorted(survey.inputs, key=lambda one: (-survey.targets[one], -survey.inputs[one]))
    tokens = {symbol: token for token, symbol in enumerate(survey.inputs, 1)}
    totals = [max(sum(counts.values()), 1) for counts in (survey.inputs, survey.targets)]
    for symbol in symbols[:SHOWN]:
        shares = [
            _share(counts[symbol], total)
            for counts, total in zip((survey.inputs, survey.targets), totals, strict=True)
        ]
        table.add_row("' '" if symbol == " " else escape(symbol), str(tokens[symbol]), *shares)
    if len(symbols) > SHOWN:
        table.caption = f"and {len(symbols) - SHOWN} symbols more, which are rarer in targets"
    return table


def _share(count: int, total: int) -> str:
    return f"{count:,} ({count / total:.1%})" if count else "–"


def _findings(survey: "eq.Survey") -> Iterator[tuple[str, str]]:
    """What is worth a thought before training, as a title and a text."""
    if survey.ambiguous:
        yield (
            f"{_many(survey.ambiguous, 'input has', 'inputs have')} several targets, "
            f"in {survey.ambiguous_rows:,} rows",
            f"{_pairs(survey.ambiguous_places)}. A reasoner learns one resting point for each problem. Where "
            "labels pick one of several right answers, the loss pulls to one of them and away from the "
            "others: the attractors compete, training is unstable, and more depth or restarts no longer "
            "help (EqR, App. C.2: trained on mazes with several shortest paths, accuracy stayed flat or fell "
            "with depth; on mazes with one it rose). Keep one target by a rule that the input decides, or "
            "leave these problems out. Rows whose answer is not unique but that stand here once cannot be "
            "found so.",
        )
    if survey.repeated:
        yield (
            f"{_many(survey.repeated, 'row repeats', 'rows repeat')} an earlier one, input and target",
            f"{_pairs(survey.repeated_places)}. They weigh more in training; none is both trained on and "
            "held out.",
        )
    if survey.shared:
        yield (
            f"{_many(survey.shared, 'input stands', 'inputs stand')} in both files",
            "What is trained on is left out of what is held out.",
        )
    total = max(sum(survey.targets.values()), 1)
    symbol, most = max(survey.targets.items(), key=lambda one: one[1])
    if most > 0.8 * total:
        yield (
            f"{most / total:.1%} of all target cells are {symbol!r}",
            "So that much accuracy a cell is worth nothing; look at whole grids, and at the rare symbols.",
        )
    rare = [one for one, count in survey.targets.items() if 0 < count < RARE * total]
    if rare:
        shown = " ".join(rare[:8]) + (" …" if len(rare) > 8 else "")
        yield (
            f"{_many(len(rare), 'symbol is', 'symbols are')} rarer than one in a thousand target cells",
            f"{shown}: a reasoner sees little of them.",
        )
    height, width = survey.task.board
    side = round(width**0.5)
    if height == 1 and side > 1 and side * side == width and len(survey.shapes) == 1:
        yield (
            f"each problem is one row of {width} cells",
            f"If that is a board of {side}×{side}, say so with height={side} width={side}: attention then "
            "knows rows and columns, and symmetries can be used.",
        )
    if survey.padding > 0.5:
        yield (
            f"{survey.padding:.0%} of the board is padding",
            "Every problem costs as much as the largest. Leave out the few that are largest.",
        )
    if survey.task.tokens > LARGE:
        yield (
            f"{survey.task.tokens:,} tokens a problem",
            "Attention compares each with each: cut the grids into smaller ones, or plan for a GPU.",
        )
    if survey.rows < 1000:
        yield (
            f"{survey.rows:,} problems are few",
            "Symmetries make more of them where they hold: symmetry=dihedral (turned and mirrored grids), "
            "relabel=[…] (symbols that may change places).",
        )


def _many(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"


def _pairs(places: tuple[tuple[str, str], ...]) -> str:
    return "For instance " + "; ".join(f"{one} and {other}" for one, other in places)
