"""Draws that belong to a trajectory: their distribution, their independence, and what they depend on."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equilibria.distributions import truncated_normal
from equilibria.dynamics.noise import DeferredNormal, NoiseSource, combine, fingerprint, normal

ROWS, COUNT = 64, 1 << 14  # a million draws, half of them of odd hashes


def source(rows=ROWS, seed=0, restart=0):
    return NoiseSource.trajectories(seed, torch.arange(rows), restart)


def normals(rows=ROWS, count=COUNT, *, seed=0, iteration=0, stream=0):
    return source(rows, seed).at(iteration).normal(stream, (count,), torch.float32).double()


def correlation(a, b):
    """Pearson's, in standard deviations of its distribution under independence."""
    a, b = a.flatten() - a.mean(), b.flatten() - b.mean()
    return ((a * b).sum() / (a.norm() * b.norm())).item() * math.sqrt(a.numel())


def normal_cdf(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1,), (3, 5), (4, 6)])
def test_deferred_draws_are_the_same_draws(shape, dtype):
    keys = combine(5, torch.arange(300))
    assert torch.equal(DeferredNormal.of(keys, dtype).draw(shape), normal(keys, shape, dtype))


def test_normal_draws_have_the_moments_of_a_normal():
    draws = normals()
    n = draws.numel()
    assert abs(draws.mean()) < 4 / math.sqrt(n)
    assert abs(draws.var() - 1) < 4 * math.sqrt(2 / n)
    assert abs((draws**3).mean()) < 4 * math.sqrt(15 / n)
    assert abs((draws**4).mean() - 3) < 4 * math.sqrt(96 / n)


def test_normal_draws_have_the_quantiles_and_tails_of_a_normal():
    draws = normals().flatten()
    n = draws.numel()
    for level in (-4.0, -3.0, -2.0, -1.0, -0.1, 0.0, 0.5, 1.5, 2.5, 3.5):
        share, got = normal_cdf(level), (draws < level).double().mean().item()
        assert abs(got - share) < 4.5 * math.sqrt(share * (1 - share) / n), level
    assert 4.3 < draws.abs().max() < 4.33  # 16 bits a draw: none is beyond the quantile of 2^-17


def test_every_trajectory_has_the_moments_of_a_normal():
    draws = normals()
    assert (draws.mean(dim=1) * math.sqrt(COUNT)).abs().max() < 4.5
    assert ((draws.var(dim=1) - 1) * math.sqrt(COUNT / 2)).abs().max() < 4.5


def test_places_of_a_state_are_uncorrelated():
    draws = normals()
    for lag in (1, 2, 7, 128, COUNT // 2):  # neighbours share a word
        assert abs(correlation(draws[:, lag:], draws[:, :-lag])) < 4.5, lag
        assert abs(correlation(draws[:, lag:] ** 2, draws[:, :-lag] ** 2)) < 4.5, lag


def test_rows_are_uncorrelated_at_any_shift():
    draws = normals(rows=16)
    scaled = (draws - draws.mean(1, keepdim=True)) / draws.std(1, keepdim=True)
    pairs = scaled @ scaled.T / math.sqrt(COUNT)
    assert (pairs - torch.diag(pairs.diagonal())).abs().max() < 4.5
    # A counter-based hash could make one row a shifted copy of another.
    spectra = torch.fft.rfft(scaled)
    shifted = torch.fft.irfft(spectra[0] * spectra[1:].conj(), n=COUNT) / math.sqrt(COUNT)
    assert shifted.abs().max() < 6.5


@pytest.mark.parametrize(
    "other",
    [
        {"iteration": 1},
        {"iteration": 63},
        {"stream": 1},
        {"stream": 20},
        {"stream": 1 << 20},
        {"seed": 1},
        {"seed": 12345},
    ],
)
def test_iterations_updates_and_seeds_are_uncorrelated(other):
    first, second = normals(), normals(**other)
    assert abs(correlation(first, second)) < 4.5
    assert abs(correlation(first**2, second**2)) < 4.5
    assert (first == second).double().mean() < 1e-3


def test_seed_problem_and_restart_are_not_interchangeable():
    problems = torch.arange(20)
    keys = [NoiseSource.trajectories(s, problems, r).keys for s in range(20) for r in range(20)]
    assert torch.cat(keys).unique().numel() == 8000
    assert combine(1, 2) != combine(2, 1)
    assert combine(torch.tensor(3), 4) == combine(3, torch.tensor(4))


def test_uniform_draws_are_uniform():
    draws = source().uniform(3, COUNT).flatten().double()
    counts = torch.histc(draws, 256, 0.0, 1.0)
    expected = draws.numel() / 256
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi2 - 255) < 4.5 * math.sqrt(2 * 255)


def test_uniform_draws_are_never_one():
    # The place among a few million where all 24 bits are set: + ½ rounds up to 1 in float32.
    draws = NoiseSource(torch.tensor([25])).uniform(0, 40135)
    assert draws[0, 40134] == 1 - 2**-24
    assert draws.max() < 1


class Words(NoiseSource):
    """A source whose hash gave these words."""

    def bits(self, stream, count):
        return torch.tensor([[0, -1, 1 << 31, (1 << 31) - 1, 0xFFFF, 0xFFFF << 16]]).int()


def test_the_most_extreme_words_give_draws_inside():
    extreme = Words(torch.zeros(1, dtype=torch.int64))
    uniform = extreme.uniform(0, 6)
    assert uniform.min() == 2**-25
    assert uniform.max() == 1 - 2**-24
    normal = extreme.normal(0, (12,), torch.float32)
    assert normal.isfinite().all()
    assert normal_cdf(-normal.abs().max().item()) == pytest.approx(2**-17, rel=1e-4)
    assert extreme.truncated_normal(0, (6,), 1.0, torch.float32).abs().max() <= 2.27370


@pytest.mark.parametrize("std", [0.0, 0.5, 1.0, 3.0])
def test_truncated_normals_have_the_deviation_asked_for(std):
    draws = source().truncated_normal(0, (COUNT,), std, torch.float32).double()
    assert draws.std().item() == pytest.approx(std, rel=3e-3)
    assert abs(draws.mean()) <= 4.5 * std / math.sqrt(draws.numel())
    assert draws.abs().max() <= 2.2736946 * std * (1 + 1e-6)


def test_truncated_normals_follow_their_own_distribution_function():
    levels = torch.tensor([1e-6, 0.1, 0.5, 0.9, 1 - 1e-6], dtype=torch.float64)
    draws = truncated_normal(levels, 1.0) / 1.1368473
    mass = normal_cdf(2) - normal_cdf(-2)
    back = [(normal_cdf(draw) - normal_cdf(-2)) / mass for draw in draws.tolist()]
    assert back == pytest.approx(levels.tolist(), abs=1e-6)


def test_draws_come_in_the_shape_and_dtype_asked_for():
    draws = source(3).normal(0, (5, 7), torch.bfloat16)
    assert draws.shape == (3, 5, 7)
    assert draws.dtype == torch.bfloat16
    odd = source(3).normal(0, (5, 7), torch.float32)
    assert torch.equal(draws, odd.bfloat16())
    assert odd.flatten(1).std(dim=1).min() > 0.5


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8), st.randoms(), st.integers(0, 99))
def test_a_row_draws_the_same_whatever_is_beside_it(keys, shuffle, iteration):
    order = list(range(len(keys)))
    shuffle.shuffle(order)
    together = NoiseSource(torch.tensor(keys), iteration)
    shuffled = NoiseSource(torch.tensor([keys[i] for i in order]), torch.full((len(keys),), iteration))
    for draw in (
        lambda s: s.normal(4, (3, 5), torch.float32),
        lambda s: s.uniform(4, 9),
        lambda s: s.truncated_normal(4, (9,), 1.0, torch.float32),
    ):
        everything = draw(together)
        assert torch.equal(everything[order], draw(shuffled))
        alone = draw(NoiseSource(together.keys[-1:], iteration))
        assert torch.equal(everything[-1:], alone)


def test_rows_may_stand_at_different_iterations():
    steps = torch.tensor([0, 3, 1])
    mixed = source(3).at(steps).normal(0, (6,), torch.float32)
    for row, step in enumerate(steps.tolist()):
        assert torch.equal(mixed[row], source(3).at(step).normal(0, (6,), torch.float32)[row])


boards = st.lists(st.integers(0, 10), min_size=2, max_size=81)


@settings(max_examples=200, deadline=None)
@given(boards, st.data())
def test_one_token_makes_another_fingerprint(board, data):
    place = data.draw(st.integers(0, len(board) - 1))
    token = data.draw(st.integers(0, 10).filter(lambda token: token != board[place]))
    other = [*board[:place], token, *board[place + 1 :]]
    first, second = fingerprint(torch.tensor([board, other], dtype=torch.uint8))
    assert first != second


@settings(max_examples=200, deadline=None)
@given(boards.filter(lambda board: len(set(board)) > 1), st.data())
def test_swapping_two_tokens_makes_another_fingerprint(board, data):
    place = data.draw(st.integers(0, len(board) - 1))
    partner = data.draw(st.sampled_from([i for i, token in enumerate(board) if token != board[place]]))
    other = list(board)
    other[place], other[partner] = other[partner], other[place]
    first, second = fingerprint(torch.tensor([board, other]))
    assert first != second


def test_fingerprints_of_all_small_boards_differ_and_depend_on_the_tokens_alone():
    every = torch.cartesian_prod(*[torch.arange(4)] * 7)
    assert fingerprint(every).unique().numel() == 4**7
    assert torch.equal(fingerprint(every.to(torch.uint8)), fingerprint(every))
    assert torch.equal(fingerprint(every[100:101]), fingerprint(every)[100:101])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler's own modules
def test_compiled_draws_are_the_same_bits():
    def draws(keys, iteration):
        noise = NoiseSource(keys, iteration)
        return (
            noise.normal(2, (3, 5), torch.float32),
            noise.uniform(2, 7),
            noise.truncated_normal(9, (7,), 1.0, torch.float32),
            noise.bits(1 << 21, 4),
        )

    compiled = torch.compile(draws, fullgraph=True, backend="aot_eager")
    arguments = source(4).keys, torch.tensor([0, 1, 5, 2])
    for got, expected in zip(compiled(*arguments), draws(*arguments), strict=True):
        assert torch.equal(got, expected)
    board = torch.randint(0, 10, (4, 81))
    fast = torch.compile(fingerprint, fullgraph=True, backend="aot_eager")
    assert torch.equal(fast(board), fingerprint(board))
