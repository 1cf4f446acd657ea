"""The whole of a training run in one file, so that it resumes as if it had never stopped."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.optim import Optimizer

from equilibria.errors import CheckpointError
from equilibria.files import write_tensors
from equilibria.reasoners.interface import Reasoner
from equilibria.training.average import ExponentialAverage
from equilibria.training.carry import Carry


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        step: optimizer steps done.
        seconds: time spent training so far, evaluations and saves left out.
        evaluation_seconds: time spent on evaluations so far.
        restarted: the step at which a fresh optimizer went on from saved weights; 0: never.
        best: best held-out exact accuracy so far, None before the first evaluation.
        best_step: when that was.
        run: hash of what the run was started with; a run resumes only under the same.
    """

    run: str
    step: int = 0
    seconds: float = 0.0
    evaluation_seconds: float = 0.0
    restarted: int = 0
    best: float | None = None
    best_step: int = 0


def save_state(
    path: Path,
    reasoner: Reasoner[Any],
    optimizers: list[Optimizer],
    average: ExponentialAverage,
    carry: Mapping[str, Tensor],
    progress: Progress,
) -> None:
    """Write everything a run needs to go on, atomically, as one safetensors file."""
    tensors = {f"weights/{name}": value for name, value in reasoner.state_dict().items()}
    tensors |= {f"average/{index}": value for index, value in enumerate(average.shadow)}
    tensors |= {f"carry/{name}": value for name, value in carry.items()}
    groups: list[list[dict[str, Any]]] = []
    for index, optimizer in enumerate(optimizers):
        content = optimizer.state_dict()
        groups.append(content["param_groups"])
        for weight, facts in content["state"].items():
            tensors |= {f"optimizer/{index}/{weight}/{name}": value for name, value in facts.items()}
    # Averages and weights may share memory right after a start; safetensors wants each on its own.
    copies = {name: value.detach().clone() for name, value in tensors.items()}
    write_tensors(path, copies, {"progress": json.dumps(asdict(progress)), "groups": json.dumps(groups)})


def read_progress(path: Path, run: str) -> Progress:
    """Where the saved run stands, if it is the run of this identity.

    Raises:
        CheckpointError: there is no such file, it is damaged, or it belongs to another recipe or data set.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: nothing to resume; start without --resume")
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged: {error}") from error
    if progress.run != run:
        raise CheckpointError(
            f"{path}: this run was started with another recipe or other data; resume it with the same, "
            "or start a new run in another folder (--out)"
        )
    return progress


def load_state(
    path: Path,
    reasoner: Reasoner[Any],
    optimizers: list[Optimizer],
    average: ExponentialAverage,
    rows: slice,
    run: str,
) -> tuple[Carry, Progress]:
    """Put a saved run back: everything `save_state` wrote, and this process's rows of the carry.

    Raises:
        CheckpointError: as `read_progress`.
    """
    progress = read_progress(path, run)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def part(prefix: str) -> dict[str, Tensor]:
        return {n.removeprefix(prefix): value for n, value in tensors.items() if n.startswith(prefix)}

    reasoner.load_state_dict(part("weights/"))
    with torch.no_grad():
        for index, shadow in enumerate(average.shadow):
            shadow.copy_(tensors[f"average/{index}"])
    for index, (optimizer, groups) in enumerate(zip(optimizers, json.loads(metadata["groups"]), strict=True)):
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in part(f"optimizer/{index}/").items():
            weight, fact = name.split("/")
            state.setdefault(int(weight), {})[fact] = value
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    device = next(reasoner.parameters()).device
    carry = {name: value[rows].to(device) for name, value in part("carry/").items()}
    return Carry.of(carry), progress
