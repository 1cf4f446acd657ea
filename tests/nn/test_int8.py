"""Integer matmuls for inference: near the exact ones, and blind to what shares the batch."""

import gc

import pytest
import torch

from equilibria.errors import EquilibriaError
from equilibria.nn import int8
from equilibria.nn.block import ReasoningBlock
from equilibria.nn.linear import Linear
from equilibria.nn.swiglu import SwiGLU, TokenMixer

pytestmark = pytest.mark.skipif(not int8.available(), reason="needs an x86 build of PyTorch with oneDNN")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_int8_map_is_the_exact_one_within_a_percent(dtype):
    torch.manual_seed(0)
    linear, x = Linear(64, 48), torch.randn(2, 5, 64)
    x[0, 0] *= 1000  # a large vector costs its neighbours nothing: every vector has its own scale
    expected = x @ linear.weight.T
    got = int8.Int8Linear(linear)(x.to(dtype))
    assert got.dtype == dtype
    error = (got.float() - expected).norm(dim=-1) / expected.norm(dim=-1)
    assert 1e-4 < error.max() < 0.02
    assert torch.equal(int8.Int8Linear(linear)(torch.zeros(3, 64)), torch.zeros(3, 48))


def test_a_row_does_not_depend_on_its_batch():
    layer, x = int8.Int8Linear(Linear(64, 48)), torch.randn(7, 9, 64)
    assert torch.equal(layer(x)[2:3], layer(x[2:3]))


def test_a_swiglu_is_rounded_in_place_and_its_memory_goes_with_it():
    mixing, x = SwiGLU(32, 24), torch.randn(4, 32)
    expected = mixing(x)
    int8.round_to_int8(mixing)
    got = mixing(x)
    assert 1e-4 < (got - expected).norm() / expected.norm() < 0.03
    held = [mixing.gate_up.number, mixing.down.number]
    assert all(number in int8._packed for number in held)
    del mixing
    gc.collect()
    assert not any(number in int8._packed for number in held)


def test_only_channels_are_rounded():
    block = ReasoningBlock(TokenMixer(6, 4), SwiGLU(8, 5))
    int8.round_to_int8(block)
    assert isinstance(block.channel_mixing.down, int8.Int8Linear)
    assert isinstance(block.token_mixing.down, Linear)


def test_a_build_that_cannot_says_so(monkeypatch):
    monkeypatch.setattr(int8, "available", lambda: False)
    with pytest.raises(EquilibriaError, match="leave int8 out"):
        int8.Int8Linear(Linear(8, 8))
