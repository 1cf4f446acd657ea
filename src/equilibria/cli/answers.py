"""Answers as a person sees them: boards, or lines of a table, and what to think of them."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import equilibria as eq
from equilibria.errors import EquilibriaError
from equilibria.tables import table_format

if TYPE_CHECKING:
    from torch import Tensor

FEW = 3  # so many boards are drawn whole; more become lines of a table
DRAWN = 6  # so many problems go into a picture


def show_answers(
    console: Console,
    pipeline: "eq.Pipeline",
    problems: "eq.Problems",
    answers: Sequence["eq.Answer"],
    sure: bool,
) -> None:
    """Draw a few answers, or list many. `sure`: a confidence was asked for; what misses it is no answer."""
    if len(answers) > FEW:
        console.print(_table(answers, sure, pipeline.task.rules))
        return
    for answer in answers:
        console.print()
        given = problems.inputs[answer.index]
        console.print(pipeline.task.render(given, None if sure and not answer.settled else answer.tokens))
        console.print(_facts(answer, sure, pipeline.task.rules), highlight=False, soft_wrap=True)


def draw_answers(
    console: Console,
    pipeline: "eq.Pipeline",
    scan: "eq.Scan",
    answers: Sequence["eq.Answer"],
    sure: bool,
    file: Path | None,
    png: Path,
) -> None:
    """Draw the first problems of `scan` with their answers, and the right ones where `file` has them."""
    few = answers[:DRAWN]
    labels = None if file is None else _right_answers(pipeline, scan, len(few), file)
    drawn: list[tuple[str, list[eq.Panel]]] = []
    for answer in few:
        given, label = scan.problems.inputs[answer.index], None if labels is None else labels[answer.index]
        told = answer.restarts > 0 and (answer.settled or not sure)
        panels = pipeline.task.panels(given, answer.tokens if told else None, label)
        drawn.append((f"{answer.index + 1} · {_course(answer, sure)}", panels))
    eq.draw_panels(drawn, png)
    say_drawn(console, len(few), len(scan.problems), png)


def say_drawn(console: Console, drawn: int, there: int, png: Path) -> None:
    """Say where a picture is, and how many of the problems that there are it shows."""
    all_of_them = f"{there:,} {'problem' if there == 1 else 'problems'}"
    which = f"the first {drawn} of {all_of_them}" if drawn < there else all_of_them
    console.print(f"{which} drawn in {png}", highlight=False, markup=False, soft_wrap=True)


def _right_answers(pipeline: "eq.Pipeline", scan: "eq.Scan", count: int, file: Path) -> "Tensor | None":
    """Labels of the first `count` problems, where the file itself has them; none are computed."""
    if table_format(file) is None and pipeline.task.rules:
        return None
    try:
        known = pipeline.task.read(file, limit=int(scan.places[count - 1]) + 1)
    except EquilibriaError:  # it has none, or a row among them is no problem
        return None
    return known.labels if known.inputs.equal(scan.problems.inputs[:count]) else None


def kept_rules(rules: bool) -> str:
    """What is said of answers that pass for valid, after their number, where a task has rules or none."""
    return "keep all rules" if rules else "are whole (no rule is known to check them by)"


def conclude(console: Console, answers: Sequence["eq.Answer"], sure: bool, rules: bool) -> None:
    """Say how many are right as far as the task's rules tell; exits with 1 where one breaks them."""
    given = [answer for answer in answers if answer.settled or not sure]
    broken = [answer.index + 1 for answer in given if not answer.valid]
    if len(answers) > 1:
        settled = sum(answer.settled for answer in answers)
        nfe = sum(answer.nfe for answer in answers)
        rest = (
            f"; {len(answers) - len(given):,} unsettled, no answer given"
            if sure
            else f"; {settled:,} settled"
        )
        console.print(
            f"{len(given) - len(broken):,} of {len(answers):,} answers {kept_rules(rules)}{rest}; "
            f"{nfe:,} NFE",
            highlight=False,
            soft_wrap=True,
        )
    if stopped := sum(not answer.complete for answer in answers):
        console.print(f"stopped early: {stopped:,} are the best so far", highlight=False)
    if broken:
        listed = ", ".join(map(str, broken[:20])) + (" …" if len(broken) > 20 else "")
        console.print(
            f"[bold]{len(broken):,} broken[/]: number {listed}. More depth or breadth may help.",
            highlight=False,
        )
        raise typer.Exit(1)


def as_line(answer: "eq.Answer", sure: bool) -> str:
    """One answer as a line of JSON."""
    told = not sure or answer.settled
    row = {
        "index": answer.index,
        "question": answer.problem,
        "answer": answer.answer if told else None,
        "valid": answer.valid if told else None,
        "settled": answer.settled,
        "confidence": None if math.isnan(answer.confidence) else round(answer.confidence, 6),
        "residual": None if math.isnan(answer.residual) else answer.residual,
        "nfe": answer.nfe,
        "restarts": answer.restarts,
        "complete": answer.complete,
    }
    return json.dumps(row)


def _facts(answer: "eq.Answer", sure: bool, rules: bool) -> str:
    if (sure and not answer.settled) or not answer.restarts:
        return _course(answer, sure)
    kept = "keeps all rules" if rules else "no rule is known to check it by"
    verdict = kept if answer.valid else "BREAKS THE RULES: " + "; ".join(answer.violations[:3])
    return f"{answer.answer}\n{verdict}; {_course(answer, sure)}"


def _course(answer: "eq.Answer", sure: bool) -> str:
    """How it came to an answer, or to none, and what that cost."""
    cost = f"{answer.nfe:,} NFE in {answer.restarts:,} {'restart' if answer.restarts == 1 else 'restarts'}"
    known = "" if math.isnan(answer.confidence) else f"; right with probability {answer.confidence:.3f}"
    if sure and not answer.settled:
        return f"unsettled: no answer is probable enough{known}; {cost}"
    if not answer.restarts:
        return "not begun before the call was stopped"
    rest = "ended by its halting rule" if answer.halted else "at rest" if answer.settled else "not settled"
    agree = f"; {100 * answer.agreement:.0f}% of restarts agree" if answer.restarts > 1 else ""
    return (
        f"{rest} (residual {answer.residual:.2f}, {answer.relative_residual:.3f} per element){known}; "
        f"{cost}{agree}"
    )


def _table(answers: Sequence["eq.Answer"], sure: bool, rules: bool) -> Table:
    known = any(not math.isnan(answer.confidence) for answer in answers)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("answer", overflow="fold")
    for name in (
        *(("rules",) if rules else ()),
        "rest",
        *(("right",) if known else ()),
        "residual",
        "NFE",
        "agree",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for answer in answers:
        told = answer.settled or not sure
        table.add_row(
            str(answer.index + 1),
            answer.answer if told else "unsettled",
            *(((("ok" if answer.valid else "BROKEN") if told else "–"),) if rules else ()),
            "yes" if answer.settled else "no",
            *((f"{answer.confidence:.3f}",) if known else ()),
            f"{answer.residual:.2f}",
            f"{answer.nfe:,}",
            f"{100 * answer.agreement:.0f}%",
        )
    return table
