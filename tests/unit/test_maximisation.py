"""Parameters from sums."""

import numpy as np
import pytest

from winnow2d.engine.maximisation import (
    centred,
    update_noise,
    update_offset_prior,
    update_references,
    update_scales,
)
from winnow2d.engine.projections import project
from winnow2d.engine.sampling import search_grid
from winnow2d.engine.sums import Sums
from winnow2d.numerics.grids import half_plane
from winnow2d.numerics.masks import positive_centre_of_mass
from winnow2d.records import Sampling

BOX = 16
PLANE = half_plane(BOX)


def sums_of(k=2, n_groups=3, n_optics=1, shape=(4, 20)):
    zeros = np.zeros((k, *shape))
    return Sums(
        zeros, zeros.copy(), zeros.copy(), noise=np.zeros((n_optics, PLANE.n_shells)), noise_weight=np.zeros(n_optics),
        signal_cross=np.zeros(n_groups), signal_square=np.zeros(n_groups), class_sums=np.zeros((k, 4)),
    )  # fmt: skip


def test_noise_is_half_the_residual_per_pixel():
    sums = sums_of(n_optics=2)
    counts = np.bincount(PLANE.shell)
    sums.noise[0], sums.noise_weight[0] = 50.0 * 2 * counts * np.linspace(1, 2, PLANE.n_shells), 50.0
    old = np.full((2, PLANE.n_shells), 7.0)
    new = update_noise(sums, old, PLANE)
    np.testing.assert_allclose(new[0], np.linspace(1, 2, PLANE.n_shells))
    np.testing.assert_array_equal(new[1], 7.0)  # no particle: as before
    np.testing.assert_array_equal(old, 7.0)


def test_a_shell_without_noise_takes_the_one_before():
    sums = sums_of()
    sums.noise[0], sums.noise_weight[0] = 2.0 * np.bincount(PLANE.shell), 1.0
    sums.noise[0, 3:5] = 0
    np.testing.assert_allclose(update_noise(sums, np.ones((1, PLANE.n_shells)), PLANE), 1)


def scales(cross, square, counts):
    sums = sums_of(n_groups=len(cross))
    sums.signal_cross[:], sums.signal_square[:] = cross, square
    return update_scales(sums, np.array(counts))


def test_scales_have_mean_one_over_the_particles():
    counts = [10, 30, 60]
    found = scales([2.0, 3.0, 4.0], [2.0, 2.0, 2.0], counts)
    np.testing.assert_allclose(found / found[0], [1, 1.5, 2])
    assert np.average(found, weights=counts) == pytest.approx(1)


def test_scales_are_clipped_around_their_median():
    found = scales([1.0, 1.0, 1.0, 100.0, 0.001], np.ones(5), [1] * 5)
    assert found[3] / found[0] == pytest.approx(5)
    assert found[4] / found[0] == pytest.approx(1 / 5)


def test_a_group_without_signal_has_scale_one_and_one_group_is_not_scaled():
    found = scales([2.0, 0.0, 2.0], [2.0, 0.0, 2.0], [5, 5, 5])
    np.testing.assert_allclose(found, 1)
    np.testing.assert_array_equal(scales([3.0], [1.0], [8]), [1.0])


@pytest.mark.parametrize("centre", [True, False])
def test_offset_prior(centre):
    sums = sums_of()
    sums.class_sums[:] = [[30, 60.0, -30.0, 120], [10, 0, 0, 40]]
    prior, sigma = update_offset_prior(sums, 4.0, centre)
    assert sigma == pytest.approx(4.0 * np.sqrt(160 / (2 * 40)))
    expected = np.zeros((2, 2)) if centre else [[4.0 * 60 / 40, -4.0 * 30 / 40], [0, 0]]  # by the weight of all classes
    np.testing.assert_allclose(prior, expected)


def test_the_offset_prior_never_closes():
    sums = sums_of()
    sums.class_sums[:, 0] = 5
    assert update_offset_prior(sums, 4.0, True)[1] == pytest.approx(np.sqrt(2))


def spot(x, y):
    yy, xx = np.mgrid[:BOX, :BOX] - BOX // 2
    return np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 4) - 0.01


def test_classes_are_centred_on_what_is_white():
    moved, shifts_px = centred(np.stack([spot(2.0, -1.0), spot(-1.3, 2.4)]), 5.0)
    np.testing.assert_allclose(shifts_px, [[-2, 1], [1.3, -2.4]], atol=0.15)
    for image in moved:
        np.testing.assert_allclose(positive_centre_of_mass(image), 0, atol=0.15)
    np.testing.assert_allclose(moved[0][4:-4, 4:-4], spot(0, 0)[4:-4, 4:-4], atol=0.01)


def test_centring_goes_no_further_than_its_limit():
    (moved,), shifts_px = centred(spot(4.0, 0.0)[None], 1.0)
    np.testing.assert_allclose(shifts_px, [[-1, 0]], atol=1e-9)
    np.testing.assert_allclose(positive_centre_of_mass(moved), [3, 0], atol=0.15)


def test_an_empty_class_keeps_its_reference_beside_one_that_moves(rng):
    references = rng.normal(size=(2, BOX, BOX))
    grid = search_grid(Sampling(60.0, 8.0, 8.0), 4.0)
    projections = project(references, grid, PLANE, (12, 12), np.dtype(np.float64), 1)
    sums = sums_of(2, shape=projections.fine_re.shape[1:])
    sums.class_sums[0, 0] = 10
    sums.data_re[0], sums.data_im[0], sums.weight[0] = projections.fine_re[0], projections.fine_im[0], 1.0
    new, sigma2, data_vs_prior, coverage = update_references(sums, projections, references, 2.0, 12, 1)
    np.testing.assert_array_equal(new[1], references[1])
    assert not data_vs_prior[1].any()
    assert np.isfinite(new).all()
    assert np.isfinite(sigma2).all()
    assert data_vs_prior[0, :6].min() > 0
    assert np.abs(new[0] - references[0]).max() > 0
    assert coverage.max() <= 1
