"""What norms do to a deep loop: the pre-norm state grows, the others do not; and the toy of the appendix."""

import csv

import pytest
import torch

from equilibria.reproduce.signal_propagation import (
    REPRODUCTION,
    SCALED,
    SCHEMES,
    landscape,
    norms,
    scheme_recipe,
)


@pytest.fixture
def sizes(setup):
    few = setup(overrides=("reasoner.width=16", "reasoner.heads=2", "task.length=4", "training.batch=2"))
    return {scheme: dict(norms(scheme_recipe(scheme, few, 0))) for scheme in SCHEMES}


def test_only_the_unscaled_pre_norm_state_grows(sizes):
    assert sizes["pre"][512] > 50 * sizes["pre"][2]
    assert sizes["post"][512] == pytest.approx(1.0, abs=1e-3)
    assert max(sizes[SCALED].values()) < 2
    assert sizes[SCALED][512] == pytest.approx(sizes[SCALED][64], rel=0.2)


def test_the_scaled_scheme_has_the_papers_alphas(setup):
    config = scheme_recipe(SCALED, setup(), 0).reasoner
    assert (config.alpha_1, config.alpha_2, config.layers, config.norm) == (0.75, 0.5, 2, "pre")


def test_the_toy_of_zero_weights_can_be_done_by_hand():
    """w = 0: post-norm keeps the rows' directions, the scaled state halves twenty times."""
    origin = torch.zeros(1, dtype=torch.float64)
    x, y = torch.randn(2, 100, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unit = x / x.norm(dim=1, keepdim=True)
    assert landscape(True, 0, origin).item() == pytest.approx((unit - y).square().mean().item())
    assert landscape(False, 0, origin).item() == pytest.approx((x / 2**20 - y).square().mean().item())


def test_the_toys_axes_are_the_weights():
    """Along w = (w₁, 0) a row of the toy depends on its first element alone."""
    span = torch.tensor([0.0, 1.0], dtype=torch.float64)
    grid = landscape(False, 0, span)
    z, y = torch.randn(2, 100, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for _ in range(20):
        first = (z / z.norm(dim=1, keepdim=True))[:, :1]
        z = 0.5 * z + 0.5 * first.expand(-1, 2)
    assert grid[0, 1].item() == pytest.approx((z - y).square().mean().item())


def test_one_call_makes_both_pictures_and_their_numbers(tmp_path):
    few = ("reasoner.width=16", "reasoner.heads=2", "task.length=4", "training.batch=2")
    findings = REPRODUCTION.make("cpu", few, out=tmp_path, seeds=2, device="cpu", say=lambda line: None)
    for name in ("activation-norm.png", "landscape.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "activation-norm.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 2 * 256
    with (tmp_path / "landscape.csv").open() as file:
        assert sum(1 for _ in file) == 200 * 200 + 1
    assert "pre-norm activations" in findings.notes[0]
