"""Norms, gates, mixers and stacks against the formulas they stand for."""

import pytest
import torch
import torch.nn.functional as F

from equilibria.nn.attention import Attention
from equilibria.nn.block import ReasoningBlock
from equilibria.nn.heads import HaltHead
from equilibria.nn.level import Level
from equilibria.nn.linear import Linear
from equilibria.nn.norm import add_norm, rms_norm
from equilibria.nn.rotary import SequenceRotary
from equilibria.nn.swiglu import SwiGLU, TokenMixer, bounded, gated, inner_width

AXES = pytest.mark.parametrize("axis", [-1, -2])


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@AXES
def test_add_norm_is_the_root_mean_square_norm_of_the_sum(axis):
    x, update = draw(2, 5, 6), draw(2, 5, 6)
    total = x + update
    expected = total / torch.sqrt(total.square().mean(axis, keepdim=True) + 1e-5)
    torch.testing.assert_close(add_norm(x, update, axis), expected)


@AXES
def test_the_gradient_of_add_norm_is_the_derivative(axis):
    # Small sums too, where the 1e-5 under the root counts.
    for scale in (1.0, 1e-3):
        x, update = (scale * draw(2, 3, 4)).detach().requires_grad_(), draw(2, 3, 4).detach() * scale
        inputs = (x, update.requires_grad_())
        assert torch.autograd.gradcheck(lambda a, b: add_norm(a, b, axis), inputs, eps=1e-7 * scale)


@AXES
def test_a_bounded_gate_is_its_formula_and_does_not_grow_with_its_input(axis):
    x = draw(3, 8, 10)
    gate, value = x.chunk(2, axis)
    product = gate * value
    norm = product / torch.sqrt(product.square().mean(axis, keepdim=True) + 1e-5)
    torch.testing.assert_close(bounded(x, axis), torch.sigmoid(gate) * norm)
    torch.testing.assert_close(rms_norm(product, axis), norm)
    width = x.shape[axis] // 2
    for scale in (1.0, 1e3):
        assert bounded(scale * x, axis).abs().max() <= width**0.5
    assert gated(1e3 * x, axis).abs().max() > 1e3


def test_both_mixers_take_a_bounded_gate():
    x = torch.randn(2, 6, 5)
    channels, tokens = SwiGLU(5, 4, "bounded"), TokenMixer(6, 4, "bounded")
    torch.testing.assert_close(channels(x), channels.down(bounded(channels.gate_up(x), -1)))
    turned = tokens.down(bounded(tokens.gate_up(x.mT), -1)).mT
    torch.testing.assert_close(tokens(x), turned)


@AXES
def test_gated_is_silu_of_one_half_times_the_other(axis):
    x = draw(2, 6, 8)
    gate, value = x.chunk(2, axis)
    torch.testing.assert_close(gated(x, axis), gate * torch.sigmoid(gate) * value)


@AXES
def test_the_gradient_of_gated_is_the_derivative(axis):
    assert torch.autograd.gradcheck(lambda x: gated(x, axis), (draw(2, 4, 6),))


@AXES
def test_gradients_do_not_need_contiguous_tensors(axis):
    x, update = draw(4, 2, 6), draw(4, 2, 6)
    turned = (x.transpose(0, 1), update.transpose(0, 1))
    got = torch.autograd.grad(add_norm(*turned, axis).cos().sum(), (x, update))
    plain = F.rms_norm if axis == -1 else None
    total = (x + update).transpose(0, 1)
    if plain is None:
        expected = total / torch.sqrt(total.square().mean(axis, keepdim=True) + 1e-5)
    else:
        expected = plain(total, (6,), eps=1e-5)
    for mine, theirs in zip(got, torch.autograd.grad(expected.cos().sum(), (x, update)), strict=True):
        torch.testing.assert_close(mine, theirs)
    y = draw(4, 2, 6)
    (mine,) = torch.autograd.grad(gated(y.transpose(0, 1), axis).cos().sum(), y)
    gate, value = y.transpose(0, 1).chunk(2, axis)
    (theirs,) = torch.autograd.grad((F.silu(gate) * value).cos().sum(), y)
    torch.testing.assert_close(mine, theirs)


def test_bfloat16_is_normalised_in_float32():
    x, update = torch.randn(2, 4, 64, dtype=torch.bfloat16), torch.randn(2, 4, 64, dtype=torch.bfloat16)
    total = (x + update).float()
    expected = (total * torch.rsqrt(total.square().mean(-1, keepdim=True) + 1e-5)).bfloat16()
    assert torch.equal(add_norm(x, update), expected)


def test_a_token_mixer_is_a_swiglu_of_the_transposed_state():
    mixer, x = TokenMixer(7, 10), torch.randn(3, 7, 5, requires_grad=True)
    transposed = SwiGLU.forward(mixer, x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(mixer(x), transposed)
    weights = [x, *mixer.parameters()]
    mine = torch.autograd.grad(mixer(x).sin().sum(), weights)
    for a, b in zip(mine, torch.autograd.grad(transposed.sin().sum(), weights), strict=True):
        torch.testing.assert_close(a, b)


def test_a_linear_map_from_the_left_is_the_map_of_the_transpose():
    linear, x = Linear(6, 4), torch.randn(2, 6, 3)
    torch.testing.assert_close(linear.from_left(x), linear(x.transpose(1, 2)).transpose(1, 2))


def test_linear_weights_start_with_the_deviation_of_their_inputs():
    weight = Linear(400, 500).weight
    assert weight.std().item() == pytest.approx(1 / 20, rel=0.01)
    assert weight.abs().max() <= 2.2737 / 20


@pytest.mark.parametrize(
    ("size", "inner"), [(81, 256), (97, 512), (128, 512), (512, 1536), (900, 2560), (916, 2560)]
)
def test_inner_widths_are_the_published_ones(size, inner):
    assert inner_width(size, 4.0) == inner


@pytest.mark.parametrize("mixing", ["mlp", "attention"])
def test_a_block_mixes_tokens_then_channels_each_with_its_own_norm(mixing):
    tokens = TokenMixer(6, 8) if mixing == "mlp" else Attention(8, 2, SequenceRotary(6, 4))
    block, x = ReasoningBlock(tokens, SwiGLU(8, 12)), torch.randn(2, 6, 8)
    axis = -2 if mixing == "mlp" else -1
    total = x + tokens(x)
    middle = total / torch.sqrt(total.square().mean(axis, keepdim=True) + 1e-5)
    expected = F.rms_norm(middle + block.channel_mixing(middle), (8,), eps=1e-5)
    torch.testing.assert_close(block(x), expected)


def test_attention_is_the_softmax_average_of_values():
    attention, x = Attention(8, 2, None), torch.randn(2, 5, 8)
    query, key, value = attention.qkv(x).chunk(3, dim=-1)
    outs = []
    for head in (slice(0, 4), slice(4, 8)):
        scores = query[..., head] @ key[..., head].transpose(1, 2) / 2.0
        outs.append(scores.softmax(-1) @ value[..., head])
    torch.testing.assert_close(attention(x), attention.out(torch.cat(outs, -1)))


def stack(mixing):
    def tokens():
        return TokenMixer(6, 8) if mixing == "mlp" else Attention(8, 2, SequenceRotary(6, 4))

    return Level(ReasoningBlock(tokens(), SwiGLU(8, 12)) for _ in range(2))


@pytest.mark.parametrize("mixing", ["mlp", "attention"])
def test_casting_a_stack_once_computes_what_casting_at_every_use_does(mixing):
    blocks, x = stack(mixing), torch.randn(2, 6, 8, dtype=torch.bfloat16)
    weights = list(blocks.parameters())
    once, each = blocks.cast(torch.bfloat16)(x), blocks(x)
    assert once.dtype == torch.bfloat16
    assert torch.equal(once, each)
    got = torch.autograd.grad(once.float().square().sum(), weights)
    expected = torch.autograd.grad(each.float().square().sum(), weights)
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.dtype == torch.float32
        assert mine.abs().max() > 0
        assert torch.equal(mine, theirs)


def test_gradients_of_repeated_use_of_a_cast_stack_add_up_in_the_float32_weights():
    blocks, x = stack("mlp"), torch.randn(2, 6, 8, dtype=torch.bfloat16)
    module = blocks.cast(torch.bfloat16)
    module(module(x)).float().cos().sum().backward()
    got = [weight.grad.clone() for weight in blocks.parameters()]
    blocks.zero_grad()
    blocks(blocks(x)).float().cos().sum().backward()
    for mine, weight in zip(got, blocks.parameters(), strict=True):
        assert weight.dtype == mine.dtype == torch.float32
        # The two uses add in bfloat16 here and in float32 there.
        torch.testing.assert_close(mine, weight.grad, rtol=0.05, atol=0.02 * weight.grad.abs().max().item())


def test_a_stack_in_float32_is_not_copied():
    blocks = stack("mlp")
    assert blocks.cast(torch.float32) is blocks


def test_a_fresh_halting_head_says_go_on():
    halt, go_on = HaltHead(8)(torch.randn(3, 4, 8))
    assert torch.equal(halt, torch.full((3,), -5.0))
    assert torch.equal(go_on, torch.full((3,), -5.0))
    assert HaltHead(8)(torch.randn(3, 4, 8, dtype=torch.bfloat16))[0].dtype == torch.float32


def test_the_halting_head_reads_the_first_token_alone():
    head, state = HaltHead(8), torch.randn(3, 4, 8)
    torch.nn.init.normal_(head.score.weight)
    before = head(state)[0]
    state[:, 1:] = 0
    assert torch.equal(head(state)[0], before)
    state[:, 0] = 0
    assert torch.equal(head(state)[0], torch.full((3,), -5.0))
