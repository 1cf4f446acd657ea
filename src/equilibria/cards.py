"""The card of a checkpoint: what it is, how it was made, how good it is. Every number is measured."""

import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from equilibria.diagnostics.evaluation import AVERAGE, PASS, Evaluation
from equilibria.diagnostics.voting import Voting
from equilibria.recipes import Recipe
from equilibria.tasks import Splits, Task
from equilibria.training.launch import Launch
from equilibria.training.state import Progress
from equilibria.version import code_version

SCORES = "## Scores"


def run_card(
    recipe: Recipe, task: Task, splits: Splits, progress: Progress, launch: Launch, parameters: int
) -> str:
    """The card of a training run as it stands."""
    training = recipe.training
    looked_at = min(training.evaluate_problems, len(splits.held_out), progress.best_step * training.batch)
    score = "not evaluated"
    if progress.best is not None:
        score = (
            f"best {100 * progress.best:.2f}% exact on {looked_at:,} held-out problems "
            f"at depth {training.depth}, breadth 1 (step {progress.best_step:,})"
        )
    facts = {
        "Task": f"{task.name}, {' x '.join(str(side) for side in task.board)}",
        "Parameters": f"{parameters:,}",
        "Recipe": f"`{recipe.name}`: {recipe.summary}",
        "Data": splits.description,
        "Held-out problems": task.overlap(splits.train, splits.held_out),
        "Steps": f"{progress.step:,} of {training.steps:,}, batch {training.batch}, seed {training.seed}",
        "Training time": f"{progress.seconds / 60:.1f} minutes, evaluations and saves left out",
        "Hardware": hardware(launch.device, launch.processes),
        "Code": f"equilibria {code_version()}, torch {torch.__version__}",
        "While training": score,
    }
    return "\n".join(
        [
            "---",
            "library_name: equilibria",
            "license: apache-2.0",
            f"tags: [equilibrium-reasoner, {task.name}]",
            "---",
            f"# {recipe.name}",
            "",
            "A reasoner that thinks by settling: it refines a latent state until it stops moving, and the",
            "answer is read off the state where it settled.",
            "",
            "| | |",
            "| --- | --- |",
            *(f"| {name} | {value} |" for name, value in facts.items() if value),
            "",
        ]
    )


def with_scores(card: str, evaluation: Evaluation, command: str, votings: Sequence[Voting] = ()) -> str:
    """The card with a table of scores at its end, in place of an older one, and the command behind it."""
    context = evaluation.context
    lines = [
        SCORES,
        "",
        f"{context['problems']:,} problems (sha256 of inputs and answers {context['data_sha256'][:16]}…), "
        f"seed {context['seed']}, {context['halting']} halting, {context['dtype']} on {context['device']}, "
        f"code {context['code']}:",
        "",
        f"    {command}",
        "",
        *_table(evaluation),
        *_votes(votings),
    ]
    body = card.partition(SCORES)[0].rstrip()
    return body + "\n\n" + "\n".join(lines) + "\n"


def _table(evaluation: Evaluation) -> Iterator[str]:
    """A line a budget; where labels are not the only right answers, another that counts all valid ones."""
    rows = [row for row in evaluation.rows if row.source == row.rating == "all"]
    several = rows[0].valid_accuracy is not None
    heads = ["depth", "breadth", "NFE", *(("right",) if several else ())]
    heads += ["average", "Top-1 convergence", "majority", "any restart", "residual AUROC"]
    yield f"| {' | '.join(heads)} |"
    yield "| --- " * len(heads) + "|"
    for base in rows:
        if base.selection != AVERAGE:
            continue
        cells = {row.selection: row for row in rows if (row.depth, row.breadth) == (base.depth, base.breadth)}
        chosen = [cells.get(selection) for selection in (AVERAGE, "convergence", "majority", PASS)]
        budget = f"| {base.depth} | {base.breadth} | {base.nfe_mean:.1f} |"
        exact = " | ".join(_percent(None if row is None else row.exact_accuracy) for row in chosen)
        label = " label |" if several else ""
        yield f"{budget}{label} {exact} | {evaluation.auroc[base.depth]:.3f} |"
        if several:
            valid = " | ".join(_percent(None if row is None else row.valid_accuracy) for row in chosen)
            yield f"{budget} any valid | {valid} | |"


def _votes(votings: Sequence[Voting]) -> Iterator[str]:
    """A line a budget of a vote over the variants of ARC puzzles."""
    if not votings:
        return
    ks = list(votings[0].pass_at)
    heads = [f"pass@{k}, {by}" for by in ("by test", "whole puzzles") for k in ks]
    tests = len(votings[0].ranked)
    yield ""
    yield f"By votes over the variants of {votings[0].puzzles:,} puzzles with {tests:,} tests:"
    yield ""
    yield f"| depth | breadth | votes a test | {' | '.join(heads)} |"
    yield "| --- " * (3 + len(heads)) + "|"
    for voting in votings:
        shares = [_percent(by[k]) for by in (voting.pass_at, voting.whole_at) for k in ks]
        budget = f"| {voting.depth} | {voting.breadth} | {voting.votes / tests:.1f} |"
        yield f"{budget} {' | '.join(shares)} |"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f}%"


def hardware(device: torch.device, processes: int = 1) -> str:
    """The machine, in words."""
    if device.type == "cuda":
        return f"{processes} x {torch.cuda.get_device_name(device)}"
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    return f"{name}, {os.cpu_count()} cores ({device.type})"
