"""Modes by their definition, attractors by hand and by construction, and what moves and comes back."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equilibria.diagnostics.clusters import spanning_tree
from equilibria.diagnostics.ends import followed_ends, recorded_ends, settled_ends
from equilibria.diagnostics.landscape import MODES, attractors, basin_masses, landscape, mode, shares
from equilibria.diagnostics.perturbation import stability
from equilibria.diagnostics.planted import Basin, PlantedConfig, PlantedReasoner
from equilibria.errors import DataError
from equilibria.inference.engine import Engine
from equilibria.inference.recording import Record, Recorder
from equilibria.reasoners.interface import ProblemShape

ELEMENTS = 30


@pytest.mark.parametrize(
    ("p_correct", "p_wrong", "expected"),
    [
        (0.0, 0.0, "a"),  # nothing settles
        (0.0, 1.0, "a"),
        (0.01, 0.06, "b"),
        (0.94, 0.06, "b"),
        (0.01, 0.05, "c"),
        (0.49, 0.0, "c"),
        (0.5, 0.05, "d"),
        (1.0, 0.0, "d"),
    ],
)
def test_modes(p_correct, p_wrong, expected):
    assert mode(p_correct, p_wrong) == expected


def tails(centres, of, *, rate=0.5, noise=0.0, steps=30, seed=0):
    """`[restarts, steps, ELEMENTS]`: each approaches its centre, or goes round a ring of them."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for restart, ring in enumerate(of):
        z, states = 3 * torch.randn(ELEMENTS, generator=generator), []
        for step in range(steps):
            here, after = (centres[ring[(step + restart + k) % len(ring)]] for k in (0, 1))
            z = after + rate * (z - here) + noise * torch.randn(ELEMENTS, generator=generator)
            states.append(z)
        found.append(torch.stack(states))
    return torch.stack(found)


@pytest.mark.parametrize(("rate", "noise"), [(0.5, 0.0), (0.5, 0.01), (0.8, 0.01), (0.85, 0.0)])
def test_neither_noise_nor_slowness_splits_an_attractor_nor_merges_two(rate, noise):
    centres = torch.randn(4, ELEMENTS, generator=torch.Generator().manual_seed(5))
    of = [(0,)] * 12 + [(1,)] * 6 + [(2, 3)] * 9
    ends = settled_ends(tails(centres, of, rate=rate, noise=noise))
    found = landscape(ends, torch.arange(27) < 12, torch.zeros(27, 4))
    assert [each.restarts for each in found.attractors] == [12, 9, 6]
    assert [each.period for each in found.attractors] == [1, 2, 1]
    assert [each.right for each in found.attractors] == [True, False, False]
    assert found.attractors[1].members == tuple(range(18, 27))
    assert found.mode == "b" and found.p_unsettled == 0 and found.answers == 1
    assert basin_masses(found, True) == pytest.approx([12 / 27])
    assert basin_masses(found, False) == pytest.approx([9 / 27, 6 / 27])


def test_two_near_attractors_are_two_where_the_ends_are_nearer():
    centres = torch.randn(2, ELEMENTS, generator=torch.Generator().manual_seed(5))
    centres[1] = centres[0] + 0.02
    ends = settled_ends(tails(centres, [(0,)] * 5 + [(1,)] * 5))
    found = landscape(ends, torch.ones(10, dtype=torch.bool), torch.ones(10, 4))
    assert [each.restarts for each in found.attractors] == [5, 5]
    assert found.answers == 1  # one answer, and still two attractors
    noisy = settled_ends(tails(centres, [(0,)] * 5 + [(1,)] * 5, noise=0.03))
    assert len(landscape(noisy, torch.ones(10, dtype=torch.bool), torch.ones(10, 4)).attractors) == 1


def test_every_restart_may_have_an_attractor_of_its_own():
    centres = torch.randn(6, ELEMENTS, generator=torch.Generator().manual_seed(5))
    ends = settled_ends(tails(centres, [(each,) for each in range(6)]))
    assert len(landscape(ends, torch.ones(6, dtype=torch.bool), torch.ones(6, 4)).attractors) == 6


def test_two_cycles_with_one_mean_are_two():
    centres = torch.randn(2, ELEMENTS, generator=torch.Generator().manual_seed(5))
    centres = torch.cat([centres, -centres])
    ends = settled_ends(tails(centres, [(0, 2)] * 6 + [(1, 3)] * 5))
    assert ends.period.tolist() == [2] * 11
    found = landscape(ends, torch.ones(11, dtype=torch.bool), torch.ones(11, 4))
    assert [each.restarts for each in found.attractors] == [6, 5]


def test_what_does_not_settle_is_on_no_attractor():
    generator = torch.Generator().manual_seed(0)
    still = tails(torch.ones(1, ELEMENTS), [(0,)] * 3)
    states = torch.cat([still, torch.randn(5, 30, ELEMENTS, generator=generator)])
    right = torch.ones(8, dtype=torch.bool)
    found = landscape(settled_ends(states), right, torch.ones(8, 4), problem=3)
    assert (found.p_correct, found.p_unsettled, found.right) == pytest.approx((3 / 8, 5 / 8, 1))
    assert found.mode == "c" and found.problem == 3
    (only,) = found.attractors
    assert only.mass == pytest.approx(3 / 8) and only.members == (0, 1, 2)
    none = landscape(settled_ends(states[3:]), right[3:], torch.ones(5, 4))
    assert none.mode == "a" and none.attractors == () and none.p_unsettled == 1


def test_labels_of_attractors_follow_their_size():
    states = torch.tensor([[0.0], [10.0], [10.1], [0.1], [9.9], [50.0]])
    settled = torch.tensor([True, True, True, True, True, False])
    assert attractors(states, settled, radius=0.15).tolist() == [1, 0, 0, 1, 0, -1]
    assert attractors(states, settled, radius=0.05).tolist() == [0, 1, 2, 3, 4, -1]
    assert attractors(states, settled).tolist() == [1, 0, 0, 1, 0, -1]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.floats(0.5, 20))
def test_single_linkage_on_a_line_is_a_cut_at_wide_gaps(places, radius):
    ends = torch.tensor(places, dtype=torch.float64)[:, None]
    labels = spanning_tree(torch.cdist(ends, ends)).groups(radius).tolist()
    order = sorted(range(len(places)), key=lambda row: places[row])
    for before, after in pairwise(order):
        assert (labels[before] == labels[after]) == (places[after] - places[before] <= radius)
    sizes = [labels.count(label) for label in range(max(labels) + 1)]
    assert sizes == sorted(sizes, reverse=True)


def test_infinite_distances_never_join():
    inf = torch.inf
    apart = torch.tensor([[0, inf, 1], [inf, 0, inf], [1, inf, 0]])
    tree = spanning_tree(apart)
    assert tree.lengths.tolist() == [1, inf]
    assert tree.groups(5).tolist() == [0, 1, 0]


def test_shares_name_every_mode():
    ends = settled_ends(tails(torch.ones(1, ELEMENTS), [(0,)] * 3))
    good = landscape(ends, torch.ones(3, dtype=torch.bool), torch.ones(3, 4))
    bad = landscape(ends, torch.zeros(3, dtype=torch.bool), torch.ones(3, 4))
    assert shares([good, bad, bad, bad]) == {"a": 0.75, "b": 0, "c": 0, "d": 0.25}
    assert tuple(shares([])) == MODES


SHAPE = ProblemShape(4, 3)
RIGHT, WRONG = (1, 2, 3), (2, 2, 3)


def planted(*basins, **values):
    return PlantedReasoner(PlantedConfig(basins=basins, **values), SHAPE)


def recorded(reasoner, restarts=64, depth=40, states=1):
    recorder = Recorder(Record(states=states))
    problem = torch.zeros(1, 3, dtype=torch.uint8)
    Engine(reasoner).pools(problem, depths=(depth,), breadth=restarts, recorders=[recorder])
    return recorder.recording()


def test_a_recording_holds_its_landscape():
    reasoner = planted(Basin(0.6, (RIGHT,)), Basin(0.4, (WRONG, RIGHT)), noise=0.003)
    recording = recorded(reasoner)
    answers = torch.from_numpy(recording.answers[:, -1])
    right = (answers == torch.tensor(RIGHT)).all(dim=1)
    found = landscape(recorded_ends(recording), right, answers)
    first, second = found.attractors
    assert (first.period, first.right, first.agreement, first.answer) == (1, True, 1.0, RIGHT)
    assert second.period == 2
    assert first.mass == pytest.approx(0.6, abs=0.2)
    assert first.mass + second.mass == pytest.approx(1)


def test_trajectories_that_ended_early_are_seen_to_their_own_end():
    recording = recorded(planted(Basin(1.0, (RIGHT, WRONG))))
    assert recorded_ends(recording).period.tolist() == [2] * 64
    # As if all had been halted while still on their way, after which a recording repeats the last state.
    states = recording.states.copy()
    states[:, 3:] = states[:, 2:3]
    halted = type(recording)(
        **{name: getattr(recording, name) for name in recording.__dataclass_fields__}
        | {"states": states, "length": np.full(64, 2)}
    )
    assert recorded_ends(halted).period.tolist() == [0] * 64


def test_states_must_be_of_consecutive_iterations():
    reasoner = planted(Basin(1.0, (RIGHT,)))
    with pytest.raises(DataError, match="no states were recorded"):
        recorded_ends(recorded(reasoner, states=0))
    with pytest.raises(DataError, match=r"at every 4\. iteration only"):
        recorded_ends(recorded(reasoner, states=4))


def test_trajectories_may_be_followed_further():
    centre = torch.ones(ELEMENTS)
    start = torch.randn(5, ELEMENTS, generator=torch.Generator().manual_seed(0))
    ends = followed_ends(lambda z: centre + 0.5 * (z - centre), start, 50)
    assert ends.period.tolist() == [1] * 5
    assert torch.allclose(ends.states, torch.ones(5, ELEMENTS, dtype=torch.float64), atol=1e-5)
    assert followed_ends(lambda z: -z, start, 50).period.tolist() == [2] * 5


def test_a_stable_attractor_gets_its_copies_back_and_an_unstable_one_does_not():
    reasoner = planted(Basin(1.0, (RIGHT,), (0.8,)))
    recording = recorded(reasoner)
    ends, problem = recorded_ends(recording), torch.zeros(3, dtype=torch.uint8)
    found = landscape(ends, torch.ones(64, dtype=torch.bool), torch.from_numpy(recording.answers[:, -1]))
    assert found.attractors[0].stable is None
    (held,) = stability(reasoner, problem, found, ends, size=0.01).attractors
    assert held.stable == 1
    # The same states, of a map that drives them away from where they rest.
    other = planted(Basin(1.0, (RIGHT,), (1.3,)))
    (lost,) = stability(other, problem, found, ends, size=0.1).attractors
    assert lost.stable == 0


def test_copies_of_a_cycle_come_back_at_any_phase():
    reasoner = planted(Basin(1.0, (RIGHT, WRONG), (0.6,)))
    recording = recorded(reasoner, restarts=16)
    ends = recorded_ends(recording)
    answers = torch.from_numpy(recording.answers[:, -1])
    found = landscape(ends, (answers == torch.tensor(RIGHT)).all(dim=1), answers)
    (held,) = stability(reasoner, torch.zeros(3, dtype=torch.uint8), found, ends, size=0.01).attractors
    assert held.period == 2 and held.stable == 1
