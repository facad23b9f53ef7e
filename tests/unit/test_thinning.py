"""Small posteriors are thinned out without bias: what is kept stands for what is not."""

from dataclasses import replace

import numpy as np
import pytest

from kernel_problems import N_H, N_K, N_PX, N_T, chunk, compare, score, select, serially
from winnow2d.numerics.kernels import loops, plain
from winnow2d.numerics.kernels.rows import add_rows

THIN = 0.03
kernels = pytest.mark.parametrize("kernels", [loops, plain], ids=["compiled", "plain"])


@pytest.fixture
def c():
    return chunk("float64", 0.15)


def dense(scored):
    """Return the weight of every pose, (n, k, row, turn, shift)."""
    (particle, k, row, turn), start, shift, weight = scored[2:]
    out = np.zeros((len(scored[0]), N_K, 2 * N_H, 2, 4 * N_T))
    group = np.repeat(np.arange(len(particle)), np.diff(start))
    out[particle[group], k[group], row[group], turn[group], shift] = weight
    return out


def thinned(kernels, c, draws, thin=THIN):
    return score(kernels, replace(c, draws=draws), select(kernels, c), thin)


@kernels
def test_a_threshold_of_nothing_keeps_everything_bit_for_bit(c, kernels):
    """Nor does a threshold below every posterior, or where the count starts."""
    everything = thinned(kernels, c, np.zeros(7), 0.0)
    for draws, thin in ((c.draws, 0.0), (c.draws, everything[5].min() / 2)):
        found = thinned(kernels, c, draws, thin)
        pairs = zip(
            (*found[:2], *found[2], *found[3:]), (*everything[:2], *everything[2], *everything[3:]), strict=True
        )
        assert all(mine.tobytes() == other.tobytes() for mine, other in pairs)


@kernels
def test_large_posteriors_stay_and_small_ones_become_the_threshold(c, kernels):
    all_of_them, found = dense(thinned(kernels, c, c.draws, 0.0)), dense(thinned(kernels, c, c.draws))
    large = all_of_them >= THIN
    assert large.any()
    assert (~large & (all_of_them > 0)).any()
    np.testing.assert_array_equal(found[large], all_of_them[large])
    assert set(found[~large]) == {0, THIN}
    assert not found[all_of_them == 0].any()


@kernels
@pytest.mark.parametrize("thin", [0.003, THIN, 0.5])
def test_the_weight_of_a_particle_changes_by_less_than_one_threshold(c, kernels, thin):
    whole = thinned(kernels, c, c.draws, 0.0)
    for draw in np.linspace(0, 1, 7, endpoint=False):
        found = thinned(kernels, c, np.full(7, draw), thin)
        assert np.abs(found[1][:, 2] - whole[1][:, 2]).max() < thin
        np.testing.assert_allclose(found[1][:, 2], dense(found).sum(axis=(1, 2, 3, 4)), rtol=1e-12)
        for name in (0, 1):  # best pose, its posterior, evidence
            np.testing.assert_array_equal(found[name][:, :2], whole[name][:, :2])
        np.testing.assert_array_equal(found[0], whole[0])


def over_many_draws(c, n_draws):
    """Return the mean weight of every pose over draws that count every start the same."""
    total = 0
    for j in range(n_draws):
        total = total + dense(thinned(loops, c, np.full(7, (j + 0.5) / n_draws)))
    return total / n_draws


def test_every_pose_keeps_its_expected_weight(c):
    """Over n evenly spread starts a pose is kept n p / thin times, give or take one."""
    n_draws = 500
    whole = dense(thinned(loops, c, c.draws, 0.0))
    np.testing.assert_allclose(over_many_draws(c, n_draws), whole, atol=1.01 * THIN / n_draws)


def sums(c, scored):
    out = tuple(np.zeros((N_K, 2 * N_H, N_PX)) for _ in range(3))
    loops.add_groups([((*scored[2], *scored[3:]), c.weighted)], c.phases, out, serially)
    return np.stack(out)


def model_sums(c, scored):
    """Return residuals, scale sums and the moments of each class."""
    residual, scale_sums, moments = compare(loops, c, scored)
    of_classes = np.zeros((N_K, 4))
    add_rows(of_classes, scored[2][1], moments)
    return residual, scale_sums, of_classes


def test_back_projections_and_model_sums_keep_their_expectation(c):
    """Drawn at random: the average of 400 comes as close as its own spread allows."""
    n_draws, rng = 400, np.random.default_rng(5)
    whole = thinned(loops, c, c.draws, 0.0)
    expected = sums(c, whole), *model_sums(c, whole)
    found = []
    for _ in range(n_draws):
        scored = thinned(loops, c, rng.random(7))
        found.append((sums(c, scored), *model_sums(c, scored)))
    for ours, theirs in zip(zip(*found, strict=True), expected, strict=True):
        ours = np.stack(ours)
        error = ours.std(axis=0) / np.sqrt(n_draws)
        assert (error > 0).any()
        off = np.abs(ours.mean(axis=0) - theirs) / (error + 1e-12)
        assert np.sqrt((off**2).mean()) < 1.3  # 1 but for chance
        assert off.max() < 6
