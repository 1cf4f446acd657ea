"""What iterations are worth, on curves that saturate where they are told to."""

import math

import numpy as np
import pytest
import torch

from equilibria.diagnostics.depth import (
    Internalization,
    Utilization,
    depth_utilization,
    internalization,
    qualities_of,
)
from equilibria.errors import DataError
from equilibria.inference.recording import Recording


def test_a_curve_saturates_where_it_is_within_a_point_of_its_best():
    curve = [(64, 0.9), (1, 0.2), (4, 0.6), (16, 0.895), (32, 0.88)]
    found = depth_utilization(curve, trained=16)
    assert found == Utilization(16, 0.9, 16, pytest.approx(0.005))
    assert depth_utilization(curve, within=0.5).saturation == 4
    assert depth_utilization(curve, within=0.0).saturation == 64


def test_gain_is_of_the_depths_beyond_training():
    curve = [(8, 0.5), (16, 0.7), (64, 0.8), (128, 0.75)]
    assert depth_utilization(curve, trained=16).gain == pytest.approx(0.1)
    assert depth_utilization(curve, trained=32).gain == pytest.approx(0.1)  # measured at 16
    assert depth_utilization(curve, trained=64).gain == pytest.approx(-0.05)  # more depth can harm
    for trained in (None, 4, 128):
        assert math.isnan(depth_utilization(curve, trained=trained).gain)


def test_the_share_that_the_proposal_has():
    found = internalization([0.6, 0.78, 0.795, 0.8], 0.8)
    assert found == Internalization(0.6, 0.8, pytest.approx(0.75), 2)
    assert internalization([0.8, 0.8], 0.8) == Internalization(0.8, 0.8, 1.0, 0)
    assert internalization([0.1, 0.2], 0.8).iterations is None
    assert internalization([0.1, 0.8], 0.8, within=0.7).iterations == 0
    assert math.isnan(internalization([0.0], 0.0).share)


def test_qualities_come_from_a_recording():
    """Three trajectories of two problems, right from the iterations 0, 2 and never."""
    labels = torch.tensor([[1, 2], [3, 0]])  # the last cell is not asked for
    answers = np.array(
        [[[3, 9], [3, 8], [3, 7]], [[1, 1], [2, 2], [1, 2]], [[1, 3], [1, 3], [2, 2]]], dtype=np.uint8
    )
    none = np.full((3, 2), np.nan, dtype=np.float32)
    recording = Recording(
        problem=np.array([1, 0, 0]),
        restart=np.array([0, 0, 1]),
        length=np.array([2, 2, 2]),
        halted=np.zeros(3, dtype=np.bool_),
        answers=answers,
        residuals=none,
        halt_logits=none,
        frames=np.zeros(0, dtype=np.int64),
        states=None,
        logit_frames=np.zeros(0, dtype=np.int64),
        logits=None,
    )
    assert qualities_of(recording, labels) == pytest.approx([1 / 3, 1 / 3, 2 / 3])


def test_what_cannot_be_asked():
    with pytest.raises(DataError, match="at one depth at least"):
        depth_utilization([])
    with pytest.raises(DataError, match="from T = 0 on"):
        internalization([], 0.5)
