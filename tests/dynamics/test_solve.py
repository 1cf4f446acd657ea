"""A solve says how it ended, and ends."""

import gc
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from equilibria.dynamics.solve import solve
from equilibria.dynamics.solvers import Anderson, Broyden, PatienceDamped, Picard, Relaxed

EVERY = [
    Picard(norm="relative-l2"),
    Relaxed(norm="relative-l2"),
    PatienceDamped(norm="relative-linf", threshold=1e-9),
    Anderson(),
    Broyden(),
]


def slow(z):
    """Contracts at 0.9 towards 1, each row from where it is."""
    return 0.9 * z + 0.1


def test_settled_rows_stay_and_others_go_on():
    z0 = torch.tensor([[1.0 + 1e-4], [1.05], [50.0]], dtype=torch.float64)
    solution = solve(slow, z0, Picard(), tolerance=1e-3, max_iterations=30)
    assert solution.settled.tolist() == [True, True, False]
    assert solution.iterations[0] == 1
    assert solution.iterations[1] < 30 == solution.iterations[2]
    for row, used in enumerate(solution.iterations.tolist()):
        ran = solution.residuals[row]
        assert ran[:used].isfinite().all()
        assert ran[used:].isnan().all()
        assert torch.equal(ran[: used - 1] >= 1e-3, torch.ones(used - 1, dtype=torch.bool))
    assert solution.state[0].item() == pytest.approx(slow(z0[0]).item(), rel=1e-12)


def test_together_nobody_leaves_before_the_last():
    z0 = torch.tensor([[1.0 + 1e-4], [2.0]], dtype=torch.float64)
    solution = solve(slow, z0, Picard(), tolerance=1e-3, max_iterations=100, together=True)
    assert solution.settled.all()
    assert solution.iterations[0] == solution.iterations[1] > 1


def test_patience_and_a_least_number_of_evaluations_are_kept():
    z0 = torch.tensor([[1.0]], dtype=torch.float64)
    assert solve(slow, z0, Picard(), tolerance=1e-3, max_iterations=20, patience=4).iterations.tolist() == [4]
    assert solve(
        slow, z0, Picard(), tolerance=1e-3, max_iterations=20, min_iterations=7
    ).iterations.tolist() == [7]


def test_looking_seldom_or_never_changes_nothing_but_the_count_of_evaluations():
    z0 = torch.randn(4, 3, dtype=torch.float64)
    seen = {}
    for every in (0, 1, 7):
        calls = []

        def f(z, calls=calls):
            calls.append(None)
            return slow(z)

        seen[every] = solve(f, z0, Picard(), tolerance=1e-3, max_iterations=200, check_every=every)
        assert (len(calls) == 200) == (every == 0)
    assert torch.equal(seen[0].state, seen[1].state)
    assert torch.equal(seen[7].iterations, seen[1].iterations)


@pytest.mark.parametrize("solver", EVERY, ids=lambda s: s.name)
@pytest.mark.parametrize(
    "f",
    [lambda z: 30.0 * z + 1.0, lambda z: z * float("nan"), lambda z: 10.0 * z**3, lambda z: z / 0.0],
    ids=["expands", "nan", "overflows", "infinite"],
)
def test_a_map_without_rest_is_reported_and_never_gives_a_nan(solver, f):
    z0 = 1.0 + torch.rand(3, 1, 2, dtype=torch.float64)
    solution = solve(f, z0, solver, tolerance=1e-9, max_iterations=300)
    assert solution.state.isfinite().all()
    assert not (solution.settled & solution.diverged).any()
    # A solver may still find the repelling fixed point of an expanding map: then it has settled on it.
    assert (solution.settled | solution.diverged | (solution.iterations == 300)).all()
    if solver.name == "picard":
        assert solution.diverged.all()


def test_one_bad_row_leaves_the_others_alone():
    z0 = torch.ones(3, 2, dtype=torch.float64) * 2

    def f(z):
        after = slow(z)
        after[1] = float("nan")
        return after

    solution = solve(f, z0, Anderson(), tolerance=1e-6, max_iterations=100)
    assert solution.diverged.tolist() == [False, True, False]
    assert solution.settled.tolist() == [True, False, True]
    assert torch.equal(solution.state[1], z0[1])


def test_a_sample_that_diverges_goes_back_to_the_best_state_it_had_seen():
    """Close to rest at the third state, then off and away: the answer is the third."""
    path = [5.0, 3.0, 2.0, 2.0078125, 7.0, 1e7, 1e9]  # exact in float32

    def f(z):
        return torch.tensor([[path[path.index(z[0, 0].item()) + 1]], [0.5 * z[1, 0].item() + 1.0]])

    z0 = torch.tensor([[5.0], [5.0]])
    solution = solve(f, z0, Picard(), tolerance=1e-4, max_iterations=60)
    assert solution.diverged.tolist() == [True, False]
    assert solution.settled.tolist() == [False, True]
    assert solution.iterations[0] == 5
    assert solution.state[0].item() == 2.0
    outward = solve(lambda z: 3.0 * z + 1.0, z0, Picard(), tolerance=1e-4, max_iterations=60)
    assert outward.diverged.all()
    assert torch.equal(outward.state, z0)  # nothing on the way was better than the start


@pytest.mark.parametrize("solver", EVERY, ids=lambda s: s.name)
def test_growth_that_a_relative_norm_hides_never_counts_as_settled(solver):
    solution = solve(lambda z: 2.0 * z + 1.0, torch.ones(1, 3), solver, tolerance=1e-6, max_iterations=60)
    assert solution.state.isfinite().all()
    # Acceleration finds the repelling fixed point of a linear map.
    assert torch.allclose(solution.state, -torch.ones(1, 3), atol=1e-4) or not solution.settled.any()


def test_a_sample_that_diverges_does_not_hold_up_the_others_that_leave_together():
    z0 = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)

    def f(z):
        after = slow(z)
        return torch.stack([after[0], 30.0 * z[1], after[2]])

    solution = solve(f, z0, Picard(), tolerance=1e-3, max_iterations=200, together=True)
    assert solution.diverged.tolist() == [False, True, False]
    assert solution.settled.tolist() == [True, False, True]
    assert solution.iterations[0] == solution.iterations[2] < 200
    assert torch.equal(solution.state[1], z0[1])


def test_a_start_that_is_not_finite_is_reported():
    z0 = torch.tensor([[float("inf")], [2.0]], dtype=torch.float64)
    solution = solve(slow, z0, Picard(), tolerance=1e-3, max_iterations=100)
    assert solution.diverged.tolist() == [True, False]


@pytest.mark.parametrize("limits", [{"max_iterations": 0}, {"patience": 0}, {"min_iterations": -1}])
def test_limits_that_make_no_sense_are_refused(limits):
    with pytest.raises(ValueError, match="at least 1"):
        solve(slow, torch.ones(1, 1), Picard(), **{"tolerance": 1e-3, "max_iterations": 5} | limits)


class PeakBytes(TorchDispatchMode):
    """The most bytes of tensors alive at once, of those made inside."""

    def __init__(self):
        super().__init__()
        self.alive = self.peak = 0
        self.seen = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor):
                storage = value.untyped_storage()
                if storage.data_ptr() not in self.seen:
                    self._count(storage)
        return result

    def _count(self, storage):
        size, place = storage.nbytes(), storage.data_ptr()
        self.seen[place] = None
        self.alive += size
        self.peak = max(self.peak, self.alive)

        def free():
            self.alive -= size
            self.seen.pop(place, None)

        weakref.finalize(storage, free)


@pytest.mark.parametrize("solver", EVERY, ids=lambda s: s.name)
def test_memory_does_not_grow_with_iterations(solver):
    z0 = torch.randn(2, 64, 128)
    peaks = []
    for iterations in (8, 512):
        gc.collect()
        with torch.no_grad(), PeakBytes() as counter:
            solve(slow, z0, solver, tolerance=1e-30, max_iterations=iterations)
        peaks.append(counter.peak)
    assert peaks[0] > z0.nbytes  # the count sees something
    assert peaks[1] <= 1.02 * peaks[0]
