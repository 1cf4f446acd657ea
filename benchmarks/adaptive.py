"""Adaptive restarts against all of them: accuracy and evaluations, over all problems and over the hard ones.

    python benchmarks/adaptive.py                       # sudoku-9x9, fixed (64, 16); 15 minutes on 2 cores
    python benchmarks/adaptive.py --fixed-breadth 128   # as the paper has it: for a GPU

The hard ones are the first 64 problems that one restart of 4 iterations leaves unsolved. Where the recipe's
problems are a folder, run it beside that folder, or name a file with `--data`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

import equilibria as eq
from equilibria.diagnostics.drawing import picture
from equilibria.diagnostics.evaluation import correct
from equilibria.diagnostics.metrics import interval
from equilibria.inference.selection import most_converged

PAPER = 64 * 128  # evaluations a problem that the fixed budget of EqR takes


@dataclass(frozen=True)
class Found:
    """What one way to spend compute came to: `right` and `nfe` are `[problems]`."""

    right: torch.Tensor
    nfe: torch.Tensor


def fixed(
    pipeline: eq.Pipeline, problems: eq.Problems, depths: tuple[int, ...], breadths: tuple[int, ...]
) -> dict[tuple[int, int], Found]:
    """All restarts to full depth, the most converged answers; every budget within what was run."""
    assert problems.labels is not None
    pools = pipeline.engine.pools(problems.inputs, depths=depths, breadth=max(breadths))
    found: dict[tuple[int, int], Found] = {}
    for depth, whole in zip(depths, pools, strict=True):
        for breadth in breadths:
            pool = whole.restarts(breadth)
            right = correct(pool, problems.labels).gather(1, most_converged(pool)[:, None]).squeeze(1)
            found[depth, breadth] = Found(right, pool.evaluations.sum(dim=1))
    return found


def adaptive(
    pipeline: eq.Pipeline, problems: eq.Problems, depth: int, breadth: int, nfe: int | None
) -> Found:
    """The recipe's halting rule, and the next restart only where none before settled."""
    answers = pipeline.solve(problems, depth=depth, breadth=breadth, restarts="until-settled", nfe=nfe)
    assert problems.labels is not None
    tokens = torch.stack([answer.tokens for answer in answers])
    right = ((tokens == problems.labels) | (problems.labels == 0)).all(dim=1)
    return Found(right, torch.tensor([answer.nfe for answer in answers]))


def draw(path: Path, name: str, found: Found, budgets: dict[tuple[int, int], Found], problems: int) -> None:
    """What share is solved within so many evaluations a problem at most, beside fixed budgets."""
    with picture(path, width=5.0, height=3.2) as (_, axes):
        caps = sorted({int(nfe) for nfe in found.nfe})
        solved = [(found.right & (found.nfe <= cap)).double().mean().item() for cap in caps]
        mean = [found.nfe.clamp(max=cap).double().mean().item() for cap in caps]
        axes.step(mean, [100 * share for share in solved], where="post", label="adaptive, capped at 3, 4, …")
        for (depth, breadth), other in budgets.items():
            at = (depth * breadth, 100 * other.right[:problems].double().mean().item())
            axes.plot(*at, "o", color="tab:red", markersize=3)
            axes.annotate(f"({depth}, {breadth})", at, textcoords="offset points", xytext=(4, -8), fontsize=6)
        axes.plot([], [], "o", color="tab:red", markersize=3, label="fixed (depth, breadth)")
        axes.set_xscale("log")
        axes.set_xlabel("function evaluations a problem, mean")
        axes.set_ylabel("solved, %")
        axes.set_title(f"{name}, {problems} held-out problems")
        axes.legend(loc="lower right")


def main(
    reasoner: Annotated[str, typer.Argument(help="a shipped reasoner or a checkpoint folder")] = "sudoku-9x9",
    data: Annotated[Path | None, typer.Option(help="labelled problems; left out: those held out")] = None,
    problems: Annotated[int, typer.Option(min=1, help="the first so many")] = 256,
    hard: Annotated[int, typer.Option(min=1, help="so many of those unsolved at (4, 1)")] = 64,
    depth: Annotated[int, typer.Option(min=1, help="D")] = 64,
    fixed_breadth: Annotated[int, typer.Option(min=1, help="B of the fixed budget")] = 16,
    breadth: Annotated[int, typer.Option(min=1, help="most restarts of the adaptive one")] = 16,
    nfe: Annotated[
        list[int] | None, typer.Option(help="a cap on its evaluations a problem; repeatable")
    ] = None,
    dtype: Annotated[str, typer.Option(help="fp32 or bf16")] = "fp32",
    png: Annotated[Path | None, typer.Option(help="draw accuracy over evaluations here")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the numbers here")] = None,
) -> None:
    """Accuracy and NFE of fixed and of adaptive breadth on the same problems."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = eq.load(reasoner, device).compute_in(dtype)
    given = eq.evaluation_problems(pipeline, None if data is None else str(data))
    assert given.labels is not None
    few = given[:problems]
    # Among the first few the hard ones need not be run again with all restarts.
    quick = fixed(pipeline, given, (4,), (1,))[4, 1].right
    unsolved = (~quick).nonzero().squeeze(1)[:hard]
    rest = unsolved[unsolved >= len(few)]
    every = torch.cat([torch.arange(len(few)), rest])
    place = {int(row): position for position, row in enumerate(every.tolist())}
    members = torch.tensor([place[row] for row in unsolved.tolist()])
    asked = given[every]
    depths = tuple(sorted({4, 8, 16, depth}))
    budgets = fixed(pipeline, asked, depths, tuple(sorted({1, fixed_breadth})))
    ways = {
        f"fixed ({depth}, {fixed_breadth})": budgets[depth, fixed_breadth],
        f"adaptive, at most ({depth}, {breadth})": adaptive(pipeline, asked, depth, breadth, None),
    }
    for cap in nfe or []:
        ways[f"adaptive, at most {cap} NFE"] = adaptive(pipeline, asked, depth, breadth, cap)
    groups = {"all": torch.arange(len(few)), "unsolved at (4, 1)": members}
    rows = []
    for group, index in groups.items():
        for name, found in ways.items():
            accuracy = found.right[index].double().mean().item()
            low, high = interval(accuracy, len(index))
            spent = found.nfe[index].double().mean().item()
            rows.append(
                {
                    "problems": group,
                    "count": len(index),
                    "way": name,
                    "accuracy": 100 * accuracy,
                    "ci95": [100 * low, 100 * high],
                    "nfe": spent,
                    "most_nfe": int(found.nfe[index].max()),
                    "of_paper": PAPER / spent,
                }
            )
    both = [found.right for found in ways.values()]
    table = Table(title=f"{reasoner}, {dtype} on {device}; most converged answers", title_justify="left")
    for name in ("problems", "way", "exact %", "95% interval", "NFE, mean", "most", "of 8,192"):
        table.add_column(name, justify="left" if name in ("problems", "way") else "right")
    for row in rows:
        table.add_row(
            f"{row['count']} {row['problems']}",
            row["way"],
            f"{row['accuracy']:.2f}",
            f"{row['ci95'][0]:.1f}–{row['ci95'][1]:.1f}",
            f"{row['nfe']:.1f}",
            f"{row['most_nfe']:,}",
            f"1/{row['of_paper']:.0f}",
        )
    console = Console(width=110)
    console.print(table)
    console.print(
        f"solved by one way only: fixed {int((both[0] & ~both[1]).sum())}, "
        f"adaptive {int((both[1] & ~both[0]).sum())} of {len(asked)}",
        highlight=False,
    )
    if png is not None:
        adaptive_way = ways[f"adaptive, at most ({depth}, {breadth})"]
        draw(
            png,
            reasoner,
            Found(adaptive_way.right[: len(few)], adaptive_way.nfe[: len(few)]),
            budgets,
            len(few),
        )
    if json_file is not None:
        json_file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
