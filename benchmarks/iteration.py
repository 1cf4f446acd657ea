"""Speed of the published EqR Sudoku reasoner on a CPU, against a plain eager path (`plain.py`).

    python benchmarks/iteration.py --dtype bf16 --batch 16

Every path does the same work from the same weights in the same run, one after the other in turns, so that
whatever else the machine does meets all of them. On a busy machine measure with `--threads 1`: threads
that share cores with other programs mostly wait for each other.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import plain
import torch
import torch.nn.functional as F
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from equilibria.dynamics.halting import LearnedHead
from equilibria.dynamics.noise import NoiseSource
from equilibria.interop import our_name
from equilibria.reasoners.interface import ProblemShape
from equilibria.reasoners.recursive import RecursiveReasoner
from equilibria.recipes import load_recipe
from equilibria.training.losses import answer_loss, is_correct

PATIENCE = 20.0  # seconds of turns after which a case is not repeated any more
TRAINING_BATCH = 16


class Precision(StrEnum):
    bf16 = "bf16"
    fp32 = "fp32"

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self is Precision.bf16 else torch.float32


@dataclass(frozen=True)
class Problem:
    """What one call works on: state `[batch, 2, tokens, width]`, tokens and targets `[batch, tokens]`."""

    state: Tensor
    tokens: Tensor
    targets: Tensor

    @classmethod
    def draw(cls, batch: int, dtype: torch.dtype) -> "Problem":
        state = torch.randn(batch, 2, plain.TOKENS, plain.WIDTH).clamp(-2.27, 2.27).to(dtype)
        tokens = torch.randint(1, plain.VOCABULARY, (batch, plain.TOKENS))
        return cls(state, tokens, torch.randint(2, plain.VOCABULARY, tokens.shape))

    @property
    def streams(self) -> plain.Streams:
        return self.state[:, 0].contiguous(), self.state[:, 1].contiguous()

    def noise(self) -> NoiseSource:
        return NoiseSource.trajectories(0, torch.arange(len(self.tokens)), 0)


def reasoner_with(weights: plain.Weights) -> RecursiveReasoner:
    """The reasoner of the recipe eqr-sudoku with weights of published names."""
    shape = ProblemShape(plain.VOCABULARY, plain.TOKENS, (9, 9))
    reasoner = RecursiveReasoner(load_recipe("eqr-sudoku").reasoner, shape)
    reasoner.load_state_dict({our_name(name): weight.detach() for name, weight in weights.items()})
    return reasoner


@torch.no_grad()
def iteration(reasoner: RecursiveReasoner, problem: Problem, noise: NoiseSource | None) -> Tensor:
    """What `plain.iteration` does: the new state, with both heads read."""
    condition = reasoner.encode(problem.tokens)
    state = reasoner.iterate(problem.state, condition, noise=noise).state
    reasoner.decode(state, condition)
    return state


def segment(reasoner: RecursiveReasoner, problem: Problem, noise: NoiseSource | None) -> Tensor:
    """What `plain.segment` does: the loss, after the backward pass."""
    condition = reasoner.encode(problem.tokens)
    step = reasoner.iterate(problem.state, condition, noise=noise)
    prediction = reasoner.decode(step.state, condition)
    answer = answer_loss(prediction.logits, problem.targets, "stablemax").sum()
    correct = is_correct(prediction.logits.detach(), problem.targets)
    loss = answer + LearnedHead(weight=0.5).loss(prediction.halt_logit, correct).sum()
    loss.backward()
    return loss.detach()


def matmuls(batch: int, dtype: torch.dtype) -> Callable[[], None]:
    """The four matmuls of a block, as often as it has them (once each), on data of their own."""
    rows = batch * plain.TOKENS
    wide, narrow = (2 * plain.CHANNEL_INNER, plain.WIDTH), (plain.WIDTH, plain.CHANNEL_INNER)
    channel = [(torch.randn(rows, w[1], dtype=dtype), torch.randn(w, dtype=dtype)) for w in (wide, narrow)]
    tall, flat = (2 * plain.TOKEN_INNER, plain.TOKENS), (plain.TOKENS, plain.TOKEN_INNER)
    token = [
        (torch.randn(batch, w[1], plain.WIDTH, dtype=dtype), torch.randn(w, dtype=dtype).expand(batch, *w))
        for w in (tall, flat)
    ]

    def run() -> None:
        for x, weight in channel:
            F.linear(x, weight)
        for x, weight in token:
            torch.bmm(weight, x)

    return run


def flops(call: Callable[[], object]) -> int:
    """Matmul FLOPs of a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


@dataclass(frozen=True)
class Result:
    """One case: milliseconds by path, and what they come to.

    Attributes:
        milliseconds: every timed call of each path.
        gflop: matmul work of one call.
        matmul_gflops: GFLOP/s of the model's four matmuls alone, in this run.
        compile_seconds: first call of the compiled path, compilation included; None where it did not run.
    """

    work: str
    precision: str
    batch: int
    milliseconds: dict[str, list[float]]
    gflop: float
    matmul_gflops: float
    compile_seconds: float | None

    def median(self, path: str) -> float:
        return statistics.median(self.milliseconds[path])

    def ratio(self, path: str) -> float:
        """How many times faster than plain, by medians."""
        return self.median("plain") / self.median(path)

    def row(self) -> list[str]:
        cells = [f"{self.work} {self.precision} x{self.batch}"]
        for path, times in self.milliseconds.items():
            rate = self.gflop / self.median(path) * 1e3
            cells.append(f"{self.median(path):.1f} ({min(times):.1f})")
            if path != "plain":
                least = min(self.milliseconds["plain"]) / min(times)
                cells.append(f"{self.ratio(path):.2f} ({least:.2f})")
            cells.append(f"{rate:.0f} ({rate / self.matmul_gflops:.0%})")
        compiled = [] if self.compile_seconds is not None else ["-"] * 3
        seconds = "-" if self.compile_seconds is None else f"{self.compile_seconds:.0f}"
        return [*cells, *compiled, seconds, f"{self.matmul_gflops:.0f}"]


def measure(work: str, precision: Precision, batch: int, repeats: int, compiled: bool) -> Result:
    """Time one case: a warm-up each, then turns until `repeats`, or (after two) until patience ends."""
    problem, weights = Problem.draw(batch, precision.dtype), plain.weights()
    ours = reasoner_with(weights)
    ours.compute_in(precision.dtype)
    streams, tokens, targets = problem.streams, problem.tokens, problem.targets
    training = work == "training"
    run_ours = segment if training else iteration

    def run_plain(rows: int = batch) -> None:
        some = (streams[0][:rows], streams[1][:rows])
        if training:
            plain.segment(some, tokens[:rows], targets[:rows], weights)
        else:
            plain.iteration(some, tokens[:rows], weights)

    paths: dict[str, Callable[[], object]] = {
        "plain": run_plain,
        "ours": lambda: run_ours(ours, problem, problem.noise()),
    }
    if compiled:
        fresh = reasoner_with(weights).compute_in(precision.dtype)
        fused = fresh.compiled() if training else fresh.frozen()
        paths["ours, compiled"] = lambda: run_ours(fused, problem, problem.noise())

    def timed(call: Callable[[], object]) -> float:
        start = time.perf_counter()
        call()
        elapsed = time.perf_counter() - start
        for weight in (*weights.values(), *ours.parameters(), *(fused.parameters() if compiled else ())):
            weight.grad = None
        return elapsed

    first = {path: timed(call) for path, call in paths.items()}
    products = matmuls(batch, precision.dtype)
    times: dict[str, list[float]] = {path: [] for path in paths}
    rates: list[float] = []
    product_flops = flops(products)
    begin = time.perf_counter()
    while len(rates) < repeats and (len(rates) < 2 or time.perf_counter() - begin < PATIENCE):
        for path, call in paths.items():
            times[path].append(1e3 * timed(call))
        rates.append(product_flops / min(timed(products) for _ in range(3)) / 1e9)
    return Result(
        work,
        precision.value,
        batch,
        times,
        batch * flops(lambda: run_plain(1)) / 1e9,
        statistics.median(rates),
        first.get("ours, compiled"),
    )


def main(
    batch: Annotated[list[int] | None, typer.Option(help="inference batch; may be repeated")] = None,
    dtype: Annotated[list[Precision] | None, typer.Option(help="bf16 or fp32; may be repeated")] = None,
    repeats: Annotated[int, typer.Option(help="turns of every path, fewer where they take long")] = 15,
    threads: Annotated[int, typer.Option(help="threads of PyTorch; 0: as many as it takes")] = 0,
    compiled: Annotated[bool, typer.Option(help="also the compiled path, in bf16")] = True,
    training: Annotated[bool, typer.Option(help="also a training segment at batch 16")] = True,
    quick: Annotated[bool, typer.Option(help="batch 1 in bf16, three turns, nothing compiled")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write every timing here")] = None,
) -> None:
    """Milliseconds per inference iteration and per training segment, plain and ours."""
    torch.set_num_threads(threads or torch.get_num_threads())
    torch.manual_seed(0)
    if quick:
        batch, dtype, repeats, compiled, training = [1], [Precision.bf16], 3, False, False
    cases = [
        (work, precision, rows)
        for precision in dtype or list(Precision)
        for work, rows in [
            *(("inference", rows) for rows in batch or [1, 16, 64]),
            *([("training", TRAINING_BATCH)] if training else []),
        ]
    ]
    console = Console()
    results = []
    for work, precision, rows in cases:
        with console.status(f"{work} {precision.value}, batch {rows}"):
            results.append(measure(work, precision, rows, repeats, compiled and precision is Precision.bf16))

    table = Table(
        title=f"EqR Sudoku on a CPU, {torch.get_num_threads()} thread(s), torch {torch.__version__}"
    )
    for heading in (
        "case",
        "plain ms",
        "GFLOP/s",
        "ours ms",
        "times faster",
        "GFLOP/s",
        "compiled ms",
        "times faster",
        "GFLOP/s",
        "compile s",
        "matmul GFLOP/s",
    ):
        table.add_column(heading, justify="left" if heading == "case" else "right", overflow="fold")
    for result in results:
        table.add_row(*result.row())
    Console(width=150).print(table)
    console.print(
        "Times and ratios: median (of minima). GFLOP/s: at the median (share of the matmul rate).\n"
        "matmul: the model's four matmuls alone, at their shapes, in the same turns.\n"
        "compiled: after the opt-in reasoner.frozen() (inference) or reasoner.compiled() (training)."
    )
    if json_file is not None:
        facts = {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "cases": [asdict(r) for r in results],
        }
        json_file.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
