"""Published checkpoints of the peers, read into our reasoners."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equilibria.errors import CheckpointError
from equilibria.interop.architectures import FAMILIES, translate_config
from equilibria.interop.names import initial_names, is_ignored, our_name, strip_wrappers
from equilibria.interop.pickles import read_published
from equilibria.pipeline import Pipeline
from equilibria.reasoners import family as reasoner_class
from equilibria.reasoners.blocks import BlockConfig
from equilibria.reasoners.interface import ProblemShape, Reasoner
from equilibria.recipes import load_recipe

__all__ = [
    "from_published",
    "import_checkpoint",
    "our_name",
    "published_families",
    "read_published",
    "translate_config",
]


def published_families() -> tuple[str, ...]:
    """Names of the peers' families whose weights can be read."""
    return FAMILIES


def from_published(
    family: str,
    config: Mapping[str, Any],
    state_dict: Mapping[str, Tensor],
    shape: ProblemShape | None = None,
) -> Reasoner[Any]:
    """Build a reasoner from a peer's architecture options and weights.

    Args:
        family: one of `published_families`.
        config: the options of its own architecture file, with `vocab_size` and `seq_len` (their data
            set's facts) unless `shape` is given.
        state_dict: weights by published name, with or without `_orig_mod.` and `model.` before them.
        shape: the task's shape.

    Raises:
        CheckpointError: an option or a weight is missing, unknown or of the wrong shape.
    """
    ours = translate_config(family, config)
    weights = {strip_wrappers(name): value for name, value in state_dict.items()}
    if shape is None:
        table = weights.get("inner.puzzle_emb.weights")
        shape = ProblemShape(
            config["vocab_size"],
            config["seq_len"],
            _board(config),
            identifiers=1 if table is None else len(table),
        )
    return _build(family, ours, weights, shape)


def _board(config: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width where the options say them, or a square where the tokens make one."""
    if config.get("board_height") and config.get("board_width"):
        return config["board_height"], config["board_width"]
    side = round(config["seq_len"] ** 0.5)
    return (side, side) if side * side == config["seq_len"] else None


def _build(
    family: str, config: BlockConfig, weights: Mapping[str, Tensor], shape: ProblemShape
) -> Reasoner[Any]:
    table = weights.get("inner.puzzle_emb.weights")
    if table is not None and len(table) != shape.identifiers:
        # As published: with another number of puzzles, every identity is the mean of the trained ones.
        mean = table.float().mean(dim=0, keepdim=True).expand(shape.identifiers, -1)
        weights = dict(weights) | {"inner.puzzle_emb.weights": mean}
    reasoner = reasoner_class(config.family)(config, shape)
    reasoner.load_state_dict(_translate(family, weights, reasoner), strict=True)
    return reasoner


def _translate(family: str, weights: Mapping[str, Tensor], reasoner: Reasoner[Any]) -> dict[str, Tensor]:
    expected = reasoner.state_dict()
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        ours = our_name(name, family)
        if ours in expected:
            own = value.float()
            # A depth-wise filter has one input channel, which we leave out.
            found[ours] = own.squeeze(1) if own.ndim == expected[ours].ndim + 1 else own
        elif ours is not None:
            raise CheckpointError(f"weight '{name}' does not belong to this architecture")
        elif not is_ignored(name):
            raise CheckpointError(f"weight '{name}' is not known in this family")
    if "fixed_state" in expected:
        names = initial_names(reasoner.state_shape[0], family)
        if all(name in weights for name in names):
            found["fixed_state"] = torch.stack([weights[name].float() for name in names])
    missing = sorted(set(expected) - set(found))
    if missing:
        raise CheckpointError(f"the checkpoint lacks weights for: {', '.join(missing)}")
    wrong = [name for name, value in found.items() if value.shape != expected[name].shape]
    if wrong:
        detail = ", ".join(f"{n} {tuple(found[n].shape)} for {tuple(expected[n].shape)}" for n in wrong)
        raise CheckpointError(f"weights of another shape than the options say: {detail}")
    return found


RECIPES = {"trm_singlez": "trm-sudoku", "attractor_puzzle": "attractor-sudoku-7m"}
"""The recipe whose task and training a published checkpoint belongs to; elsewhere `<family>-sudoku`."""


def import_checkpoint(
    path: Path, family: str, recipe: str | None = None, architecture: Mapping[str, Any] | None = None
) -> Pipeline:
    """A published checkpoint file → a pipeline that solves, evaluates and saves like any other.

    Args:
        path: the published `.pth`.
        family: one of `published_families`.
        recipe: names the task and training setup it belongs to; by default that of its Sudoku model.
        architecture: the peer's architecture options, where the file does not carry them.

    Raises:
        CheckpointError: the file cannot be read, or does not fit.
    """
    if family not in FAMILIES:
        raise CheckpointError(f"family '{family}' is not known; choose one of {', '.join(FAMILIES)}")
    weights, config = read_published(path)
    base = load_recipe(recipe or RECIPES.get(family, f"{family}-sudoku"))
    task = base.build_task()
    shape = ProblemShape(task.vocab_size, task.tokens, task.board, task.identifiers)
    options = architecture or (config or {}).get("arch")
    ours = base.reasoner if options is None else translate_config(family, options)
    assert isinstance(ours, BlockConfig)
    reasoner = _build(family, ours, weights, shape)
    origin = f"Imported from `{path.name}`, a published {family.upper()} checkpoint."
    return Pipeline(
        reasoner.eval(),
        task,
        base.model_copy(update={"name": path.stem, "summary": origin, "reasoner": ours}),
        card=f"# {path.stem}\n\n{origin}\n",
        facts={"origin": path.name},
        name=path.stem,
    )
