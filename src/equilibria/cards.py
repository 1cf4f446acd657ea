"""The card of a checkpoint: what it is, how it was made, how good it is. Every number is measured."""

import os
import platform
from pathlib import Path

import torch

from equilibria.diagnostics.evaluation import AVERAGE, Evaluation
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


def with_scores(card: str, evaluation: Evaluation, command: str) -> str:
    """The card with a table of scores at its end, in place of an older one, and the command behind it."""
    context = evaluation.context
    rows = [row for row in evaluation.rows if row.source == row.rating == "all"]
    lines = [
        SCORES,
        "",
        f"{context['problems']:,} problems (sha256 of inputs and answers {context['data_sha256'][:16]}…), "
        f"seed {context['seed']}, {context['halting']} halting, {context['dtype']} on {context['device']}, "
        f"code {context['code']}:",
        "",
        f"    {command}",
        "",
        "| depth | breadth | NFE | average | Top-1 convergence | majority | any restart | residual AUROC |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if row.selection != AVERAGE:
            continue
        cells = [f"{100 * row.exact_accuracy:.2f}%"]
        for selection in ("convergence", "majority", "pass"):
            found = [
                r for r in rows if (r.depth, r.breadth, r.selection) == (row.depth, row.breadth, selection)
            ]
            cells.append(f"{100 * found[0].exact_accuracy:.2f}%" if found else "–")
        lines.append(
            f"| {row.depth} | {row.breadth} | {row.nfe_mean:.1f} | {' | '.join(cells)} "
            f"| {evaluation.auroc[row.depth]:.3f} |"
        )
    body = card.partition(SCORES)[0].rstrip()
    return body + "\n\n" + "\n".join(lines) + "\n"


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
