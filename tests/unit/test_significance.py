"""Which weights are significant, against a sort."""

from types import SimpleNamespace

import numpy as np
import pytest

from winnow2d.numerics.kernels import loops, plain
from winnow2d.numerics.kernels.significance import exponential, significant_weight

SPAN = 25.0


def by_sorting(log_weights, fraction, max_count):
    """Return (smallest significant weight, how many): the first weights whose sum exceeds the fraction."""
    ordered = np.sort(log_weights)[::-1]
    sums = np.cumsum(np.exp(ordered))
    n = int(np.argmax(sums > fraction * np.exp(log_weights).sum())) + 1
    n = min(n, max_count) if max_count > 0 else n
    return ordered[n - 1], n


def significant(log_weights, fraction=0.999, max_count=0):
    weights = np.exp(log_weights)
    return significant_weight(log_weights, weights, len(weights), SPAN, weights.sum(), fraction, max_count)


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
    assert significant_weight(log_weights, np.exp(log_weights), 2, SPAN, 1 + np.exp(-1), 0.5, 0) == (0.0, 1)


def test_weight_that_is_not_listed_counts_in_the_sum_of_all():
    """Without it the two best held more than the fraction."""
    log_weights = np.array([0.0, -1.0, -2.0])
    weights = np.exp(log_weights)
    listed = significant_weight(log_weights, weights, 3, SPAN, weights.sum(), 0.9, 0)
    assert listed == (-1.0, 2)
    assert significant_weight(log_weights, weights, 3, SPAN, weights.sum() + 0.05, 0.9, 0) == (-2.0, 3)
    assert significant_weight(log_weights, weights, 3, SPAN, weights.sum() + 5, 0.9, 0) == (-SPAN, 3)


def test_the_exponential_is_good_enough_for_weights():
    x = np.concatenate([np.linspace(-50, 0, 5001), [-1e-9, -1e-16]])
    found = np.array([exponential(value) for value in x])
    error = np.abs(found / np.exp(x) - 1)
    assert error.max() < 2e-8
    assert error[x > -1].max() < 1e-9
    assert exponential(0.0) == 1


# The coarse pass


@pytest.fixture
def coarse(rng):
    """Return drawn products of one particle whose class 1 never is, with the rest of what `select_coarse` takes."""
    n_t, n_k, n_h = 4, 3, 5
    products = tuple(rng.normal(0, 3, (2, 1, n_t, n_k, n_h)))
    norm, log_prior = rng.random((1, n_k, n_h)), rng.normal(size=(1, n_k, n_t))
    log_prior[:, 1] = -np.inf
    return SimpleNamespace(
        products=products, norm=norm, log_prior=log_prior, images=(np.ones((1, 2)), np.ones((1, 2))),
        scale=np.array([1.3]), n_poses=2 * n_t * n_k * n_h,
    )  # fmt: skip


def scores(coarse, two_fold):
    """Return the log weight of every pose (k, h, t, turn), written out."""
    s1, s2 = (part[0].transpose(1, 2, 0) for part in coarse.products)
    scale = coarse.scale[0]
    signs = [1, -1] if two_fold else [1]
    score = np.stack([scale * (s1 + sign * s2) for sign in signs], axis=-1)
    return score - scale**2 * coarse.norm[0][:, :, None, None] + coarse.log_prior[0][:, None, :, None]


def selected(kernels, coarse, two_fold=True, fraction=0.999, max_count=0, log_span=SPAN):
    c = coarse
    return kernels.select_coarse(
        c.products, c.norm, c.log_prior, c.images, c.scale, two_fold, fraction, max_count, log_span
    )


@pytest.mark.parametrize("kernels", [loops, plain], ids=["compiled", "plain"])
@pytest.mark.parametrize("two_fold", [True, False])
@pytest.mark.parametrize("max_count", [0, 4])
def test_significant_coarse_poses_are_those_of_a_sort(coarse, kernels, two_fold, max_count):
    score = scores(coarse, two_fold)
    relative = score - score.max()
    border, n = by_sorting(relative[np.isfinite(relative)], 0.999, max_count)
    k, h, t, turn = np.nonzero(relative >= border)
    _, n_h, n_t, _ = score.shape
    ids, start, count = selected(kernels, coarse, two_fold, max_count=max_count)
    np.testing.assert_array_equal(ids, ((k * n_h + h) * n_t + t) * 2 + turn)
    assert start.tolist() == [0, len(ids)]
    assert count.tolist() == [n]
    assert (np.diff(ids) > 0).all()
    assert len(ids) > 1


@pytest.mark.parametrize("kernels", [loops, plain], ids=["compiled", "plain"])
def test_no_pose_is_significant_beyond_the_span(coarse, kernels):
    """With a fraction of 1 everything within the span is significant, and nothing else."""
    relative = scores(coarse, True) - scores(coarse, True).max()
    ids, _, count = selected(kernels, coarse, fraction=1.0, log_span=6.0)
    assert len(ids) == count[0] == (relative > -6).sum() < (relative > -SPAN).sum()


@pytest.mark.parametrize("kernels", [loops, plain], ids=["compiled", "plain"])
def test_many_poor_poses_may_hold_more_than_the_fraction_leaves_out(coarse, kernels):
    """One good pose and 100,000 that weigh a hundred-thousandth each: most of the poor ones are needed."""
    n = 50_000
    s1 = np.full((1, 1, 1, n), -np.log(1e5))
    s1[0, 0, 0, 7] = 0
    coarse.products, coarse.norm, coarse.log_prior = (s1, 0 * s1), np.zeros((1, 1, n)), np.zeros((1, 1, 1))
    coarse.scale = np.ones(1)
    ids, _, count = selected(kernels, coarse, fraction=0.9)
    assert len(ids) == 2 * n  # they are equals
    poor = (2 * n - 2) * 1e-5  # the best pose is there twice, at either turn
    assert count[0] == pytest.approx(2 + (0.9 * (2 + poor) - 2) / 1e-5, abs=2)


@pytest.mark.parametrize("kernels", [loops, plain], ids=["compiled", "plain"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_image_that_is_not_finite_has_no_pose(coarse, kernels, value):
    for part in coarse.images:
        images = (coarse.images[0].copy(), coarse.images[1].copy())
        images[part is coarse.images[1]][0, 1] = value
        spoilt = SimpleNamespace(**{**vars(coarse), "images": images})
        ids, start, count = selected(kernels, spoilt)
        assert (len(ids), start.tolist(), count.tolist()) == (0, [0, 0], [0])


@pytest.mark.parametrize("kernels", [loops, plain], ids=["compiled", "plain"])
def test_no_finite_score_gives_no_pose(coarse, kernels):
    coarse.log_prior[:] = -np.inf
    ids, start, count = selected(kernels, coarse)
    assert (len(ids), start.tolist(), count.tolist()) == (0, [0, 0], [0])
