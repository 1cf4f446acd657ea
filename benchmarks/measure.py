"""How the benchmarks measure: the models, paths that take turns, and rates to hold them against.

Every path of a case does the same work from the same weights in the same run, one after the other in turns,
so that whatever else the machine does meets all of them. On a busy machine measure with `--threads 1`:
threads that share cores with other programs mostly wait for each other.
"""

import gc
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import plain
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from equilibria.interop import our_name
from equilibria.reasoners.interface import ProblemShape
from equilibria.reasoners.recursive import RecursiveConfig, RecursiveReasoner
from equilibria.recipes import Recipe, load_recipe
from equilibria.training.replay import WARM_UP

PATIENCE = 20.0  # seconds of turns after which a case is not repeated any more
PROBLEMS = 1000  # of the training set, as published
MODELS = {"sudoku": plain.SUDOKU, "maze": plain.MAZE}
TOYS = {  # the same kinds of layers in a size that compiles soon
    "sudoku": replace(plain.SUDOKU, width=32, layers=1, H_cycles=2, L_cycles=1),
    "maze": replace(plain.MAZE, tokens=36, width=32, heads=2, H_cycles=2, L_cycles=1),
}


class Precision(StrEnum):
    bf16 = "bf16"
    fp32 = "fp32"

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self is Precision.bf16 else torch.float32


@dataclass(frozen=True)
class Case:
    """One model at one batch. What it draws, it draws alike every time: paths get the same.

    Attributes:
        name: "sudoku" or "maze".
        model: its shape.
        precision: of activations.
        batch: rows.
        device: where it runs.
    """

    name: str
    model: plain.Model
    precision: Precision
    batch: int
    device: torch.device

    def weights(self) -> dict[str, Tensor]:
        """Random weights by published name."""
        torch.manual_seed(0)
        return plain.weights(self.model, self.device)

    def reasoner(self, *overrides: str) -> RecursiveReasoner:
        """Ours with these weights, on the device; `overrides` of the recipe."""
        side = math.isqrt(self.model.tokens)
        shape = ProblemShape(self.model.vocabulary, self.model.tokens, (side, side))
        config = self.recipe(*overrides).reasoner
        assert isinstance(config, RecursiveConfig)
        reasoner = RecursiveReasoner(config, shape)
        weights = {our_name(name): weight.detach().cpu() for name, weight in self.weights().items()}
        reasoner.load_state_dict(weights)
        return reasoner.to(self.device).compute_in(self.precision.dtype)

    def recipe(self, *overrides: str) -> Recipe:
        """eqr-sudoku in the shape of this model."""
        same = ("width", "layers", "H_cycles", "L_cycles")
        shape = [f"reasoner.{field}={getattr(self.model, field)}" for field in same]
        if self.model.heads is not None:
            shape += ["reasoner.mixing=attention", "reasoner.positions=rope"]
            shape += [f"reasoner.heads={self.model.heads}"]
        return load_recipe("eqr-sudoku", [*shape, *overrides])

    def problems(self, count: int) -> tuple[Tensor, Tensor]:
        """Random tokens and targets, each int64 `[count, tokens]`; nothing is pad (0)."""
        torch.manual_seed(1)
        tokens, targets = torch.randint(1, self.model.vocabulary, (2, count, self.model.tokens))
        return tokens.to(self.device), targets.to(self.device)

    def state(self) -> Tensor:
        """Random states `[batch, 2, tokens, width]`."""
        torch.manual_seed(2)
        state = torch.empty(self.batch, 2, self.model.tokens, self.model.width)
        return plain.truncated_normal(state).to(self.device, self.precision.dtype)


Call = Callable[[], object]
Paths = dict[str, Callable[[], Call]]  # name → what prepares the path, and gives what is to be timed


@dataclass(frozen=True)
class Benchmark:
    """What a script measures.

    Attributes:
        name: of the script.
        help: one line.
        batches: by device type and model, where the user names none.
        paths: of a case, the plain one under "plain" first.
    """

    name: str
    help: str
    batches: dict[str, dict[str, tuple[int, ...]]]
    paths: Callable[[Case], Paths]


def flops(call: Call) -> int:
    """Matmul FLOPs of a call, those of attention included."""
    # Not every fused attention kernel is counted; the formula in matmuls is.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def products(case: Case) -> Call:
    """The matmuls of a block (and its attention, without rotations), once each, on data of their own."""
    model, batch = case.model, case.batch
    like = {"device": case.device, "dtype": case.precision.dtype}
    wide = plain.inner(model.width)
    maps = [(2 * wide, model.width), (model.width, wide)]
    calls: list[Call] = []
    if model.heads is None:
        tall = plain.inner(model.tokens)
        for outputs, inputs in ((2 * tall, model.tokens), (model.tokens, tall)):
            weight = torch.randn(outputs, inputs, **like).expand(batch, -1, -1)
            x = torch.randn(batch, inputs, model.width, **like)
            calls.append(lambda weight=weight, x=x: torch.bmm(weight, x))
    else:
        maps += [(3 * model.width, model.width), (model.width, model.width)]
        shape = (3, batch, model.heads, model.tokens, model.width // model.heads)
        qkv = torch.randn(shape, **like).unbind()
        calls.append(lambda: F.scaled_dot_product_attention(*qkv))
    for outputs, inputs in maps:
        weight, x = torch.randn(outputs, inputs, **like), torch.randn(batch * model.tokens, inputs, **like)
        calls.append(lambda weight=weight, x=x: F.linear(x, weight))

    def run() -> None:
        for call in calls:
            call()

    return run


def square(case: Case, side: int) -> Call:
    """One big matmul in the precision of the case: what the device can do at best."""
    left, right = torch.randn(2, side, side, device=case.device, dtype=case.precision.dtype)
    return lambda: left @ right


@dataclass(frozen=True)
class Clock:
    """Takes the time of calls on a device."""

    device: torch.device

    @property
    def burst(self) -> int:
        """Calls in a row between two looks: work for a GPU is launched ahead, as in a run."""
        return 4 if self.device.type == "cuda" else 1

    @property
    def warm_up(self) -> int:
        """Calls before the first turn: compilers compile, and a CUDA graph is recorded and replayed once."""
        return WARM_UP + 2 if self.device.type == "cuda" else 1

    def seconds(self, call: Call, calls: int = 1) -> float:
        """Seconds per call."""
        self.finish()
        start = time.perf_counter()
        for _ in range(calls):
            call()
        self.finish()
        return (time.perf_counter() - start) / calls

    def finish(self) -> None:
        """Until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@dataclass(frozen=True)
class Track:
    """What was measured of one path.

    Attributes:
        first: seconds of the first call, compilation included.
        peak: MiB that preparing and warming up took at most, on CUDA; elsewhere None.
        milliseconds: of a call, one number a turn.
    """

    first: float
    peak: float | None
    milliseconds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)


def begin(prepare: Callable[[], Call], clock: Clock) -> tuple[Call, Track]:
    """Prepare a path and run it warm."""
    cuda = clock.device.type == "cuda"
    before = 0
    if cuda:
        gc.collect()
        clock.finish()
        before = torch.cuda.memory_allocated(clock.device)
        torch.cuda.reset_peak_memory_stats(clock.device)
    call = prepare()
    first = clock.seconds(call)
    for _ in range(clock.warm_up - 1):
        call()
    clock.finish()
    peak = (torch.cuda.max_memory_allocated(clock.device) - before) / 2**20 if cuda else None
    return call, Track(first, peak, [])


@dataclass(frozen=True)
class Result:
    """One case: its paths, and what their times come to.

    Attributes:
        case: what was measured.
        tracks: by name of the path.
        gflop: matmul work of one call.
        products: GFLOP/s of the model's own matmuls alone, in the same turns.
        square: GFLOP/s of one big matmul, in the same turns.
    """

    case: Case
    tracks: dict[str, Track]
    gflop: float
    products: float
    square: float

    def facts(self) -> dict[str, Any]:
        """Everything, for a file."""
        return {
            "model": self.case.name,
            "dtype": self.case.precision.value,
            "batch": self.case.batch,
            "gflop": self.gflop,
            "own_matmuls_gflops": self.products,
            "square_matmul_gflops": self.square,
            "paths": {name: self.path_facts(track) for name, track in self.tracks.items()},
        }

    def path_facts(self, track: Track) -> dict[str, Any]:
        """What the times of one path come to."""
        rate = 1e3 * self.gflop / track.median
        return {
            "median_ms": track.median,
            "min_ms": min(track.milliseconds),
            "times_faster": self.tracks["plain"].median / track.median,
            "gflops": rate,
            "share_of_own_matmuls": rate / self.products,
            "share_of_square_matmul": rate / self.square,
            "first_call_seconds": track.first,
            "peak_mib": track.peak,
            "milliseconds": track.milliseconds,
        }


def measure(case: Case, benchmark: Benchmark, repeats: int, side: int) -> Result:
    """Run every path warm, then take turns until `repeats`, or (after two) until patience ends.

    `side` is that of the big matmul.
    """
    clock, one = Clock(case.device), replace(case, batch=1)
    paths = {name: begin(prepare, clock) for name, prepare in benchmark.paths(case).items()}
    own, big = products(case), square(case, side)
    work = {own: case.batch * flops(products(one)), big: 2 * side**3}
    rates: dict[Call, list[float]] = {own: [], big: []}
    for call in rates:
        clock.seconds(call)
    start = time.perf_counter()
    for turn in range(repeats):
        if turn >= 2 and time.perf_counter() - start > PATIENCE:
            break
        for call, track in paths.values():
            track.milliseconds.append(1e3 * clock.seconds(call, clock.burst))
        for call, speeds in rates.items():
            speeds.append(work[call] / min(clock.seconds(call, clock.burst) for _ in range(3)) / 1e9)
    return Result(
        case,
        {name: track for name, (_, track) in paths.items()},
        case.batch * flops(benchmark.paths(one)["plain"]()) / 1e9,
        statistics.median(rates[own]),
        statistics.median(rates[big]),
    )


def forget(device: torch.device) -> None:
    """Let go of what the last case held: models, compiled code, recorded graphs."""
    torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
