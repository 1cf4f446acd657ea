"""What a job's records depend on, so that records of one job never end in another."""

import hashlib
from typing import Any

import torch

from equilibria.pipeline import Pipeline
from equilibria.tasks import Problems


def identity(pipeline: Pipeline, problems: Problems, seed: int, **how: Any) -> dict[str, Any]:
    """Reasoner, problems, seed and budget, as plain data."""
    weights = hashlib.sha256()
    for name, value in sorted(pipeline.reasoner.state_dict().items()):
        weights.update(name.encode())
        whole = value.detach().cpu().contiguous().reshape(-1)
        weights.update(whole.view(torch.uint8).numpy().tobytes())  # numpy has no bf16
    return {
        "weights_sha256": weights.hexdigest(),
        "reasoner": pipeline.recipe.reasoner.model_dump(mode="json"),
        "solver": str(pipeline.engine.solver),
        "dtype": str(pipeline.reasoner.compute_dtype).removeprefix("torch."),
        "problems_sha256": problems.fingerprint(),
        "seed": seed,
    } | {name: str(value) for name, value in how.items()}
