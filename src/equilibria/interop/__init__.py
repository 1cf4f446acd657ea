"""Published checkpoints of the peers, read into our reasoners.

The keys of a published architecture and the names of its weights are interface facts; everything that
knows them is in this file.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from equilibria.errors import CheckpointError
from equilibria.pipeline import Pipeline
from equilibria.reasoners.interface import ProblemShape, Reasoner
from equilibria.reasoners.recursive import RecursiveConfig, RecursiveReasoner
from equilibria.recipes import load_recipe

FAMILIES = ("eqr", "trm", "trm_singlez")

_RENAMED = (
    (r"^inner\.embed_tokens\.embedding_weight$", "embedding.weight"),
    (r"^inner\.embed_pos\.embedding_weight$", "embedding.positions"),
    (r"^inner\.puzzle_emb\.weights$", "embedding.identity.weight"),
    (r"^inner\.lm_head\.weight$", "answer_head.weight"),
    (r"^inner\.q_head\.(weight|bias)$", r"halt_head.score.\1"),
    (
        r"^inner\.L_level\.layers\.(\d+)\.mlp_t\.(gate_up|down)_proj\.weight$",
        r"blocks.\1.token_mixing.\2.weight",
    ),
    (
        r"^inner\.L_level\.layers\.(\d+)\.mlp\.(gate_up|down)_proj\.weight$",
        r"blocks.\1.channel_mixing.\2.weight",
    ),
    (r"^inner\.L_level\.layers\.(\d+)\.self_attn\.qkv_proj\.weight$", r"blocks.\1.token_mixing.qkv.weight"),
    (r"^inner\.L_level\.layers\.(\d+)\.self_attn\.o_proj\.weight$", r"blocks.\1.token_mixing.out.weight"),
)


def our_name(published: str) -> str | None:
    """Our name for a published parameter (wrapper prefixes already stripped), or None where we have none."""
    for pattern, name in _RENAMED:
        if re.match(pattern, published):
            return re.sub(pattern, name, published)
    return None


def strip_wrappers(name: str) -> str:
    """Drop what compiling (`_orig_mod`) and the loss head (`model`) put before a parameter's name."""
    path = [part for part in name.split(".") if part != "_orig_mod"]
    return ".".join(path[1:] if path[0] == "model" else path)


def translate_config(family: str, config: Mapping[str, Any]) -> RecursiveConfig:
    """A peer's architecture options → ours.

    Raises:
        CheckpointError: an option is missing, or asks for something this family cannot do.
    """
    if family not in FAMILIES:
        raise CheckpointError(f"family '{family}' is not known; choose one of {', '.join(FAMILIES)}")
    try:
        mlp = bool(config["mlp_t"])
        common: dict[str, Any] = {
            "width": config["hidden_size"],
            "heads": config["num_heads"],
            "layers": config["L_layers"],
            "expansion": config["expansion"],
            "H_cycles": config["H_cycles"],
            "L_cycles": config["L_cycles"],
            "mixing": "mlp" if mlp else "attention",
            "positions": "none" if mlp and config["pos_encodings"] != "learned" else config["pos_encodings"],
            "rope_theta": config.get("rope_theta", 10_000.0),
        }
        if family == "eqr":
            return RecursiveConfig(
                **common,
                sigma_H=config["H_init_std"],
                sigma_L=config["L_init_std"],
                damping=1.0 - config["lambda_"],  # the published λ weighs the new value, the paper's the old
                noise=config["noise_scale"],
            )
        identity = config["puzzle_emb_ndim"]
        prefix = config.get("puzzle_emb_len") or -(-identity // config["hidden_size"])
        streams = 1 if family == "trm_singlez" else 2
        return RecursiveConfig(
            **common,
            prefix=prefix,
            identity_width=identity or None,
            initial="fixed",
            damping=0.0,
            noise=0.0,
            streams=streams,
        )
    except KeyError as error:
        raise CheckpointError(f"the {family} architecture misses the option {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{fault['loc'][-1:]}: {fault['msg']}" for fault in error.errors())
        raise CheckpointError(f"the {family} architecture has options of another kind: {faults}") from error


def from_published(
    family: str,
    config: Mapping[str, Any],
    state_dict: Mapping[str, Tensor],
    shape: ProblemShape | None = None,
) -> Reasoner[Any]:
    """Build a reasoner from a peer's architecture options and weights.

    Args:
        family: "eqr", "trm" or "trm_singlez".
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
    return _build(ours, weights, shape)


def _board(config: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width where the options say them, or a square where the tokens make one."""
    if config.get("board_height") and config.get("board_width"):
        return config["board_height"], config["board_width"]
    side = round(config["seq_len"] ** 0.5)
    return (side, side) if side * side == config["seq_len"] else None


def _build(config: RecursiveConfig, weights: Mapping[str, Tensor], shape: ProblemShape) -> RecursiveReasoner:
    table = weights.get("inner.puzzle_emb.weights")
    if table is not None and len(table) != shape.identifiers:
        # As published: with another number of puzzles, every identity is the mean of the trained ones.
        mean = table.float().mean(dim=0, keepdim=True).expand(shape.identifiers, -1)
        weights = dict(weights) | {"inner.puzzle_emb.weights": mean}
    reasoner = RecursiveReasoner(config, shape)
    reasoner.load_state_dict(_translate(weights, reasoner), strict=True)
    return reasoner


def _translate(weights: Mapping[str, Tensor], reasoner: RecursiveReasoner) -> dict[str, Tensor]:
    expected = reasoner.state_dict()
    found: dict[str, Tensor] = {}
    ignored = re.compile(r"puzzle_emb\.local_|rotary_emb\.")
    for name, value in weights.items():
        ours = our_name(name)
        if ours in expected:
            found[ours] = value.float()
        elif ours is not None:
            raise CheckpointError(f"weight '{name}' does not belong to this architecture")
        elif name not in ("inner.H_init", "inner.L_init") and not ignored.search(name):
            raise CheckpointError(f"weight '{name}' is not known in this family")
    if "fixed_state" in expected:
        names = ("inner.H_init", "inner.L_init") if reasoner.config.streams == 2 else ("inner.L_init",)
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


class _Inert:
    """Stands in for every class and function a pickle names beyond tensors; does nothing."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


def read_published(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Read a published `.pth`: (weights by published name, the training config it carries or None).

    EMA weights are preferred where the file holds them. Nothing the file names is ever executed: it is
    read with `weights_only=True`, and whatever is not a tensor or a plain container (a full training
    state holds objects of the peer's own classes) is replaced by an inert stand-in.

    Raises:
        CheckpointError: the file is missing, damaged, or holds no weights.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        with torch.serialization.safe_globals([(_Inert, name) for name in foreign]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds here; to the user they all mean one thing
        raise CheckpointError(
            f"{path}: cannot be read as a checkpoint without running it: {_reason(error)}"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, expected a mapping of weights")
    if not isinstance(content.get("model"), dict):
        return _tensors(content, path), None
    weights = _tensors(content["model"], path)
    average = content.get("ema")
    if isinstance(average, dict) and isinstance(average.get("shadow"), dict):
        weights |= _tensors(average["shadow"], path)
    config = content.get("config")
    return weights, dict(config) if isinstance(config, Mapping) else None


def _reason(error: Exception) -> str:
    """What was wrong, in a line, without torch's advice to load the file unprotected."""
    said = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    if not said or "weights_only" in said.splitlines()[0]:
        return type(error).__name__
    return said.splitlines()[0]


def _tensors(mapping: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    weights = {
        strip_wrappers(name): value
        for name, value in mapping.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    if not weights:
        raise CheckpointError(f"{path}: holds no weights")
    return weights


def import_checkpoint(
    path: Path, family: str, recipe: str | None = None, architecture: Mapping[str, Any] | None = None
) -> Pipeline:
    """A published checkpoint file → a pipeline that solves, evaluates and saves like any other.

    Args:
        path: the published `.pth`.
        family: "eqr", "trm" or "trm_singlez".
        recipe: names the task and training setup it belongs to; by default `<family>-sudoku`.
        architecture: the peer's architecture options, where the file does not carry them.

    Raises:
        CheckpointError: the file cannot be read, or does not fit.
    """
    if family not in FAMILIES:
        raise CheckpointError(f"family '{family}' is not known; choose one of {', '.join(FAMILIES)}")
    weights, config = read_published(path)
    base = load_recipe(recipe or f"{family.removesuffix('_singlez')}-sudoku")
    task = base.build_task()
    shape = ProblemShape(task.vocab_size, task.tokens, task.board, task.identifiers)
    options = architecture or (config or {}).get("arch")
    reasoner_config = base.reasoner if options is None else translate_config(family, options)
    assert isinstance(reasoner_config, RecursiveConfig)
    reasoner = _build(reasoner_config, weights, shape)
    origin = f"Imported from `{path.name}`, a published {family.upper()} checkpoint."
    return Pipeline(
        reasoner.eval(),
        task,
        base.model_copy(update={"name": path.stem, "summary": origin, "reasoner": reasoner_config}),
        card=f"# {path.stem}\n\n{origin}\n",
        facts={"origin": path.name},
        name=path.stem,
    )
