"""Is a reasoner settling on the right answers? All that tells, from one pass of restarts (EqR Sec. 4, 6)."""

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from equilibria.diagnostics import examples, sections
from equilibria.diagnostics.advice import advise, verdict
from equilibria.diagnostics.diagnosis import Diagnosis, Setting
from equilibria.diagnostics.local import local_states
from equilibria.dynamics.halting import FixedDepth, Halting, Residual
from equilibria.dynamics.noise import NoiseSource, fingerprint
from equilibria.errors import DataError, EquilibriaError
from equilibria.inference.engine import Engine, Watch
from equilibria.inference.recording import Record, Recorder
from equilibria.reasoners.interface import Reasoner
from equilibria.tasks.interface import Problems, Task

WINDOW = 3
"""Iterations in a row that must be under the tolerance before a settled trajectory leaves."""


@dataclass(frozen=True)
class Origin:
    """Where a reasoner and its problems come from: the fields of `Setting` of the same names."""

    reasoner: str
    recipe: str
    recipe_file: str
    family: str
    changes: tuple[str, ...]
    data: str
    trained_depth: int
    trained_initial: str | None
    trained_noise: float | None
    code: str


def diagnose(
    engine: Engine,
    task: Task,
    problems: Problems,
    origin: Origin,
    *,
    depth: int = 16,
    breadth: int = 32,
    halting: Halting | None = None,
    tolerance: float = 0.05,
    seed: int = 0,
    watch: Watch | None = None,
) -> Diagnosis:
    """Run restarts of all problems once, look closely at a few, and say what follows.

    Args:
        engine: runs the reasoner.
        task: of the problems.
        problems: with labels.
        origin: told in the report, and in the commands that it advises.
        depth: most iterations of a trajectory.
        breadth: restarts of a problem.
        halting: ends trajectories early; None: those that have settled leave.
        tolerance: settled is a root-mean-square change of a state element per iteration of at most this.
        seed: of all draws.
        watch: told of the progress of the pass over all problems.

    Raises:
        DataError: the problems have no labels, or there are none.
        EquilibriaError: the reasoner does not iterate, its restarts are alike, or a number makes no sense.
    """
    _check_iterates(engine.reasoner)
    if problems.labels is None or not len(problems):
        raise DataError("a diagnosis needs problems with answers")
    if breadth < 2:
        raise EquilibriaError(
            f"breadth {breadth}: attractors show in several restarts; take 2 or more, as 32"
        )
    if depth < 2:
        raise EquilibriaError(f"depth {depth}: settling takes several iterations; take 2 or more, as 16")
    if engine.reasoner.max_depth is not None:
        depth = min(depth, engine.reasoner.max_depth)
    random_start, path_noise = _randomness(engine.reasoner, problems[:1])
    if not random_start and not path_noise:
        raise EquilibriaError(
            f"all restarts of {origin.reasoner} are alike: it starts from one fixed state and has no path "
            "noise. Let it start from random states: --set reasoner.initial=gaussian"
        )
    started, processed = time.perf_counter(), time.process_time()
    streams, whole, width = engine.reasoner.state_shape
    elements = streams * (whole - engine.reasoner.shape.tokens + problems.inputs.shape[1]) * width
    rule = _leaving(engine, elements, tolerance) if halting is None else halting
    depths, recorder = sections.doublings(depth), Recorder(Record(states=0))
    pools = engine.pools(
        problems.inputs,
        depths=depths,
        breadth=breadth,
        halting=rule,
        seed=seed,
        identifiers=problems.identifiers,
        watch=watch,
        recorders=(recorder,),
    )
    ran = sections.Pass(task, problems, depths, tuple(pools), recorder.recording(), elements, tolerance)
    right = ran.right(ran.last)
    selection = sections.selection(ran, right)
    rows = sections.problem_rows(ran, right, selection.best)
    close = examples.run_again(engine, ran, rows, seed)
    setting = Setting(
        reasoner=origin.reasoner,
        recipe=origin.recipe,
        recipe_file=origin.recipe_file,
        family=origin.family,
        changes=origin.changes,
        task=task.name,
        noun=task.noun,
        rules=task.rules,
        data=origin.data,
        data_sha256=problems.fingerprint(),
        problems=len(problems),
        depth=depth,
        breadth=breadth,
        trained_depth=origin.trained_depth,
        trained_initial=origin.trained_initial,
        trained_noise=origin.trained_noise,
        halting=rule.rule if halting is not None or rule.rule == "fixed" else "those that have settled leave",
        tolerance=tolerance,
        random_start=random_start,
        path_noise=path_noise,
        seed=seed,
        solver=engine.solver.name,
        device=str(next(engine.reasoner.parameters()).device),
        dtype=str(engine.reasoner.compute_dtype).removeprefix("torch."),
        code=origin.code,
        torch=torch.__version__,
        nfe=int(ran.last.evaluations.sum()) + sum(int(each.recording.length.sum()) for each in close),
        seconds=0.0,
        cpu_seconds=0.0,
    )
    found = Diagnosis(
        verdict="",
        setting=setting,
        accuracy=sections.accuracy(ran),
        breadth=selection,
        coupling=sections.residual_coupling(ran, right),
        modes=sections.mode_shares(rows),
        labels=sections.label_doubts(ran, rows),
        problems=rows,
        basins=examples.basins(engine, problems, close),
        path_independence=sections.independence(right),
        residuals=sections.residual_bands(ran, right),
        local=local_states(engine, problems, close),
        cycles=examples.cycles(close, problems.labels, path_noise),
        difficulty=sections.adaptivities(ran, right),
        head=sections.halting_head(ran, right),
        stopping=sections.stopping_rules(ran),
        pictures=examples.pictures(close),
        advice=(),
    )
    found = replace(
        found,
        setting=replace(
            setting,
            seconds=time.perf_counter() - started,
            cpu_seconds=time.process_time() - processed,
        ),
    )
    return replace(found, verdict=verdict(found), advice=advise(found))


def _check_iterates(reasoner: Reasoner[Any]) -> None:
    """Raise EquilibriaError for a reasoner that does not iterate."""
    if reasoner.max_depth is not None and reasoner.max_depth < 2:
        raise EquilibriaError(
            f"a reasoner of the family {reasoner.config.family} does not iterate, so it has nothing to "
            "settle on: use equilibria evaluate"
        )


def _leaving(engine: Engine, elements: int, tolerance: float) -> Halting:
    """Ends what has settled. The solver says in which norm; in one that does not compare, nothing leaves."""
    norm = getattr(engine.solver, "norm", None)
    scale = {"l2": math.sqrt(elements), "relative-l2": 1.0}.get(str(norm))
    return FixedDepth() if scale is None else Residual(tolerance=tolerance * scale, patience=WINDOW)


@torch.no_grad()
def _randomness(reasoner: Reasoner[Any], one: Problems) -> tuple[bool, bool]:
    """Whether two restarts of a problem start apart, and whether two go apart from one state."""
    device = next(reasoner.parameters()).device
    tokens = one.inputs.to(device).repeat(2, 1)
    names = None if one.identifiers is None else one.identifiers.to(device).repeat(2)
    condition = reasoner.encode(tokens, names)
    source = NoiseSource.trajectories(0, fingerprint(tokens), torch.arange(2, device=device))
    start = reasoner.initial_state(condition, source)
    alike = start[:1].expand_as(start).contiguous()
    after = reasoner.iterate(alike, condition, noise=source.at(0)).state
    return _differ(start), _differ(after)


def _differ(pair: Tensor) -> bool:
    return not torch.allclose(pair[0], pair[1], atol=1e-6)
