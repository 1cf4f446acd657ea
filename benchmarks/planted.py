"""Diagnostics against planted truth: 60 random landscapes whose modes, masses, periods and radii are known.

    python benchmarks/planted.py                  # two minutes on one core
    python benchmarks/planted.py --json results/planted.json

Each landscape is run by the engine and recorded, as a reasoner's would be. An instance is passed if its mode
is recovered, the number of attractors, every basin's mass within 0.03 (as many restarts are run as make that
four standard errors), every period, and the spectral radius at every attractor within 1%. Exits with 1 if any
instance fails.
"""

import cmath
import json
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from equilibria.diagnostics.contraction import local_contraction, noise_free
from equilibria.diagnostics.ends import followed_ends, recorded_ends
from equilibria.diagnostics.landscape import Landscape, landscape
from equilibria.diagnostics.planted import MARKER, Basin, PlantedConfig, PlantedReasoner
from equilibria.dynamics.solvers import Picard, Relaxed, Solver
from equilibria.inference.engine import Engine
from equilibria.inference.recording import Record, Recorder
from equilibria.reasoners.interface import ProblemShape

DEPTH = 40
VALUES = 5  # of a token, padding included
MASS = 0.03  # masses are to be found within this
RADIUS = 0.01  # spectral radii, relatively
ERRORS = 4  # standard errors that `MASS` is at least


@dataclass(frozen=True)
class Instance:
    """A planted landscape, and how it is run.

    Attributes:
        kind: of landscape, for the table.
        reasoner: in which it is planted.
        label: the right answer.
        mode: the true one.
        solver: how it is iterated.
    """

    kind: str
    reasoner: PlantedReasoner
    label: tuple[int, ...]
    mode: str
    solver: Solver = Picard()

    @property
    def restarts(self) -> int:
        """As many as estimate the masses well enough."""
        most = max(basin.mass * (1 - basin.mass) for basin in self.reasoner.config.basins)
        return max(256, math.ceil(most * (ERRORS / MASS) ** 2))

    @property
    def attractors(self) -> list[Basin]:
        """Basins on which iterates settle."""
        damping = self.solver.damping if isinstance(self.solver, Relaxed) else 0.0
        return [
            basin
            for basin in self.reasoner.config.basins
            if not basin.wanders and all(abs(_damped(value, damping)) < 1 for value in basin.eigenvalues)
        ]

    def radius(self, basin: Basin) -> float:
        """Spectral radius at an attractor, over a lap."""
        if isinstance(self.solver, Relaxed):
            return max(abs(_damped(value, self.solver.damping)) for value in (*basin.eigenvalues, MARKER))
        return basin.radius


@dataclass(frozen=True)
class Found:
    """What the diagnostics said of an instance.

    Attributes:
        landscape: its modes, basins and periods.
        mode: whether the mode is the true one.
        masses: largest difference of a basin's mass; infinite where their number is wrong.
        periods: whether they are the true ones.
        radii: largest relative difference of a spectral radius; 0 where nothing settles.
    """

    landscape: Landscape
    mode: bool
    masses: float
    periods: bool
    radii: float

    @property
    def passed(self) -> bool:
        """Within all bounds."""
        return self.mode and self.periods and self.masses <= MASS and self.radii <= RADIUS


def _damped(value: complex, damping: float) -> complex:
    return (1 - damping) * value + damping


class Draw:
    """Random choices of one instance."""

    def __init__(self, kind: str, seed: int) -> None:
        self.kind, self.seed, self.random = kind, seed, random.Random(seed)
        self.tokens = self.random.randint(3, 6)
        self.width = self.random.randint(VALUES + 2, 16)
        self.label = self._answer()

    def _answer(self) -> tuple[int, ...]:
        return tuple(self.random.randint(1, VALUES - 1) for _ in range(self.tokens))

    def wrong(self) -> tuple[int, ...]:
        """An answer that is not the label."""
        while (answer := self._answer()) == self.label:
            pass
        return answer

    def eigenvalues(self) -> tuple[complex, ...]:
        """Leading ones of a contraction: a real one of either sign, or a pair at any angle."""
        size = self.random.uniform(0.4, 0.85)
        if self.random.random() < 0.5:
            return (size * self.random.choice([-1, 1]),)
        return (cmath.rect(size, self.random.uniform(0.3, 2.8)), 0.7 * size)

    def basin(self, mass: float, right: bool, period: int = 1) -> Basin:
        """One attractor, which decodes to one answer in all its phases."""
        return Basin(mass, (self.label if right else self.wrong(),) * period, self.eigenvalues())

    def wandering(self, mass: float) -> Basin:
        """A share of the space where nothing settles."""
        return Basin(mass, (self.wrong(),), wanders=True)

    def planted(self, basins: list[Basin], mode: str, solver: Solver = Picard()) -> Instance:
        """The instance, its basins in a random order along the marker."""
        self.random.shuffle(basins)
        noise = self.random.choice([0.0, 0.003])
        config = PlantedConfig(basins=tuple(basins), width=self.width, noise=noise, seed=self.seed)
        reasoner = PlantedReasoner(config, ProblemShape(VALUES, self.tokens))
        return Instance(self.kind, reasoner, self.label, mode, solver)


def one_correct(draw: Draw) -> Instance:
    """All, or most, of the space is the basin of the right answer."""
    mass = draw.random.choice([1.0, draw.random.uniform(0.6, 0.95)])
    rest = [draw.wandering(1 - mass)] if mass < 1 else []
    return draw.planted([draw.basin(mass, True), *rest], "d")


def spurious(draw: Draw) -> Instance:
    """The right answer, and one to three wrong ones."""
    masses = [draw.random.uniform(0.15, 1.0) for _ in range(draw.random.randint(2, 4))]
    masses = [mass / math.fsum(masses) for mass in masses]
    basins = [draw.basin(mass, place == 0) for place, mass in enumerate(masses)]
    return draw.planted(basins, "b" if 1 - masses[0] > 0.05 else "d")


def narrow(draw: Draw) -> Instance:
    """A narrow basin of the right answer; elsewhere nothing settles."""
    mass = draw.random.uniform(0.05, 0.4)
    return draw.planted([draw.basin(mass, True), draw.wandering(1 - mass)], "c")


def none_correct(draw: Draw) -> Instance:
    """Wrong answers only."""
    share = draw.random.uniform(0.2, 0.8)
    return draw.planted([draw.basin(share, False), draw.basin(1 - share, False)], "a")


def cycle(draw: Draw) -> Instance:
    """A cycle of 2 or 3 states, right or wrong, beside the fixed point of the other kind."""
    share, right = draw.random.uniform(0.3, 0.7), draw.random.random() < 0.5
    period = draw.random.choice([2, 3])
    return draw.planted([draw.basin(share, right, period), draw.basin(1 - share, not right)], "b")


def rotation(draw: Draw, is_damped: bool) -> Instance:
    """A fixed point that iterates circle without end, or away from it; damping makes it attract."""
    # In several planes, so that no restart starts near enough to the fixed point to seem at rest on it.
    angle = math.radians(draw.random.uniform(60, 150))
    values = tuple(cmath.rect(draw.random.uniform(1.04, 1.08), angle) for _ in range(6))
    basin = Basin(1.0, (draw.label,), (*values, 0.3))
    # Of all dampings the one of the least modulus, or somewhat beside it.
    best = 1 - (1 - values[0].real) / abs(1 - values[0]) ** 2
    damping = min(0.9, max(0.1, best * draw.random.uniform(0.9, 1.1)))
    solver = Relaxed(damping=damping) if is_damped else Picard()
    return draw.planted([basin], "d" if is_damped else "a", solver)


KINDS: dict[str, Callable[[Draw], Instance]] = {
    "one correct": one_correct,
    "correct and spurious": spurious,
    "narrow correct": narrow,
    "none correct": none_correct,
    "cycle of 2 or 3": cycle,
    "rotation": lambda draw: rotation(draw, draw.seed % 2 == 0),
}


def examined(instance: Instance, seed: int) -> Found:
    """Run, recorded and diagnosed, and held against the truth."""
    reasoner, label = instance.reasoner, torch.tensor(instance.label)
    problem = torch.zeros(1, len(label), dtype=torch.uint8)
    recorder = Recorder(Record())
    engine = Engine(reasoner, solver=instance.solver, slots=instance.restarts)
    engine.pools(problem, depths=(DEPTH,), breadth=instance.restarts, seed=seed, recorders=[recorder])
    recording = recorder.recording()
    answers = torch.from_numpy(recording.answers[:, -1])
    right = (answers == label).all(dim=1)
    ends = recorded_ends(recording)
    found = landscape(ends, right, answers)

    left = list(instance.attractors)
    masses, radii, periods = 0.0, 0.0, True
    for attractor in found.attractors:
        # Which one this should be: of its answer and period the nearest in mass.
        alike = [basin for basin in left if attractor.answer in basin.answers]
        if not alike:
            masses = math.inf
            continue
        basin = min(alike, key=lambda basin: abs(basin.mass - attractor.mass))
        left.remove(basin)
        masses = max(masses, abs(basin.mass - attractor.mass))
        periods = periods and attractor.period == basin.period
        with noise_free(reasoner, problem[0], solver=instance.solver) as f:
            at = ends.states[attractor.members[0]].view(1, *reasoner.state_shape)
            rest = followed_ends(f, at, 256).states.view_as(at)
            local = local_contraction(f, rest, attractor.period)
        radii = max(radii, abs(local.radius / instance.radius(basin) - 1))
    if left:
        masses = math.inf
    return Found(found, found.mode == instance.mode, masses, periods, radii)


def main(
    count: Annotated[int, typer.Option(min=1, help="of each of the six kinds")] = 10,
    seed: Annotated[int, typer.Option(help="of all that is random")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the numbers here")] = None,
) -> None:
    """Recover planted landscapes."""
    began, console = time.perf_counter(), Console(width=110)
    grid = Table("kind", "modes", title="Planted landscapes, recovered")
    for column in ("attractors", "restarts", "passed", "worst mass", "worst radius"):
        grid.add_column(column, justify="right")
    facts: list[dict[str, object]] = []
    for place, (kind, plant) in enumerate(KINDS.items()):
        instances = [plant(Draw(kind, (seed * len(KINDS) + place) * 1000 + each)) for each in range(count)]
        results = [examined(instance, seed) for instance in instances]
        facts += [
            {
                "kind": kind,
                "mode": instance.mode,
                "found_mode": result.landscape.mode,
                "restarts": instance.restarts,
                "elements": math.prod(instance.reasoner.state_shape),
                "noise": instance.reasoner.config.noise,
                "attractors": len(instance.attractors),
                "found_attractors": len(result.landscape.attractors),
                "periods": result.periods,
                "mass_error": result.masses,
                "radius_error": result.radii,
                "passed": result.passed,
            }
            for instance, result in zip(instances, results, strict=True)
        ]
        grid.add_row(
            kind,
            " ".join(sorted({instance.mode for instance in instances})),
            str(sum(len(result.landscape.attractors) for result in results)),
            f"{sum(instance.restarts for instance in instances):,}",
            f"{sum(result.passed for result in results)} of {count}",
            f"{max(result.masses for result in results):.4f}",
            f"{max(result.radii for result in results):.1e}",
        )
    passed, seconds = sum(bool(fact["passed"]) for fact in facts), time.perf_counter() - began
    console.print(grid)
    console.print(f"{passed} of {len(facts)} landscapes recovered in {seconds:.0f} s", highlight=False)
    for fact in facts:
        if not fact["passed"]:
            console.print(f"failed: {fact}", highlight=False)
    if json_file is not None:
        whole = {"passed": passed, "of": len(facts), "seed": seed, "seconds": seconds, "instances": facts}
        json_file.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    if passed < len(facts):
        raise typer.Exit(1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    typer.run(main)
