"""What the engine costs beside the bare iteration, and how full it keeps its slots.

    python benchmarks/engine.py                      # sudoku-9x9 at 16 slots; on CUDA at 4,096
    python benchmarks/engine.py sudoku-6x6 --slots 64

Bare is the compiled iteration with its read-out, over and over on as many rows: no row ever leaves. The
engine runs the same compiled iteration on real problems with restarts until one settles. They take turns of
24 ticks.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import report
import torch
import typer
from measure import Clock
from rich.console import Console

import equilibria as eq
from equilibria.dynamics.halting import LearnedHead
from equilibria.dynamics.noise import NoiseSource, fingerprint
from equilibria.inference.engine import Engine, Report
from equilibria.inference.restarts import UntilSettled
from equilibria.reasoners.advance import Position, Rollout
from equilibria.reasoners.recursive import RecursiveReasoner

ENDING = 0.05  # the last part of the queue, in which slots cannot all have work
TURN = 24  # ticks


def bare(pipeline: eq.Pipeline, tokens: torch.Tensor) -> Callable[[], object]:
    """One iteration of all rows and its read-out."""
    reasoner, solver = pipeline.reasoner, pipeline.recipe.solver
    source = NoiseSource.trajectories(0, fingerprint(tokens), torch.arange(len(tokens), device=tokens.device))
    with torch.inference_mode():
        condition = reasoner.encode(tokens)
        state = reasoner.initial_state(condition, source)
        steps = torch.zeros(len(tokens), dtype=torch.int64, device=tokens.device)
        at = [Position(state, solver.init(state))]

    @torch.inference_mode()
    def iteration() -> object:
        advance = Rollout(reasoner, solver, condition, source, steps)(at[0])
        at[0] = advance.position
        return reasoner.decode(advance.answer, condition)

    return iteration


@dataclass
class Pair:
    """The engine and the bare iteration, by turns within one run: what slows the machine slows both.

    Attributes:
        iteration: bare.
        clock: of the device.
        ticks: of the engine that passed.
        engine: seconds of a tick, one number a turn.
        plain: seconds of an iteration, one number a turn.
        share: of slots at work, until the last part of the queue began.
    """

    iteration: Callable[[], object]
    clock: Clock
    slots: int
    ticks: int = 0
    engine: list[float] = field(default_factory=list[float])
    plain: list[float] = field(default_factory=list[float])
    share: float = 0.0
    _since: float = 0.0
    _before: int = 0

    def watch(self, seen: Report) -> None:
        """Every `TURN` ticks of the engine, let the bare iteration run as long."""
        ticks = round(seen.nfe / seen.utilisation / self.slots)
        if seen.begun <= (1 - ENDING) * seen.problems:
            self.share = seen.utilisation
        elif self.share:
            return  # the end of the queue, which is not measured
        if self._since and ticks - self._before < TURN:
            return
        if self._since:
            self.clock.finish()
            self.engine.append((time.perf_counter() - self._since) / (ticks - self._before))
            self.ticks += ticks - self._before
        self.plain.append(self.clock.seconds(self.iteration, TURN))
        self._before, self._since = ticks, time.perf_counter()


def main(
    reasoner: Annotated[str, typer.Argument(help="a shipped reasoner or a checkpoint folder")] = "sudoku-9x9",
    slots: Annotated[int, typer.Option(min=0, help="0: 16 on a CPU, 4,096 on CUDA")] = 0,
    turns: Annotated[int, typer.Option(min=1, help="passes through all problems")] = 3,
    problems: Annotated[int, typer.Option(min=1, help="times as many as slots")] = 20,
    every: Annotated[int, typer.Option(min=0, help="ticks between two looks; 0: as the engine has it")] = 0,
    dtype: Annotated[str, typer.Option(help="fp32 or bf16")] = "fp32",
    json_file: Annotated[Path | None, typer.Option("--json", help="write the numbers here")] = None,
) -> None:
    """Overhead over the bare compiled iteration, and slot utilisation."""
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    count = slots or (4096 if device.type == "cuda" else 16)
    pipeline = eq.load(reasoner, device).compute_in(dtype)
    given = eq.held_out_problems(reasoner).inputs
    repeats = -(-count * problems // len(given))
    # The same puzzles many times, each under a symmetry of its own: other problems to the reasoner.
    many = eq.Problems(given, given, ("",) * len(given))
    rows = torch.cat([augmented(pipeline, many, seed) for seed in range(repeats)])[: count * problems]
    tokens = rows.to(device)
    if isinstance(pipeline.reasoner, RecursiveReasoner) and device.type == "cpu":
        pipeline.reasoner.frozen()
    else:
        pipeline.reasoner.compiled()
    engine = Engine(
        pipeline.reasoner, solver=pipeline.recipe.solver, slots=count, every=every or None, steady=True
    )
    budget = replace(pipeline.budget(breadth=16), halting=LearnedHead(threshold=3.0), restarts=UntilSettled())
    clock, iteration = Clock(device), bare(pipeline, tokens[:count])
    for _ in range(3):
        iteration()
    pairs: list[Pair] = []
    for turn in range(turns + 1):
        pair = Pair(iteration, clock, count)
        for _ in engine.solve(rows if turn else rows[: 2 * count], budget, watch=pair.watch):
            pass
        if turn:  # the first compiled what was left to compile
            pairs.append(pair)
    plain = statistics.median(seconds for pair in pairs for seconds in pair.plain)
    # Medians of both: a mean would count what else the machine did against one of them.
    ours = statistics.median(seconds for pair in pairs for seconds in pair.engine)
    facts = {
        "benchmark": "engine",
        "reasoner": reasoner,
        "device": report.device_name(device),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "dtype": dtype,
        "slots": count,
        "problems": len(rows),
        "ticks": sum(pair.ticks for pair in pairs),
        "bare_ms": 1e3 * plain,
        "engine_ms": 1e3 * ours,
        "overhead": ours / plain - 1,
        "utilisation": min(pair.share for pair in pairs),
    }
    Console(width=110).print(
        f"{reasoner}, {count} slots, {dtype}, {facts['device']}, {facts['threads']} thread(s)\n"
        f"bare iteration {facts['bare_ms']:.2f} ms, a tick of the engine {facts['engine_ms']:.2f} ms: "
        f"overhead {100 * facts['overhead']:.1f}%\n"
        f"slots at work {100 * facts['utilisation']:.1f}% until the last {100 * ENDING:.0f}% of the queue "
        f"begin ({len(rows):,} problems, {facts['ticks']:,} ticks; least of {turns} passes)",
        highlight=False,
    )
    if json_file is not None:
        json_file.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def augmented(pipeline: eq.Pipeline, given: eq.Problems, seed: int) -> torch.Tensor:
    """The problems under random symmetries of their task, `seed` 0 as they are."""
    if seed == 0:
        return given.inputs
    uniforms = torch.rand(len(given), pipeline.task.draws, generator=torch.Generator().manual_seed(seed))
    return pipeline.task.augment(given.inputs, given.inputs, uniforms)[0]


if __name__ == "__main__":
    typer.run(main)
