"""A checkpoint: a folder of weights, the recipe that made them, and a card. Nothing in it is executed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from safetensors import SafetensorError, safe_open
from torch import Tensor

from equilibria.errors import CheckpointError
from equilibria.files import write_tensors, write_text

WEIGHTS, RECIPE, CARD, CALIBRATION = "model.safetensors", "config.yaml", "README.md", "calibration.json"
FILES = [WEIGHTS, RECIPE, CARD, CALIBRATION]


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint folder.

    Attributes:
        weights: by parameter name.
        recipe: the YAML text.
        card: the card's Markdown.
        facts: short facts stored with the weights (step, held-out accuracy, code version …).
        calibration: the text of what maps residuals to probabilities, empty where there is none.
    """

    weights: dict[str, Tensor]
    recipe: str
    card: str
    facts: dict[str, str]
    calibration: str = ""


def write_checkpoint(
    folder: Path,
    weights: Mapping[str, Tensor],
    recipe: str,
    card: str,
    facts: Mapping[str, str],
    calibration: str = "",
) -> None:
    """Write a checkpoint folder; each of its files is replaced in one step."""
    if calibration:
        write_text(folder / CALIBRATION, calibration)
    else:  # one of other weights says nothing of these
        (folder / CALIBRATION).unlink(missing_ok=True)
    write_text(folder / RECIPE, recipe)
    write_text(folder / CARD, card)
    write_tensors(folder / WEIGHTS, weights, {"format": "pt"} | dict(facts))


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint folder.

    Raises:
        CheckpointError: a file is missing or damaged; says which.
    """
    for name in (WEIGHTS, RECIPE):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder}: no {name} here, so this is not a checkpoint")
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            facts = dict(file.metadata() or {})
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{folder / WEIGHTS}: damaged: {error}") from error
    card = _read_text(folder / CARD) if (folder / CARD).is_file() else ""
    calibration = _read_text(folder / CALIBRATION) if (folder / CALIBRATION).is_file() else ""
    return Checkpoint(weights, _read_text(folder / RECIPE), card, facts, calibration)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: damaged: {error}") from error


def fetch(repository: str) -> Path:
    """A checkpoint on the Hugging Face Hub, `owner/name`, as a local folder.

    Raises:
        CheckpointError: it cannot be had; says what was tried.
    """
    try:
        return Path(snapshot_download(repository, allow_patterns=FILES))
    except Exception as error:  # the hub raises many kinds; all mean that it is not to be had
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"'{repository}' is no shipped reasoner and no folder, and the Hub did not give it: {reason}"
        ) from error


def push(folder: Path, repository: str, private: bool) -> str:
    """Upload a checkpoint folder to the Hub; returns its address."""
    api = HfApi()
    api.create_repo(repository, private=private, exist_ok=True)
    info: Any = api.upload_folder(repo_id=repository, folder_path=folder, allow_patterns=FILES)
    return str(info.commit_url)
