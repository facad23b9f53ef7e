"""Kernels that keep one contract are the same mathematics, from products to posteriors: all against the loops."""

from dataclasses import replace

import numpy as np
import pytest

from kernel_problems import (
    N_H,
    N_K,
    N_T,
    Chunk,
    N,
    assert_same_models,
    assert_same_scores,
    assert_same_selection,
    chunk,
    compare,
    on,
    score,
    select,
)  # fmt: skip
from winnow2d.numerics import arrays
from winnow2d.numerics.arrays import to_host
from winnow2d.numerics.kernels import in_order, loops

signals = pytest.mark.parametrize("signal", [0.05, 0.5, 4.0], ids=["flat", "middling", "sharp"])
precisions = pytest.mark.parametrize("dtype", ["float64", "float32"])


def assert_same(twin, c: Chunk, two_fold=True, max_count=0, thin=0.0):
    """Hold all three stages against each other; return what the compiled ones say."""
    there, dtype = on(twin.xp, c), str(c.dtype)
    selected, ours = select(loops, c, two_fold, max_count), select(twin.kernels, there, two_fold, max_count)
    assert_same_selection(ours, selected)
    scored, ours = score(loops, c, selected, thin), score(twin.kernels, there, ours, thin)
    assert_same_scores(ours, scored, dtype)
    compared = compare(loops, c, scored)
    assert_same_models(compare(twin.kernels, there, ours), compared, dtype)
    return selected, scored, compared


@precisions
@pytest.mark.parametrize("two_fold", [True, False], ids=["two-fold", "every angle"])
@signals
@pytest.mark.parametrize("max_count", [0, 6])
@pytest.mark.parametrize("thin", [0.0, 0.02], ids=["all", "thinned"])
def test_from_products_to_models(twin, dtype, two_fold, signal, max_count, thin):
    c = chunk(dtype, signal)
    (_, _, count), scored, _ = assert_same(twin, c, two_fold, max_count, thin)
    assert (count > 0).all()
    assert (scored[0][:, 4] == count).all()
    assert scored[2][3].any() == two_fold
    if max_count:
        assert count.max() <= max_count
    if thin and signal < 1:
        assert len(scored[5]) < len(score(loops, c, select(loops, c, two_fold, max_count))[5])
        assert scored[5].min() >= np.dtype(dtype).type(thin)


@pytest.mark.parametrize(("fraction", "log_span"), [(1.0, 25.0), (0.999, 2.0), (0.5, 25.0), (0.999, 60.0)])
def test_every_rule_of_significance(twin, fraction, log_span):
    """A fraction of 1 takes all within the span; a short span cuts before the fraction is reached."""
    c = chunk("float64", 0.5)
    theirs = select(loops, c, True, 0, fraction, log_span)
    assert_same_selection(select(twin.kernels, on(twin.xp, c), True, 0, fraction, log_span), theirs)
    assert 0 < len(theirs[0]) < 2 * N * N_T * N_K * N_H


@pytest.mark.parametrize("max_count", [0, 3, 10])
def test_equals_at_the_border_are_kept_and_not_counted(twin, max_count):
    c = chunk("float64", 0.5)
    log_prior = np.zeros_like(c.log_prior)
    log_prior[:, :, 1] = -1
    c = replace(c, products=tuple(0 * part for part in c.products), norm=0 * c.norm, log_prior=log_prior)
    theirs = select(loops, c, True, max_count)
    assert_same_selection(select(twin.kernels, on(twin.xp, c), True, max_count), theirs)
    if max_count:
        assert (theirs[2] == max_count).all()
        assert (np.diff(theirs[1]) == 2 * N_K * N_H * (N_T - 1)).all()


@precisions
@pytest.mark.parametrize("signal", [0.02, 0.5])
@pytest.mark.parametrize("max_count", [0, 300])
def test_more_poses_than_threads(twin, dtype, signal, max_count):
    c = chunk(dtype, signal, n=3, n_h=24, n_t=13)
    _, _, count = select(loops, c, True, max_count)
    for two_fold in (True, False):
        assert_same(twin, c, two_fold, max_count)
    if signal < 0.1:
        assert count.max() > 256


def test_log_weights_that_differ_in_their_last_bits_are_told_apart(twin):
    """One pose of weight 1 and 100 of nearly 1 / e; half of all weight is reached at the 49th of these."""
    c = chunk("float64", 0.5, n=1, n_h=1, n_t=101)
    steps = np.random.default_rng(2).permutation(np.arange(101))
    s1 = np.where(steps == 0, 0.0, -(1 + steps * 2.0**-52)).reshape(1, 101, 1, 1) * np.ones((1, 1, N_K, 1))
    log_prior = np.zeros((1, N_K, 101))
    log_prior[:, 1:] = -np.inf
    ones = np.ones(1)
    c = replace(c, products=(s1, 0 * s1), norm=0 * c.norm, log_prior=log_prior, scale=ones)
    theirs = select(loops, c, False, fraction=0.5)
    assert_same_selection(select(twin.kernels, on(twin.xp, c), False, fraction=0.5), theirs)
    assert theirs[2].tolist() == [50]
    np.testing.assert_array_equal(theirs[0] // 2, np.flatnonzero(steps < 50))


@pytest.mark.parametrize("size", [1, 2, 100])
def test_memory_is_bounded_and_changes_nothing(twin, monkeypatch, size):
    c = chunk("float64", 0.3)
    whole = assert_same(twin, c, thin=0.02)
    monkeypatch.setattr(arrays, "BLOCK_VALUES", 8 * 2 * N_K * N_H * N_T * size)
    assert len(list(arrays.blocks(N, 8 * 2 * N_K * N_H * N_T))) == -(-N // size)
    in_blocks = assert_same(twin, c, thin=0.02)
    assert len(in_blocks[1][5]) == len(whole[1][5])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("part", [0, 1])
def test_an_image_that_is_not_finite_leaves_nothing(twin, value, part):
    """Its products are not looked at: whatever a matrix product makes of it."""
    c = chunk("float64", 0.3)
    c.weighted[part][2, 9] = value
    c.products[part][2] = np.nan
    for image in c.images[:2]:
        image[2] = np.nan
    (_, first, count), scored, _ = assert_same(twin, c)
    assert first[2] == first[3]
    assert count[2] == 0
    assert scored[0][2].tolist() == [0] * 5 + [-1] * 4
    assert scored[1][2].tolist() == [0] * 7
    assert not (scored[2][0] == 2).any()
    assert (np.delete(count, 2) > 0).all()


def test_a_scale_that_is_not_finite_leaves_nothing(twin):
    c = chunk("float64", 0.3)
    c.scale[3] = np.nan
    (_, _, count), _, compared = assert_same(twin, c)
    assert np.flatnonzero(count == 0).tolist() == [3]
    assert not compared[0][3].any()


def test_nobody_has_a_finite_weight(twin):
    c = chunk("float64", 0.3)
    c.log_prior[:] = -np.inf
    selected, scored, compared = assert_same(twin, c)
    assert len(selected[0]) == len(scored[5]) == 0
    assert not any(part.any() for part in compared)


def test_a_class_and_a_shift_that_never_are(twin):
    c = chunk("float64", 0.05)
    c.log_prior[:, 1] = -np.inf
    c.log_prior[:, :, 2] = -np.inf
    _, scored, compared = assert_same(twin, c)
    assert set(scored[2][1]) == {0, 2}
    assert not np.isin(scored[4], [8, 9, 10, 11]).any()
    assert len(compared[2]) == len(scored[2][1])  # moments of every group


@precisions
def test_one_particle_with_one_pose(twin, dtype):
    c = chunk(dtype, 4.0, n=1)
    (ids, _, _), _, _ = assert_same(twin, c, max_count=1)
    assert len(ids) == 1


@pytest.mark.parametrize("seed", range(5))
def test_thinning_decides_the_same_for_every_draw(twin, seed):
    c = chunk("float64", 0.1, seed, n=20)
    _, scored, _ = assert_same(twin, c, thin=0.05)
    assert (scored[5] == 0.05).any()
    first = replace(c, draws=np.zeros(20))
    assert_same(twin, first, thin=0.05)


def test_rounds_name_every_place_once_and_in_order(xp):
    target = xp.asarray(np.array([3, 1, 3, 3, 0, 1]))
    found = [(to_host(targets).tolist(), to_host(sources).tolist()) for targets, sources in in_order.rounds(target)]
    assert found == [([0, 1, 3], [4, 1, 0]), ([1, 3], [5, 2]), ([3], [3])]
    assert list(in_order.rounds(target[:0])) == []
