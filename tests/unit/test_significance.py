"""Which weights are significant, against a sort."""

import numpy as np
import pytest

from winnow2d.numerics.kernels.significance import coarse_candidates, significant_weight

SPAN = 25.0


def by_sorting(log_weights, fraction, max_count):
    """Return (smallest significant weight, how many): the first weights whose sum exceeds the fraction."""
    ordered = np.sort(log_weights)[::-1]
    sums = np.cumsum(np.exp(ordered))
    n = int(np.argmax(sums > fraction * np.exp(log_weights).sum())) + 1
    n = min(n, max_count) if max_count > 0 else n
    return ordered[n - 1], n


def significant(log_weights, fraction=0.999, max_count=0):
    return significant_weight(log_weights, len(log_weights), SPAN, np.exp(log_weights).sum(), fraction, max_count)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("spread", "n"), [(24.9, 3000), (3.0, 400), (0.02, 50), (24.9, 1)])
@pytest.mark.parametrize("max_count", [0, 1, 25])
def test_the_smallest_set_that_holds_the_weight(seed, spread, n, max_count):
    log_weights = -np.random.default_rng(seed).uniform(0, spread, n)
    log_weights -= log_weights.max()
    border, count = significant(log_weights, max_count=max_count)
    expected, n_expected = by_sorting(log_weights, 0.999, max_count)
    assert border == expected
    assert count == n_expected


@pytest.mark.parametrize("seed", range(4))
def test_ties_at_the_border_have_one_value(seed):
    """The count stops in the middle of equals, as a sort does; whoever asks takes all that reach the value."""
    log_weights = -np.random.default_rng(seed).integers(0, 9, 500).astype(float)
    log_weights -= log_weights.max()
    for fraction, max_count in ((0.9, 0), (0.999, 0), (0.999, 40)):
        assert significant(log_weights, fraction, max_count) == by_sorting(log_weights, fraction, max_count)


def test_everything_counts_when_nothing_exceeds_the_fraction():
    border, count = significant(np.array([0.0, -1.0, -24.0]), fraction=1.0)
    assert (border, count) == (-SPAN, 3)


def test_only_the_first_n_entries_are_looked_at():
    log_weights = np.array([0.0, -1.0, 0.0, 0.0])
    assert significant_weight(log_weights, 2, SPAN, 1 + np.exp(-1), 0.5, 0) == (0.0, 1)


@pytest.mark.parametrize("two_fold", [True, False])
def test_coarse_candidates_are_all_poses_within_the_span(rng, two_fold):
    n_k, n_h, n_t, scale = 3, 5, 4, 1.3
    s1, s2, norm = rng.normal(0, 5, (n_k, n_h, n_t)), rng.normal(0, 5, (n_k, n_h, n_t)), rng.random((n_k, n_h))
    log_prior = rng.normal(size=(n_k, n_t))
    log_prior[1] = -np.inf  # a class of probability 0
    ids, log_weights = np.empty(2 * s1.size, np.int64), np.empty(2 * s1.size)
    n, total, best = coarse_candidates(s1, s2, norm, log_prior, scale, two_fold, SPAN, ids, log_weights)
    turns = [1, -1] if two_fold else [1]
    score = np.stack([scale * (s1 + sign * s2) for sign in turns], axis=-1)
    score = score - scale**2 * norm[:, :, None, None] + log_prior[:, None, :, None]
    assert best == pytest.approx(score.max())
    kept = np.argwhere(score > score.max() - SPAN)
    expected = ((kept[:, 0] * n_h + kept[:, 1]) * n_t + kept[:, 2]) * 2 + kept[:, 3]
    np.testing.assert_array_equal(ids[:n], expected)
    np.testing.assert_allclose(log_weights[:n], score[tuple(kept.T)] - score.max(), atol=1e-12)
    assert total == pytest.approx(np.exp(log_weights[:n]).sum())


def test_no_finite_score_gives_no_candidates():
    shape = (2, 3, 4)
    ids, log_weights = np.empty(48, np.int64), np.empty(48)
    for bad in (np.nan, -np.inf):
        n, _, _ = coarse_candidates(
            np.zeros(shape), np.zeros(shape), np.zeros((2, 3)), np.full((2, 4), bad), 1.0, True, SPAN, ids, log_weights
        )
        assert n == 0
