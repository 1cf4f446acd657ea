"""Reading a published `.pth` file without running anything in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equilibria.errors import CheckpointError
from equilibria.interop.names import strip_wrappers


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
    inside = next(
        (name for name in ("model", "model_state_dict") if isinstance(content.get(name), dict)), None
    )
    if inside is None:
        return _tensors(content, path), None
    weights = _tensors(content[inside], path)
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
