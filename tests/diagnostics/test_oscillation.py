"""Periods of sequences that are known, and changes of answers counted by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from equilibria.diagnostics.oscillation import candidates, flips, period, periods, phases, scatter

ELEMENTS = 40


def cycle(length, steps, noise=0.0, seed=0):
    """`[steps, ELEMENTS]`: a ring of random states, with noise on each."""
    generator = torch.Generator().manual_seed(seed)
    ring = torch.randn(length, ELEMENTS, generator=generator)
    states = ring[torch.arange(steps) % length]
    return states + noise * torch.randn(states.shape, generator=generator)


def spiral(modulus, degrees, steps):
    """`[steps, ELEMENTS]`: around a fixed point, by an eigenvalue of this modulus and angle."""
    generator = torch.Generator().manual_seed(1)
    centre, *plane = torch.randn(3, ELEMENTS, generator=generator)
    turn = torch.arange(steps) * math.radians(degrees)
    size = modulus ** torch.arange(steps)
    return centre + (size * turn.cos())[:, None] * plane[0] + (size * turn.sin())[:, None] * plane[1]


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.1])
@pytest.mark.parametrize("length", [2, 3, 5, 8])
def test_a_cycle_has_its_period(length, noise):
    assert period(cycle(length, 40, noise)) == length


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_a_state_that_stays_is_at_rest(noise):
    assert period(cycle(1, 40, noise)) == 1


def test_what_decays_or_grows_is_no_cycle():
    assert period(spiral(0.9, 180, 16)) == 0
    assert period(spiral(1.1, 180, 16)) == 0
    assert period(spiral(0.9, 180, 80)) == 1  # by then it rests
    assert period(spiral(1.0, 180, 80)) == 2
    assert period(spiral(1.0, 120, 80)) == 3


def test_an_orbit_that_nearly_closes_has_the_period_at_which_it_does():
    # As on an invariant circle: the 6×6 Sudoku reasoner that ships goes round some problems in about 7.1.
    assert period(spiral(1.0, 360 / 7.1, 60)) == 7
    assert period(spiral(1.0, 360 / 11, 60)) == 0  # longer than is looked for
    assert period(spiral(1.0, 10, 60)) == 0  # an arc only, in the laps that are looked at


def test_drift_and_noise_are_neither():
    steps = torch.arange(40)[:, None]
    assert period(steps * torch.ones(ELEMENTS)) == 0
    generator = torch.Generator().manual_seed(2)
    assert period(torch.randn(40, ELEMENTS, generator=generator)) == 0
    assert period(torch.full((40, ELEMENTS), torch.nan)) == 0


def test_a_period_needs_four_laps():
    assert period(cycle(5, 19)) == 0
    assert period(cycle(5, 20)) == 5
    assert period(cycle(3, 40), longest=2) == 0
    assert period(cycle(1, 1)) == 0


def test_trajectories_do_not_see_each_other():
    several = torch.stack([cycle(2, 40), spiral(0.8, 90, 40), cycle(1, 40), cycle(7, 40)])
    assert periods(several).tolist() == [period(each) for each in several] == [2, 1, 1, 7]
    assert periods(several.numpy()).tolist() == [2, 1, 1, 7]


def test_phases_average_the_noise_out_and_end_with_the_last():
    clean, noisy = cycle(3, 38), cycle(3, 38, 0.1)
    mean = phases(noisy[None], 3)[0]
    assert mean.shape == (3, ELEMENTS)
    assert (mean - clean[-3:]).norm() < 0.7 * (noisy[-3:] - clean[-3:]).norm()
    # Of noise of standard deviation 0.1 in 40 directions, √40 · 0.1.
    assert scatter(noisy[None], 3).item() == pytest.approx(0.1 * ELEMENTS**0.5, rel=0.2)
    assert scatter(clean[None], 3).item() == pytest.approx(0, abs=1e-6)


def test_flips_count_changes_and_retries():
    #          right throughout  erased, retried   right at last    never right, no label
    answers = [[1, 2, 3, 1], [1, 5, 3, 2], [1, 2, 4, 1], [1, 2, 4, 1]]
    found = flips(torch.tensor(answers), torch.tensor([1, 2, 4, 0]))
    assert found.changes.tolist() == [0, 2, 1, 2]
    assert found.retried.tolist() == [False, True, False, False]
    assert found.last.tolist() == [0, 2, 2, 2]


def test_flips_of_many_trajectories_are_those_of_each():
    generator = torch.Generator().manual_seed(0)
    answers = torch.randint(1, 4, (5, 12, 6), generator=generator)
    labels = torch.randint(1, 4, (6,), generator=generator)
    whole = flips(answers.to(torch.uint8).numpy(), labels)
    for row, each in enumerate(answers):
        one = flips(each, labels)
        assert torch.equal(whole.changes[row], one.changes)
        assert torch.equal(whole.retried[row], one.retried)
        for cell in range(6):
            values = each[:, cell].tolist()
            assert one.changes[cell] == sum(a != b for a, b in pairwise(values))
            hits = "".join("r" if value == labels[cell] else "w" for value in values)
            assert one.retried[cell] == ("wr" in hits[hits.find("r") :] if "r" in hits else False)


def test_candidates_are_what_a_cell_goes_back_to():
    # The cell that EqR Fig. 13 marks goes back and forth between 2 and 6, with 3 once.
    marked = [2, 6, 2, 2, 3, 6, 2, 6]
    answers = np.array([[value, 1, place] for place, value in enumerate(marked)], dtype=np.uint8)
    assert candidates(answers) == {0: {2: 3, 6: 3, 3: 1}}
