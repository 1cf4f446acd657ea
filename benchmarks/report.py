"""What the benchmarks say: a table, a file, and the command line that both scripts have."""

import json
import platform
import re
import resource
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer
from measure import MODELS, TOYS, Benchmark, Case, Precision, Result, forget, measure
from rich.console import Console
from rich.table import Table

from equilibria.version import code_version

RESULTS = Path(__file__).parent / "results"


class ModelName(StrEnum):
    sudoku = "sudoku"
    maze = "maze"


class DeviceName(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def device_name(device: torch.device) -> str:
    """What the maker calls it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    about = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", about.read_text()) if about.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def lines_of(result: Result) -> list[list[str]]:
    """A line of the table for every path."""
    case, cuda = result.case, result.case.device.type == "cuda"
    lines = []
    for name, track in result.tracks.items():
        facts = result.path_facts(track)
        rate = f"{facts['gflops'] / 1e3:.1f}" if cuda else f"{facts['gflops']:.0f}"
        share = facts["share_of_square_matmul" if cuda else "share_of_own_matmuls"]
        line = ["" if lines else f"{case.name} {case.precision} x{case.batch}", name]
        line += [f"{facts['median_ms']:.1f} ({facts['min_ms']:.1f})", f"{facts['times_faster']:.2f}"]
        line += [rate, f"{share:.0%}", f"{track.first:.1f}"]
        lines.append([*line, f"{track.peak:,.0f}"] if track.peak is not None else line)
    return lines


def table(title: str, results: Sequence[Result]) -> Table:
    """All cases, a line a path."""
    cuda = results[0].case.device.type == "cuda"
    columns = ["ms", "times faster", "TFLOP/s" if cuda else "GFLOP/s", "share", "first call s"]
    grid = Table("case", "path", title=title)
    for column in [*columns, "peak MiB"] if cuda else columns:
        grid.add_column(column, justify="right")
    for result in results:
        for line in lines_of(result):
            grid.add_row(*line)
        grid.add_section()
    return grid


def explanation(results: Sequence[Result], memory: float) -> str:
    """What the columns mean, and the rates that they are shares of; `memory` in MiB."""
    cuda = results[0].case.device.type == "cuda"
    unit, scale = ("TFLOP/s", 1e3) if cuda else ("GFLOP/s", 1.0)
    lines = [
        "ms: median of the turns (least). Times faster: than plain, by medians. Rates count matmuls only.",
        f"Share: of {'one big matmul' if cuda else 'the matmuls of a block alone'}, in the same turns:",
    ]
    for result in results:
        case, own, big = result.case, result.products / scale, result.square / scale
        lines.append(
            f"  {case.name} {case.precision} x{case.batch}: big {big:,.0f}, a block's own {own:,.0f} {unit}"
        )
    lines.append(f"Peak memory of this process: {memory:,.0f} MiB.")
    return "\n".join(lines)


def peak_memory() -> float:
    """MiB of main memory that this process held at most."""
    units = 1 << 20 if sys.platform == "darwin" else 1 << 10  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / units


def write(path: Path, name: str, device: torch.device, results: Sequence[Result]) -> None:
    """Every timing, and what it was measured with."""
    facts = {
        "benchmark": name,
        "device": device_name(device),
        "code": code_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "peak_process_mib": peak_memory(),
        "cases": [result.facts() for result in results],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def command(benchmark: Benchmark) -> None:
    """The command line of a benchmark."""

    def main(
        device: Annotated[DeviceName, typer.Option(help="auto: CUDA where it is")] = DeviceName.auto,
        dtype: Annotated[list[Precision] | None, typer.Option(help="bf16 (default); repeatable")] = None,
        model: Annotated[list[ModelName] | None, typer.Option(help="both by default; repeatable")] = None,
        batch: Annotated[list[int] | None, typer.Option(min=1, help="rows; repeatable")] = None,
        repeats: Annotated[int, typer.Option(min=1, help="turns, fewer where they take long")] = 15,
        threads: Annotated[int, typer.Option(min=0, help="of PyTorch; 0: as many as it takes")] = 0,
        save: Annotated[bool, typer.Option("--save", help="write benchmarks/results/")] = False,
        json_file: Annotated[Path | None, typer.Option("--json", help="write every timing here")] = None,
        quick: Annotated[bool, typer.Option("--quick", help="toy models: does it all run?")] = False,
    ) -> None:
        if quick and save:
            raise typer.BadParameter("--quick measures toy models, which are not worth keeping: use --json")
        kind = device.value if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        if kind == "cuda" and not torch.cuda.is_available():
            raise typer.BadParameter("--device cuda: no CUDA device is visible")
        where = torch.device(kind, 0) if kind == "cuda" else torch.device(kind)
        if threads:
            torch.set_num_threads(threads)
        precisions = dtype or [Precision.bf16]
        cases = [
            Case(name, (TOYS if quick else MODELS)[name], precision, rows, where)
            for precision in precisions
            for name in model or list(ModelName)
            for rows in batch or ((2,) if quick else benchmark.batches[kind][name])
        ]
        side = 256 if quick else 8192 if kind == "cuda" else 2048
        slug = re.sub(r"\W+", "-", device_name(where).lower()).strip("-")
        console = Console(width=110)
        results: list[Result] = []
        for case in cases:
            with console.status(f"{case.name} {case.precision}, batch {case.batch}"):
                results.append(measure(case, benchmark, 3 if quick else repeats, side))
            forget(where)
            # After every case, so that a run cut short leaves what it has.
            if json_file is not None:
                write(json_file, benchmark.name, where, results)
            if save:
                file = RESULTS / f"{benchmark.name}-{slug}-{case.precision}.json"
                same = [result for result in results if result.case.precision == case.precision]
                write(file, benchmark.name, where, same)
        title = f"{benchmark.name}: {device_name(where)}, {torch.get_num_threads()} thread(s)"
        console.print(table(f"{title}, torch {torch.__version__}", results))
        console.print(explanation(results, peak_memory()))

    main.__doc__ = benchmark.help
    typer.run(main)
