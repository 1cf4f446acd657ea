"""The paper's cost formula against a case done by hand, and against what is counted."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from equilibria.reproduce.cost_formula import Local, Shape
from equilibria.reproduce.costs import VARIANTS, cost_of, draw, recipe_of
from equilibria.reproduce.measured import measure
from equilibria.training.cost import estimate

TERMS = Local(forward=10, state=7, weights=11, head=3, numbers=2, kept=5, head_kept=1)


def test_the_formula_is_that_of_table_9():
    """Full gradient through 4 blocks of 2 weights: c_ℓ + 4c_B + 3c_J + 2c_θ + 2c_u."""
    full = Shape(applied=4, anchors=1, tracked=4, distinct=2)
    assert full.forward(TERMS) == 40
    assert full.backward(TERMS) == 3 + 4 * 11 + 3 * 7 + 2 * 2 + 2 * 26
    assert full.kept(TERMS) == 4 * 5 + 1
    assert full.backward_written() == "c_ℓ + 4c_B + 3c_J + 2c_θ + 2c_u"
    assert TERMS.memory == 2 * 5 * 4


def test_anchors_multiply_all_but_the_update():
    """Three anchors, each with a graph of 2 blocks: 3(c_ℓ + 2c_B + c_J) + 5c_θ + c_u."""
    trajectory = Shape(applied=6, anchors=3, tracked=2, distinct=1)
    assert trajectory.backward(TERMS) == 3 * (3 + 2 * 11 + 7) + 5 * 2 + 26
    assert trajectory.kept(TERMS) == 3 * (2 * 5 + 1)
    assert trajectory.backward_written() == "3(c_ℓ + 2c_B + 1c_J) + 5c_θ + c_u"


def test_blocks_of_their_own_share_no_gradient():
    assert Shape(3, 1, 3, 3).backward_written() == "c_ℓ + 3c_B + 2c_J + 3c_u"


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_linear_map_is_measured_as_it_is_counted_by_hand(device):
    layer = nn.Linear(8, 4, bias=False, device=device)
    x = torch.ones(16, 8, device=device, requires_grad=True)
    found = measure(lambda: layer(x).square().sum(), [layer.weight, x], [layer.weight, x])
    assert found.forward == 2 * 16 * 8 * 4
    assert found.backward == 2 * found.forward
    assert found.kept == 16 * 4 * 4  # the square keeps its argument; weight and x are there anyhow
    assert found.peak >= 4 * (8 * 4 + 16 * 8 + 16 * 4)
    assert x.grad is None


def test_a_frozen_weight_halves_the_way_back():
    layer = nn.Linear(8, 4, bias=False).requires_grad_(False)
    x = torch.ones(16, 8, requires_grad=True)
    found = measure(lambda: layer(x).square().sum(), [layer.weight, x], [x])
    assert found.backward == found.forward


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.label)
def test_what_is_counted_is_what_the_formula_says(variant, setup):
    row = cost_of(variant, setup(overrides=("training.batch=4",)))
    assert row["forward_measured"] == pytest.approx(row["forward"], rel=0.01)
    shape = Shape(row["applied"], row["anchors"], row["tracked"], row["distinct"])
    products = shape.backward(replace(row["local"], numbers=0))  # without additions and updates
    beyond = row["anchors"] * row["local"].state  # back to the embedded problem
    assert row["backward_measured"] == pytest.approx(products + beyond, rel=1e-3)
    assert row["kept_measured"] == pytest.approx(row["kept"], rel=0.06)
    assert row["peak"] > row["kept_measured"]


@pytest.mark.parametrize("number", ["②", "⑥", "⑩"])
def test_the_estimate_of_a_run_counts_the_same_flops(number, setup):
    variant = next(one for one in VARIANTS if one.number == number)
    here = setup(overrides=("training.batch=4",))
    row, recipe = cost_of(variant, here), recipe_of(variant, here)
    cost = estimate(recipe.build_reasoner(recipe.build_task()), recipe.training, torch.float32)
    assert cost.flops_per_step == row["forward_measured"] + row["backward_measured"]


def test_the_papers_width_is_counted_without_memory(setup):
    rows = [cost_of(variant, setup(scale="paper")) for variant in VARIANTS[6:8]]
    assert [row["applied"] for row in rows] == [42, 42]
    assert [row["tracked"] for row in rows] == [42, 14]
    assert rows[0]["kept_measured"] > 1e11
    assert rows[0]["backward_measured"] == pytest.approx(3 * rows[1]["backward_measured"], rel=0.01)


def test_the_figure_is_drawn(setup, tmp_path):
    few = setup(overrides=("training.batch=2",))
    draw([cost_of(variant, few) for variant in VARIANTS[:2]], tmp_path / "costs.png")
    assert (tmp_path / "costs.png").read_bytes().startswith(b"\x89PNG")
