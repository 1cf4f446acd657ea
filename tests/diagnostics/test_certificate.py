"""Certificates against maps and heads whose constants are known."""

import math

import pytest
import torch

from equilibria.diagnostics.certificate import certificate, gap_lipschitz, output_margin
from equilibria.errors import DataError
from equilibria.nn.linear import Linear


def test_the_margin_is_the_least_gap_of_cells_with_a_label():
    logits = torch.tensor([[2.0, 5.0, 1.0], [0.0, 1.0, 4.0], [9.0, 0.0, 0.0]])
    assert output_margin(logits, torch.tensor([1, 2, 0])) == 3
    assert output_margin(logits, torch.tensor([1, 1, 0])) == -3
    with pytest.raises(DataError, match="no cell"):
        output_margin(logits, torch.zeros(3))


def test_the_gap_of_a_linear_head_is_the_longest_difference_of_two_rows():
    head = Linear(7, 5)
    z = torch.randn(1, 2, 3, 7)
    labels = torch.tensor([1, 4, 0])
    found = gap_lipschitz(lambda z: head(z[:, 0]), z, labels)
    weight = head.weight.detach()
    longest = max((weight[truth] - weight[other]).norm() for truth in (1, 4) for other in range(5))
    assert found == pytest.approx(float(longest), rel=1e-5)


def test_a_certificate_holds_where_the_ball_is_within_the_margin():
    # L = ½, so the attractor is within 2 · residual; the margin 1 over a gap of 4 allows ¼.
    assert certificate(residual=0.12, margin=1.0, lipschitz=0.5, gap=4.0).holds
    assert not certificate(residual=0.13, margin=1.0, lipschitz=0.5, gap=4.0).holds
    assert certificate(residual=0.1, margin=1.0, lipschitz=0.5, gap=4.0).bound == pytest.approx(0.125)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"lipschitz": 1.2}, "norm"),
        ({"lipschitz": math.nan}, "no norm"),
        ({"margin": -0.5}, "margin"),
        ({"residual": 3.0}, "residual"),
    ],
)
def test_a_certificate_says_why_it_does_not_hold(values, reason):
    found = certificate(**({"residual": 0.01, "margin": 1.0, "lipschitz": 0.5, "gap": 1.0} | values))
    assert not found.holds
    assert reason in found.reason


def test_certified_balls_decode_right():
    """Eq. 7 on a contraction that is known everywhere: where the certificate holds, the answer is right."""
    generator = torch.Generator().manual_seed(0)
    centre = torch.randn(6, generator=generator, dtype=torch.float64)
    head = torch.randn(3, 6, generator=generator, dtype=torch.float64)
    head[0] = 0  # padding
    label = 1 + (head[1:] @ centre).argmax()[None]
    margin = output_margin((head @ centre)[None], label)

    def read(z):
        return (z @ head.T)[:, None]

    gap = gap_lipschitz(read, centre[None], label)
    held = 0
    for _ in range(200):
        z = centre + 0.5 * torch.randn(1, 6, generator=generator, dtype=torch.float64)
        residual = 0.5 * float((z - centre).norm())  # of f(z) = c + (z − c) / 2
        if certificate(residual, margin, 0.5, gap).holds:
            held += 1
            assert read(z)[0, 0].argmax() == label
    assert 0 < held < 200
