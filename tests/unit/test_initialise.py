"""The state before the first iteration."""

import numpy as np
import pytest

from synthetic import make_particles, shape_image
from winnow2d.engine.images import half_plane_spectra
from winnow2d.engine.initialise import FirstAverages, NoiseEstimate, low_pass, particle_mask_radius_px
from winnow2d.engine.schedule import first_resolution_shell
from winnow2d.numerics import fourier
from winnow2d.numerics.grids import half_plane
from winnow2d.numerics.masks import soft_circle
from winnow2d.numerics.shells import round_half_away

BOX = 32
PLANE = half_plane(BOX)
MASK = soft_circle(BOX, 10.0, 5.0)


def spectral_power(images):
    """Return the power of images by radius of their half spectrum: (radius, power) flattened."""
    ky = np.fft.fftfreq(BOX, 1 / BOX)[:, None]
    radius = np.hypot(ky, np.arange(BOX // 2 + 1))
    return radius, np.abs(fourier.forward(images)) ** 2


def test_noise_estimate_recovers_a_known_spectrum():
    """What all images have in common, their mean, is not noise."""
    sigma2 = 1e-3 / (1 + np.arange(PLANE.n_shells) / 4)  # beyond the last shell, in the corners, as in the last
    white = np.random.default_rng(1).normal(0, np.sqrt(2) * BOX, (600, BOX, BOX))
    shell = np.minimum(round_half_away(spectral_power(white[0])[0]), PLANE.n_shells - 1)
    noise = fourier.inverse(fourier.forward(white) * np.sqrt(sigma2)[shell], BOX)
    estimate = NoiseEstimate(BOX)
    for part in np.split(noise + 3 * shape_image(0, BOX), 5):
        estimate.add(part)
    found = estimate.sigma2()
    # 600 images, 2 pixels and more a ring: at most 3 % s.d.; the origin, one real number, 6 %
    np.testing.assert_allclose(found[1:], sigma2[1:], rtol=0.1)


def test_noise_estimate_does_not_depend_on_the_parts(rng):
    images = rng.normal(size=(40, BOX, BOX)).astype(np.float32)
    whole, parts = NoiseEstimate(BOX), NoiseEstimate(BOX)
    whole.add(images)
    for part in np.split(images, 4):
        parts.add(part)
    np.testing.assert_allclose(parts.sigma2(), whole.sigma2(), rtol=1e-6)


def test_noise_is_positive_where_all_images_are_alike():
    """A shell without differences takes a neighbour's value, or the first iteration would divide by zero."""
    rng, estimate = np.random.default_rng(1), NoiseEstimate(BOX)
    estimate.add(low_pass(rng.normal(size=(20, BOX, BOX)), 8))
    assert (estimate.sigma2() > 0).all()


def first(seed, mask=MASK, k=3):
    particles = make_particles(2, 60, BOX, 0.3, 1)
    averages = FirstAverages(PLANE, k, np.random.default_rng(seed))
    averages.add(half_plane_spectra(particles.images, PLANE), np.ones((60, len(PLANE.kx))))
    return averages.references(mask, 20.0)


def test_first_references_are_smooth_masked_and_differ():
    references = first(1)
    assert references.shape == (3, BOX, BOX)
    assert np.isfinite(references).all()
    assert (references.std(axis=(1, 2)) > 0).all()
    outside = references[:, MASK == 0]
    np.testing.assert_allclose(outside, np.broadcast_to(outside[:, :1], outside.shape))
    correlation = np.corrcoef(references.reshape(3, -1))
    assert correlation[~np.eye(3, dtype=bool)].max() < 0.995  # all of them are blobs


def test_first_references_hold_the_lowest_shells_only():
    radius, power = spectral_power(first(1, mask=np.ones((BOX, BOX)) - 1e-9))
    beyond = radius > first_resolution_shell(BOX) + 1
    assert power[:, beyond].sum() < 1e-10 * power[:, ~beyond].sum()


def test_first_references_follow_the_seed():
    np.testing.assert_array_equal(first(1), first(1))
    assert np.abs(first(1) - first(2)).max() > 0


def test_more_classes_than_images_stay_finite():
    averages = FirstAverages(PLANE, 4, np.random.default_rng(1))
    averages.add(half_plane_spectra(make_particles(2, 2, BOX, 0.3, 1).images, PLANE), np.ones((2, len(PLANE.kx))))
    assert np.isfinite(averages.references(MASK, 20.0)).all()


def test_low_pass_falls_over_two_shells(rng):
    images = rng.normal(size=(1, BOX, BOX))
    radius, before = spectral_power(images)
    _, after = spectral_power(low_pass(images, 6))
    np.testing.assert_allclose(after[0, radius < 5], before[0, radius < 5])
    np.testing.assert_allclose(after[0, radius > 7], 0, atol=1e-20)
    at = radius == 6
    np.testing.assert_allclose(after[0, at], before[0, at] / 4)  # half the amplitude


def test_the_mask_radius_stays_in_the_box():
    assert particle_mask_radius_px(200.0, 4.0, 64) == 25
    assert particle_mask_radius_px(1e6, 4.0, 64) == pytest.approx(32 * np.sqrt(2))
