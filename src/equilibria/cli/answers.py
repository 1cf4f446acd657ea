"""Answers as a person sees them: boards, or lines of a table, and what to think of them."""

import json
import math
from collections.abc import Sequence

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import equilibria as eq

FEW = 3  # so many boards are drawn whole; more become lines of a table


def show_answers(
    console: Console,
    pipeline: "eq.Pipeline",
    problems: "eq.Problems",
    answers: Sequence["eq.Answer"],
    sure: bool,
) -> None:
    """Draw a few answers, or list many. `sure`: a confidence was asked for; what misses it is no answer."""
    if len(answers) > FEW:
        console.print(_table(answers, sure))
        return
    for answer in answers:
        console.print()
        given = problems.inputs[answer.index]
        console.print(pipeline.task.render(given, None if sure and not answer.settled else answer.tokens))
        console.print(_facts(answer, sure, pipeline.task.rules), highlight=False, soft_wrap=True)


def conclude(console: Console, answers: Sequence["eq.Answer"], sure: bool) -> None:
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
            f"{len(given) - len(broken):,} of {len(answers):,} answers keep all rules{rest}; {nfe:,} NFE",
            highlight=False,
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
    cost = f"{answer.nfe:,} NFE in {answer.restarts:,} {'restart' if answer.restarts == 1 else 'restarts'}"
    known = "" if math.isnan(answer.confidence) else f"; right with probability {answer.confidence:.3f}"
    if sure and not answer.settled:
        return f"unsettled: no answer is probable enough{known}; {cost}"
    if not answer.restarts:
        return "not begun before the call was stopped"
    kept = "keeps all rules" if rules else "no rule is known to check it by"
    verdict = kept if answer.valid else "BREAKS THE RULES: " + "; ".join(answer.violations[:3])
    rest = "ended by its halting rule" if answer.halted else "at rest" if answer.settled else "not settled"
    agree = f"; {100 * answer.agreement:.0f}% of restarts agree" if answer.restarts > 1 else ""
    return (
        f"{answer.answer}\n{verdict}; {rest} (residual {answer.residual:.2f}, "
        f"{answer.relative_residual:.3f} per element){known}; {cost}{agree}"
    )


def _table(answers: Sequence["eq.Answer"], sure: bool) -> Table:
    known = any(not math.isnan(answer.confidence) for answer in answers)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("answer", overflow="fold")
    for name in ("rules", "rest", *(("right",) if known else ()), "residual", "NFE", "agree"):
        table.add_column(name, justify="right", no_wrap=True)
    for answer in answers:
        told = answer.settled or not sure
        table.add_row(
            str(answer.index + 1),
            answer.answer if told else "unsettled",
            ("ok" if answer.valid else "BROKEN") if told else "–",
            "yes" if answer.settled else "no",
            *((f"{answer.confidence:.3f}",) if known else ()),
            f"{answer.residual:.2f}",
            f"{answer.nfe:,}",
            f"{100 * answer.agreement:.0f}%",
        )
    return table
