"""What restarts of a trained reasoner come to: run once, and kept beside it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

import torch
from safetensors.torch import load_file
from torch import Tensor

from equilibria.diagnostics.evaluation import Tries, correct
from equilibria.files import write_tensors
from equilibria.inference.pool import Pool
from equilibria.loading import load
from equilibria.pipeline import Pipeline
from equilibria.reproduce.runs import CachedRun
from equilibria.training.launch import Launch

DRAWN = "reasoner.initial=gaussian"


@dataclass(frozen=True)
class Ask:
    """What to run.

    Attributes:
        problems: the first so many.
        depths: to look at, in one pass.
        breadth: restarts of each problem.
        drawn: start from random states, whatever the reasoner was trained from, as the published evaluator
            does for every method; False: as it was trained.
        halting: "fixed": to the greatest depth; "learned": until the halting head gives more than even odds.
        seen: problems of training, in place of held-out ones.
        overrides: of how the reasoner is run.
    """

    problems: int
    depths: tuple[int, ...]
    breadth: int = 1
    drawn: bool = False
    halting: str = "fixed"
    seen: bool = False
    overrides: tuple[str, ...] = ()


def tries(run: CachedRun, ask: Ask, device: str) -> dict[int, Tries]:
    """By depth, where the trajectories stand, and whether they are right.

    The reasoner is trained first where that was not done.
    """
    problems = (run.splits.train if ask.seen else run.splits.held_out)[: ask.problems]
    same = replace(ask, drawn=False, overrides=tuple(overrides(run, ask)))  # however it was asked for
    asked = json.dumps([asdict(same), problems.fingerprint()], sort_keys=True)
    path = run.folder / "tries" / f"{hashlib.sha256(asked.encode()).hexdigest()[:16]}.safetensors"
    if not path.is_file():
        pipeline = placed(run, ask, device)
        pools = pipeline.engine.pools(
            problems.inputs,
            depths=ask.depths,
            breadth=ask.breadth,
            halting=pipeline.halting(ask.halting),
            identifiers=problems.identifiers,
        )
        write_tensors(path, _named(dict(zip(ask.depths, pools, strict=True))), {"asked": asked})
    assert problems.labels is not None
    kept = _pools(load_file(path), ask)
    return {depth: Tries(pool, correct(pool, problems.labels)) for depth, pool in kept.items()}


def percent(tried: Tries) -> float:
    """Exact accuracy, averaged over the restarts (EqR Eq. 19)."""
    return 100 * tried.right.double().mean().item()


def placed(run: CachedRun, ask: Ask, device: str) -> Pipeline:
    """The trained reasoner, set up as asked."""
    run.trained(device)
    return load(run.folder / "trained", Launch(device).device, overrides(run, ask))


def overrides(run: CachedRun, ask: Ask) -> list[str]:
    """What has to be changed of a trained reasoner."""
    started = getattr(run.recipe.reasoner, "initial", None)
    return [*([DRAWN] if ask.drawn and started != "gaussian" else []), *ask.overrides]


def _named(pools: Mapping[int, Pool]) -> dict[str, Tensor]:
    """The tensors of all pools; answers are few tokens, so a byte will do."""
    return {
        f"{depth}.{field.name}": value.to(torch.uint8) if field.name == "answers" else value
        for depth, pool in pools.items()
        for field in fields(Pool)
        for value in [getattr(pool, field.name)]
    }


def _pools(named: Mapping[str, Tensor], ask: Ask) -> dict[int, Pool]:
    return {
        depth: Pool(**{field.name: named[f"{depth}.{field.name}"] for field in fields(Pool)})
        for depth in ask.depths
    }
