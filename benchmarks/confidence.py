"""Do probabilities mean what they say, and what does asking for 99% cost?

    python benchmarks/confidence.py                        # sudoku-9x9; some 8 minutes on 2 cores
    python benchmarks/confidence.py sudoku-6x6 --count 8000 --shallow 5

One half of the problems calibrates, the other is asked. First at a depth where a good part of the answers is
still wrong, one restart each; then `--confidence 0.99` with the recipe's budget, beside what (64, 8) solves.
Where the recipe's problems are a folder, run it beside that folder, or name a file with `--data`.
"""

import json
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

import equilibria as eq
from equilibria.diagnostics.evaluation import correct
from equilibria.diagnostics.metrics import interval
from equilibria.inference.selection import most_converged


def main(
    reasoner: Annotated[str, typer.Argument(help="a shipped reasoner or a checkpoint folder")] = "sudoku-9x9",
    data: Annotated[Path | None, typer.Option(help="labelled problems; left out: those held out")] = None,
    count: Annotated[int, typer.Option(min=0, help="generate so many new problems instead")] = 0,
    shallow: Annotated[int, typer.Option(min=1, help="depth at which 70 to 90% are right")] = 8,
    confidence: Annotated[float, typer.Option(help="asked for")] = 0.99,
    depth: Annotated[int, typer.Option(min=1, help="of the fixed budget beside it")] = 64,
    breadth: Annotated[int, typer.Option(min=1, help="of the fixed budget beside it")] = 8,
    dtype: Annotated[str, typer.Option(help="fp32 or bf16")] = "fp32",
    png: Annotated[Path | None, typer.Option(help="draw the reliability diagram here")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the numbers here")] = None,
) -> None:
    """Calibration error, and the accuracy and coverage of answers with a confidence."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = eq.load(reasoner, device).compute_in(dtype)
    if count:
        given = pipeline.task.generate(count, seed=20_261)  # not the seed of any training set
    else:
        given = eq.evaluation_problems(pipeline, None if data is None else str(data))
    assert given.labels is not None
    first = torch.arange(len(given)) % 2 == 0
    learn, ask = given[first], given[~first]
    assert ask.labels is not None

    at_depth = eq.load(reasoner, device).compute_in(dtype)
    found = at_depth.calibrate(given, depth=shallow, breadth=1, halting="fixed", restarts="fixed")
    if png is not None:
        eq.plot_reliability(found, png, f"{reasoner} at depth {shallow}, one restart")

    pipeline.calibrate(learn)
    answers = pipeline.solve(ask, confidence=confidence)
    tokens = torch.stack([answer.tokens for answer in answers])
    right = ((tokens == ask.labels) | (ask.labels == 0)).all(dim=1)
    given_ = torch.tensor([answer.settled for answer in answers])
    (pool,) = pipeline.engine.pools(ask.inputs, depths=(depth,), breadth=breadth)
    solved = correct(pool, ask.labels).gather(1, most_converged(pool)[:, None]).squeeze(1)
    accuracy = right[given_].double().mean().item()
    low, high = interval(accuracy, int(given_.sum()))
    facts = {
        "reasoner": reasoner,
        "device": device,
        "dtype": dtype,
        "asked": len(ask),
        "shallow_depth": shallow,
        "shallow_right": at_depth.calibration.about["right"] if at_depth.calibration else None,
        "expected_calibration_error": found.error,
        "confidence": confidence,
        "answered": int(given_.sum()),
        "answered_right": accuracy,
        "answered_right_ci95": [low, high],
        "unsettled": int((~given_).sum()),
        "nfe": sum(answer.nfe for answer in answers) / len(answers),
        "fixed": [depth, breadth],
        "fixed_solved": int(solved.sum()),
        "covered": int((solved & right & given_).sum()) / max(1, int(solved.sum())),
    }
    console = Console(width=110)
    console.print(
        f"{reasoner}, {dtype} on {device}: {len(learn):,} problems learned from, {len(ask):,} asked\n"
        f"depth {shallow}, one restart: {100 * (facts['shallow_right'] or 0):.1f}% right; expected "
        f"calibration error {100 * found.error:.2f}%\n"
        f"confidence {confidence}: {facts['answered']:,} answered, {100 * accuracy:.2f}% of them right "
        f"({100 * low:.1f}–{100 * high:.1f}), {facts['unsettled']:,} left unsettled; "
        f"{facts['nfe']:.1f} NFE a problem\n"
        f"({depth}, {breadth}) solves {facts['fixed_solved']:,} at {depth * breadth:,} NFE; the confident "
        f"answers cover {100 * facts['covered']:.1f}% of those",
        highlight=False,
    )
    if json_file is not None:
        json_file.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
