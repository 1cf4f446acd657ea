"""What restarts come to: run once, as they were asked for, and read back the same."""

from dataclasses import fields

import pytest
import torch

from equilibria.inference.pool import Pool
from equilibria.reproduce import tries as module
from equilibria.reproduce.cells import EQR, TRM, trials
from equilibria.reproduce.runs import CachedRun
from equilibria.reproduce.tries import Ask, tries


@pytest.fixture
def runs(setup, tiny):
    made = setup(overrides=tiny)
    return [CachedRun.of(trial.recipe, made.cache) for trial in trials((TRM, EQR), made)]


def test_restarts_are_run_once_and_kept_whole(runs, monkeypatch):
    ask = Ask(10, (1, 3), 4)
    first = tries(runs[1], ask, "cpu")
    monkeypatch.setattr(module, "load", lambda *_: pytest.fail("run again"))
    again = tries(runs[1], ask, "cpu")
    assert list(first) == [1, 3]
    for depth, found in first.items():
        assert found.right.shape == (10, 4)
        for field in fields(Pool):
            assert torch.equal(
                getattr(found.pool, field.name).nan_to_num(),
                getattr(again[depth].pool, field.name).nan_to_num(),
            )
        assert torch.equal(found.pool.evaluations, torch.full((10, 4), depth))


def test_a_fixed_start_gives_one_trajectory_and_random_ones_several(runs):
    alike = tries(runs[0], Ask(6, (3,), 2), "cpu")[3].pool.residual
    apart = tries(runs[0], Ask(6, (3,), 2, drawn=True), "cpu")[3].pool.residual
    assert torch.equal(alike[:, 0], alike[:, 1])
    assert (apart[:, 0] != apart[:, 1]).all()
    # what is trained from random states starts there anyway
    own, drawn = (tries(runs[1], Ask(6, (3,), 2, drawn=drawn), "cpu")[3].pool for drawn in (False, True))
    assert torch.equal(own.residual, drawn.residual)


def test_overrides_change_how_it_is_run(runs):
    still, noisy = (
        tries(runs[1], Ask(6, (3,), overrides=(f"reasoner.noise={beta}",)), "cpu")[3].pool
        for beta in (0, 0.5)
    )
    assert (still.residual < noisy.residual).all()
