"""Speed of an inference iteration: our paths against a plain one (`plain.py`), two published models.

    python benchmarks/solve.py --model sudoku --batch 1

An iteration embeds the problems, advances the states once with path noise, and reads both heads.

    plain   eager, as read off the page
    eager   ours
    fast    ours after reasoner.frozen() on a CPU, after reasoner.compiled() on CUDA
    int8    ours after reasoner.frozen(int8=True), in bf16 on a CPU that can
"""

import measure
import plain
import report
import torch

from equilibria.dynamics.noise import NoiseSource
from equilibria.nn import int8
from equilibria.reasoners.interface import Prediction
from equilibria.reasoners.recursive import RecursiveReasoner

BATCHES = {
    "cpu": {"sudoku": (1, 16, 64), "maze": (1, 4)},
    "cuda": {"sudoku": (768, 96, 1), "maze": (96,)},
}


def plain_iteration(case: measure.Case) -> measure.Call:
    weights, tokens = case.weights(), case.problems(case.batch)[0]
    slow, fast = (stream.contiguous() for stream in case.state().unbind(1))
    return lambda: plain.iteration((slow, fast), tokens, weights, case.model)


def our_iteration(case: measure.Case, reasoner: RecursiveReasoner) -> measure.Call:
    state, tokens = case.state(), case.problems(case.batch)[0]
    noise = NoiseSource.trajectories(0, torch.arange(case.batch, device=case.device), 0)
    reasoner.eval()

    @torch.no_grad()
    def iteration() -> Prediction:
        condition = reasoner.encode(tokens)
        return reasoner.decode(reasoner.iterate(state, condition, noise=noise).state, condition)

    return iteration


def fastest(case: measure.Case) -> RecursiveReasoner:
    reasoner = case.reasoner()
    return reasoner.compiled() if case.device.type == "cuda" else reasoner.frozen()


def paths(case: measure.Case) -> measure.Paths:
    found: measure.Paths = {
        "plain": lambda: plain_iteration(case),
        "eager": lambda: our_iteration(case, case.reasoner()),
        "fast": lambda: our_iteration(case, fastest(case)),
    }
    if case.device.type == "cpu" and case.precision.dtype == torch.bfloat16 and int8.available():
        found["int8"] = lambda: our_iteration(case, case.reasoner().frozen(int8=True))
    return found


if __name__ == "__main__":
    about = "Milliseconds of an inference iteration: plain, ours, ours compiled or frozen, in int8."
    report.command(measure.Benchmark("solve", about, BATCHES, paths))
