"""A level against the formulas of its parts, and what its convolution, its scales and its cast promise."""

import pytest
import torch
from torch.testing import assert_close

from equilibria.nn.attention import Attention
from equilibria.nn.block import ReasoningBlock
from equilibria.nn.convolution import BoardConvolution, SequenceConvolution
from equilibria.nn.level import Level
from equilibria.nn.norm import rms_norm
from equilibria.nn.residual_scale import ResidualScale, coupled
from equilibria.nn.second_order import second_order
from equilibria.nn.swiglu import SwiGLU

WIDTH, PREFIX, BOARD = 8, 2, (3, 3)


def block(norm="post"):
    return ReasoningBlock(Attention(WIDTH, 2, None), SwiGLU(WIDTH, 16), norm)


def level(norm="post", blocks=2, **around):
    torch.manual_seed(1)
    return Level([block(norm) for _ in range(blocks)], prefix=PREFIX, **around)


def scale(mode="channel", **settings):
    return ResidualScale(mode, WIDTH, 4, 0.7, 0.3, **settings)


@pytest.fixture
def z():
    return torch.randn(2, PREFIX + 9, WIDTH)


@pytest.fixture
def x():
    return torch.randn(2, PREFIX + 9, WIDTH)


def plain(own, z, x, norm, alpha_1=1.0, beta_1=1.0, alpha_2=1.0, beta_2=1.0):
    h = alpha_2 * z + beta_2 * x
    for each in own:
        for mix in (each.token_mixing, each.channel_mixing):
            if norm == "post":
                h = rms_norm(alpha_1 * h + beta_1 * mix(h))
            elif norm == "pre":
                h = alpha_1 * h + beta_1 * mix(rms_norm(h))
            else:
                h = alpha_1 * h + beta_1 * rms_norm(mix(rms_norm(h)))
    return h


@pytest.mark.parametrize("norm", ["post", "pre", "peri"])
def test_blocks_are_the_plain_formulas(z, x, norm):
    own = level(norm)
    assert_close(own(z, x), plain(own, z, x, norm))
    assert_close(own(z), plain(own, z, torch.zeros_like(z), norm))
    scaled = level(norm, scale=scale())
    scales = coupled(torch.tensor(0.7), torch.tensor(0.3), 4)
    assert_close(scaled(z, x), plain(scaled, z, x, norm, *scales))


def test_scales_are_coupled_as_published():
    """The values that the specification gives at initialisation, two blocks."""
    for alphas, betas in {(0.75, 0.25): (0.33678, 0.92090), (0.5, 0.5): (0.51666, 0.96875)}.items():
        scales = coupled(*map(torch.tensor, alphas), 4)
        assert_close(torch.stack([scales.beta_1, scales.beta_2]), torch.tensor(betas), atol=1e-5, rtol=0)


def test_gradient_comes_to_a_scale_through_both_of_its_places(z, x):
    own = level("pre", scale=scale())
    own(z, x).square().sum().backward()
    for alpha in own.scale.parameters():
        assert alpha.grad.all()
    assert set(own.scale.logits()) == set(own.scale.parameters())


def test_outer_scaling_leaves_the_sublayers_alone(z, x):
    own = level("pre", scale=scale(outer_only=True))
    assert_close(own(z, x), plain(own, z, x, "pre", alpha_2=0.3, beta_2=0.7))


def test_fixed_scales_have_no_parameters_and_input_scales_start_at_a_half(z):
    assert not list(scale("fixed").parameters())
    with torch.no_grad():
        scales = scale("input")(torch.zeros_like(z))
    assert_close(scales.alpha_2, torch.full_like(z, 0.5))


@pytest.mark.parametrize("placement", ["none", "input", "output"])
def test_one_more_norm_goes_where_it_is_said(z, x, placement):
    own = level("pre", placement=placement)
    start = rms_norm(z) if placement == "input" else z
    expected = plain(own, start, x, "pre")
    assert_close(own(z, x), rms_norm(expected) if placement == "output" else expected)


def test_the_injection_may_be_normalised_first(z, x):
    own = level("pre", normalize_injection=True)
    assert_close(own(z, x), plain(own, z, rms_norm(x), "pre"))


@pytest.mark.parametrize(
    "convolution",
    [SequenceConvolution(WIDTH, 4, look_back=3), BoardConvolution(BOARD, WIDTH, 3)],
    ids=["sequence", "board"],
)
def test_a_convolution_changes_tokens_and_leaves_the_prefix(z, convolution):
    own = level(blocks=0, convolution=convolution)
    after = own(z)
    assert torch.equal(after[:, :PREFIX], z[:, :PREFIX])
    assert_close(after[:, PREFIX:], convolution(z[:, PREFIX:]))
    other = z.clone()
    other[:, :PREFIX] = 0  # nor do tokens see it
    assert torch.equal(own(other)[:, PREFIX:], after[:, PREFIX:])


def test_a_sequence_convolution_is_pytorchs_own_and_looks_back_only():
    own = SequenceConvolution(WIDTH, 4, look_back=3, bias=True)
    x = torch.randn(2, 7, WIDTH)
    theirs = torch.nn.functional.conv1d(
        torch.nn.functional.pad(x.mT, (3, 0)), own.weight[:, None], own.bias, groups=WIDTH
    ).mT
    assert_close(own(x), theirs)
    later = x.clone()
    later[:, 4:] += 1
    assert torch.equal(own(later)[:, :4], own(x)[:, :4])


def test_a_board_convolution_sees_neighbours_on_the_board_alone():
    own = BoardConvolution((2, 3), WIDTH, 3)
    x = torch.zeros(1, 6, WIDTH)
    x[:, 2] = 1  # the end of the first row: no neighbour of the beginning of the second
    assert own(x)[0].abs().sum(dim=1).gt(0).tolist() == [False, True, True, False, True, True]
    with pytest.raises(ValueError, match="must be odd, not 2"):
        BoardConvolution((2, 3), WIDTH, 2)


def test_a_cast_level_computes_in_half_and_keeps_its_scales(z, x, monkeypatch):
    own = level("pre", scale=scale("input"), convolution=BoardConvolution(BOARD, WIDTH, 3))
    seen = {}
    forward = ResidualScale.forward

    def listen(self, given):
        scales = forward(self, given)
        seen.update(weights={w.dtype for w in self.parameters()}, alpha=scales.alpha_1.dtype)
        return scales

    monkeypatch.setattr(ResidualScale, "forward", listen)
    after = own.cast(torch.bfloat16)(z.bfloat16(), x.bfloat16())
    assert after.dtype == torch.bfloat16
    assert seen == {"weights": {torch.float32}, "alpha": torch.float32}
    assert_close(after.float(), own(z, x), atol=0.05, rtol=0.05)
    after.float().sum().backward()
    assert all(weight.grad is not None and weight.grad.dtype == torch.float32 for weight in own.parameters())


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_second_gradients_are_those_of_finite_differences(norm):
    own = level(norm, blocks=1).double()

    def f(z):
        with second_order():
            return own(z)

    assert torch.autograd.gradgradcheck(f, torch.randn(1, 2, WIDTH, dtype=torch.float64, requires_grad=True))


def test_fused_pieces_refuse_second_gradients_outside():
    z = torch.randn(1, 2, WIDTH, requires_grad=True)
    (first,) = torch.autograd.grad(level()(z).square().sum(), z, create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|not implemented"):
        first.sum().backward()
