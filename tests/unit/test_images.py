"""Preparation of images: in RELION's order, norm, shift, mask, transform."""

import numpy as np
import pytest

from winnow2d.engine.images import coloured_noise, half_plane_spectra, prepare
from winnow2d.numerics.grids import half_plane
from winnow2d.numerics.kernels import loops
from winnow2d.numerics.masks import fill_solvent, soft_circle

BOX = 16
PLANE = half_plane(BOX)
MASK = soft_circle(BOX, 5.0, 2.0)


def shifted(images, shift_px):
    """Return images moved by whole pixels, x then y, written out row by row."""
    out = np.zeros_like(images)
    for image, source, (dx, dy) in zip(out, images, shift_px, strict=True):
        for y in range(BOX):
            for x in range(BOX):
                if 0 <= y - dy < BOX and 0 <= x - dx < BOX:
                    image[y, x] = source[y - dy, x - dx]
    return out


def test_shifts_bring_zeros_and_do_not_wrap(rng):
    images = rng.normal(size=(4, BOX, BOX)) + 5
    shift = np.array([[3, -2], [0, 0], [-1, 4], [BOX, 0]])
    masked, moved = loops.centre_images(images, np.ones(4), shift, np.zeros((BOX, BOX)))
    np.testing.assert_array_equal(masked, moved)  # nothing is masked
    np.testing.assert_array_equal(moved[0, : BOX - 2, 3:], images[0, 2:, : BOX - 3])
    assert not moved[0, BOX - 2 :].any()
    assert not moved[0, :, :3].any()
    np.testing.assert_array_equal(moved[1], images[1])
    np.testing.assert_array_equal(moved[2, 4:, : BOX - 1], images[2, : BOX - 4, 1:])
    assert not moved[3].any()


def test_the_mask_puts_the_average_of_the_surroundings(rng):
    images, factor = rng.normal(3, 1, (3, BOX, BOX)), np.array([0.5, 1.0, 2.0])
    shift = np.array([[2, 1], [0, 0], [-3, 2]])
    masked, plain = loops.centre_images(images, factor, shift, 1 - MASK)
    np.testing.assert_allclose(plain, shifted(images, shift) * factor[:, None, None], rtol=1e-15)
    np.testing.assert_allclose(masked, fill_solvent(plain, MASK), rtol=1e-12)
    assert np.abs(masked - plain).max() > 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_spectra_have_their_origin_in_the_middle(rng, dtype):
    image = np.zeros((1, BOX, BOX), dtype)
    image[0, BOX // 2, BOX // 2] = 1
    spectra = half_plane_spectra(image, PLANE)
    np.testing.assert_allclose(spectra, 1 / BOX**2, atol=1e-7)
    assert spectra.dtype == np.result_type(dtype, np.complex64)
    assert half_plane_spectra(image, PLANE, 7).shape == (1, 7)


def test_the_mask_stays_while_the_image_moves(rng):
    images = rng.normal(size=(3, BOX, BOX))
    norm, shift = np.array([0.5, 1.0, 2.0]), np.array([[2, 1], [0, 0], [-3, 2]])
    spectra = prepare(images, norm, shift, MASK, PLANE)
    moved = shifted(images * norm[:, None, None], shift)
    np.testing.assert_allclose(spectra.unmasked, half_plane_spectra(moved, PLANE))
    np.testing.assert_allclose(spectra.masked, half_plane_spectra(fill_solvent(moved, MASK), PLANE))
    for r in range(PLANE.n_shells):
        power = (np.abs(spectra.masked[:, PLANE.shell == r]) ** 2).sum(axis=1)
        np.testing.assert_allclose(spectra.power[:, r], power)


def test_noise_stands_outside_the_mask_where_it_is_asked_for(rng):
    images, noise = rng.normal(size=(2, BOX, BOX)), rng.normal(size=(2, BOX, BOX))
    spectra = prepare(images, np.ones(2), np.zeros((2, 2), int), MASK, PLANE, noise)
    expected = images * MASK + noise * (1 - MASK)
    np.testing.assert_allclose(spectra.masked, half_plane_spectra(expected, PLANE))
    np.testing.assert_allclose(spectra.unmasked, half_plane_spectra(images, PLANE))


@pytest.mark.parametrize("column", [0, 1, 5])
def test_coloured_noise_has_the_spectrum_it_is_given(column):
    sigma2 = np.linspace(3, 1, PLANE.n_shells) * 1e-3
    noise = coloured_noise(np.tile(sigma2, (1000, 1)), PLANE, [np.random.default_rng([1, i]) for i in range(1000)])
    here = np.flatnonzero((PLANE.kx == column) & (PLANE.ky > 0) & (PLANE.ky < BOX // 2))
    power = (np.abs(half_plane_spectra(noise, PLANE)) ** 2)[:, here].mean(axis=0) / 2
    assert (power / sigma2[PLANE.shell[here]]).mean() == pytest.approx(1, abs=0.05)  # 5000 draws: 1.5 % s.d.


def test_noise_of_one_particle_depends_on_its_generator_only():
    sigma2 = np.ones((2, PLANE.n_shells))
    two = coloured_noise(sigma2, PLANE, [np.random.default_rng(1), np.random.default_rng(2)])
    one = coloured_noise(sigma2[:1], PLANE, [np.random.default_rng(2)])
    np.testing.assert_array_equal(two[1], one[0])
    assert np.abs(two[0] - two[1]).max() > 0
