"""Where test data lives, and how a parity case is read."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from safetensors.torch import load_file
from torch import Tensor

# A shared machine makes any time limit fail now and then; no test here is about time.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
# Tests run side by side; threads of one would only wait for those of another.
torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("EQUILIBRIA_SHARED", ROOT.parent / "shared"))


@dataclass(frozen=True)
class Case:
    """A golden file: numbers that a published implementation printed."""

    name: str
    config: dict[str, Any]
    facts: dict[str, Any]
    tensors: dict[str, Tensor]

    def group(self, prefix: str) -> dict[str, Tensor]:
        """All tensors whose name starts with `prefix`, without it."""
        return {n.removeprefix(prefix): t for n, t in self.tensors.items() if n.startswith(prefix)}

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of development data; absent on a user's machine."""
    if not SHARED.is_dir():
        pytest.skip(f"no development data at {SHARED} (set EQUILIBRIA_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def golden(shared: Path):
    """Reads a golden case by name."""

    def read(name: str) -> Case:
        facts = json.loads((shared / "golden" / f"{name}.json").read_text())
        return Case(name, facts["config"], facts, load_file(shared / "golden" / f"{name}.safetensors"))

    return read


def relative_error(got: Tensor, expected: Tensor) -> float:
    """Largest difference relative to the largest magnitude expected."""
    scale = expected.double().abs().max().item()
    difference = (got.double() - expected.double()).abs().max().item()
    return difference / scale if scale > 0 else difference


@pytest.fixture
def agree(request: pytest.FixtureRequest):
    """Asserts agreement with a published number and prints what was got."""

    def check(what: str, got: Tensor, expected: Tensor, tolerance: float) -> None:
        assert got.shape == expected.shape, f"{what}: shape {tuple(got.shape)} for {tuple(expected.shape)}"
        error = relative_error(got, expected)
        print(f"{request.node.name}: {what}: {error:.1e} (allowed {tolerance:.0e})")
        assert error <= tolerance, f"{what}: relative error {error:.2e} exceeds {tolerance:.0e}"

    return check


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
