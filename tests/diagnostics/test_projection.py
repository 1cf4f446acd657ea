"""The plane in which states vary most, against a full decomposition; and the surface over it."""

from dataclasses import replace

import numpy as np
import pytest

from equilibria.diagnostics.projection import (
    decimal_ticks,
    plot_projection,
    principal_plane,
    project_states,
    residual_surface,
)
from equilibria.errors import DataError
from equilibria.inference.recording import Recording


@pytest.fixture
def recording():
    """Restarts that shrink towards one of two points, at a rate of one half."""
    generator = np.random.default_rng(1)
    ends = generator.standard_normal((2, 2, 3, 4)) * 5
    count, depth = 10, 6
    states = np.zeros((count, depth + 1, 2, 3, 4), dtype=np.float32)
    for row in range(count):
        start = generator.standard_normal((2, 3, 4))
        for k in range(depth + 1):
            states[row, k] = ends[row % 2] + (start - ends[row % 2]) * 0.5**k
    moved = np.linalg.norm(np.diff(states, axis=1).reshape(count, depth, -1), axis=-1)
    return Recording(
        problem=np.zeros(count, dtype=np.int64),
        restart=np.arange(count),
        length=np.full(count, depth),
        halted=np.zeros(count, dtype=bool),
        answers=np.zeros((count, depth + 1, 3), dtype=np.uint8),
        residuals=moved.astype(np.float32),
        halt_logits=np.full((count, depth), np.nan, dtype=np.float32),
        frames=np.arange(depth + 1),
        states=states,
        logit_frames=np.zeros(0, dtype=np.int64),
        logits=None,
    )


@pytest.mark.parametrize(("rows", "elements"), [(40, 12), (700, 30), (5, 200)])
def test_the_plane_is_that_of_a_full_decomposition(rows, elements):
    generator = np.random.default_rng(rows)
    scales = 0.7 ** np.arange(elements)
    states = (generator.standard_normal((rows, elements)) * scales + 3).astype(np.float32)
    points, explained = principal_plane(states)
    centred = states.astype(np.float64) - states.mean(axis=0, dtype=np.float64)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    for axis in (0, 1):
        expected = left[:, axis] * values[axis]
        expected *= np.sign(expected[-1])
        assert points[:, axis] == pytest.approx(expected, abs=0.02 * values[0] / np.sqrt(rows))
    assert explained == pytest.approx(np.square(values[:2]) / np.square(values).sum(), rel=1e-3)


def test_states_go_to_their_ends_and_residuals_belong_to_where_they_were(recording):
    found = project_states(recording)
    assert found.points.shape == (10, 7, 2)
    assert (found.residuals[:, :-1] == recording.residuals).all()
    assert np.isnan(found.residuals[:, -1]).all()
    apart = np.linalg.norm(found.points[0, -1] - found.points[1, -1])
    assert np.linalg.norm(found.points[0, -1] - found.points[2, -1]) < 0.2 * apart


def test_residuals_of_thinned_frames_are_those_of_their_iterations(recording):
    thin = replace(recording, frames=recording.frames[::2], states=recording.states[:, ::2])
    found = project_states(thin)
    assert (found.residuals[:, :-1] == recording.residuals[:, ::2]).all()


def test_the_surface_is_a_geometric_mean_and_fades_where_nothing_is():
    points = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.5, 0.2]])
    x, y, surface, visits = residual_surface(points, np.array([1.0, 100.0, 5.0, np.nan]))
    column, row = np.abs(x).argmin(), np.abs(y).argmin()
    assert surface[row, column] == pytest.approx(10.0, rel=1e-3)
    assert visits[row, column] > 1
    assert surface[np.abs(y - 1).argmin(), np.abs(x - 1).argmin()] == pytest.approx(5.0, rel=1e-3)
    assert visits[np.abs(y - 1).argmin(), column] < 1e-6


def test_the_picture_is_drawn_with_and_without_known_answers(recording, tmp_path):
    found = project_states(recording)
    for name, right in (("known", np.arange(10) % 2 == 0), ("open", None)):
        path = tmp_path / f"{name}.png"
        plot_projection(found, right, path, "title")
        assert path.read_bytes().startswith(b"\x89PNG")


def test_what_has_no_plane_is_an_error(recording):
    with pytest.raises(DataError, match="three states"):
        project_states(replace(recording, states=None))
    with pytest.raises(DataError, match="same"):
        principal_plane(np.ones((4, 5), dtype=np.float32))


def test_ticks_are_round():
    assert decimal_ticks(0.0, 1.4) == pytest.approx([1, 2, 5, 10, 20])
