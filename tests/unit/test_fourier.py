"""Transforms divided by N squared, with their origin at pixel (N/2, N/2)."""

import numpy as np
import pytest

from winnow2d.numerics import fourier
from winnow2d.numerics.grids import half_plane


def test_forward_is_divided_by_the_number_of_pixels():
    assert fourier.forward(np.ones((1, 8, 8)))[0, 0, 0] == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_is_kept_and_inverse_undoes(rng, dtype):
    images = rng.normal(size=(3, 12, 12)).astype(dtype)
    spectra = fourier.forward(images)
    assert spectra.dtype == np.result_type(dtype, np.complex64)
    np.testing.assert_allclose(fourier.inverse(spectra, 12), images, atol=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize(("dtype", "error"), [(np.float32, 2e-7), (np.float64, 3e-16)])
@pytest.mark.parametrize("box", [16, 26, 17])
def test_every_transform_is_as_good_as_its_precision(rng, dtype, error, box):
    """Against NumPy in double precision; relative to the largest value."""
    images = (rng.normal(size=(4, box, box)) + 3).astype(dtype)
    before = images.copy()
    spectra = fourier.forward(images)
    expected = np.fft.rfft2(images.astype(np.float64)) / box**2
    assert np.abs(spectra - expected).max() < 4 * error * np.abs(expected).max()
    back = fourier.inverse(spectra, box)
    assert back.dtype == dtype
    expected = np.fft.irfft2(spectra.astype(np.complex128), s=(box, box)) * box**2
    assert np.abs(back - expected).max() < 4 * error * np.abs(expected).max()
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_transform_does_not_depend_on_its_neighbours(rng, dtype):
    images = rng.normal(size=(9, 16, 16)).astype(dtype)
    together = fourier.forward(images)
    for i in range(9):
        assert fourier.forward(images[i : i + 1]).tobytes() == together[i].tobytes()
        assert fourier.forward(images[i]).tobytes() == together[i].tobytes()


def test_white_noise_has_its_variance_over_n_squared(rng):
    """So the power of one component, sigma2, is v / (2 N^2)."""
    power = np.abs(fourier.forward(rng.normal(0, 2.0, (400, 16, 16)))[:, 3:6, 2:6]) ** 2
    assert power.mean() == pytest.approx(4.0 / 16**2, rel=0.05)  # 4800 draws of an exponential: 1.4 % s.d.


def test_signs_put_the_origin_in_the_middle():
    image = np.zeros((10, 10))
    image[5, 5] = 1
    np.testing.assert_allclose(fourier.forward(image) * fourier.centre_signs(10), 0.01, atol=1e-15)


@pytest.mark.parametrize(("box", "padded"), [(8, 16), (8, 12), (6, 12)])
def test_padding_keeps_the_centre_in_the_centre(rng, box, padded):
    images = rng.normal(size=(2, box, box))
    larger = fourier.pad(images, padded)
    assert larger.shape == (2, padded, padded)
    assert larger[1, padded // 2, padded // 2] == images[1, box // 2, box // 2]
    assert (larger**2).sum() == pytest.approx((images**2).sum())
    np.testing.assert_array_equal(fourier.crop(larger, box), images)


def test_phases_shift_an_image_by_plus_t(rng):
    box, plane = 16, half_plane(16)
    image = rng.normal(size=(box, box))
    inside = np.hypot(plane.kx, plane.ky) < box // 2
    kx, ky, flat = plane.kx[inside], plane.ky[inside], plane.flat_index[inside]
    moved = fourier.forward(np.roll(image, (-2, 3), (0, 1))).ravel()[flat]  # 3 in x, -2 in y
    phases = fourier.shift_phases(kx, ky, np.array([[3.0, -2.0], [0.0, 0.0]]), box)
    np.testing.assert_allclose(fourier.forward(image).ravel()[flat] * phases[0], moved, atol=1e-12)
    np.testing.assert_array_equal(phases[1], 1)


def test_phases_on_the_grid_are_those_of_any_frequency(rng):
    for box in (12, 13):
        kx, ky = rng.integers(0, box // 2 + 1, 20), rng.integers(-(box // 2), box // 2 + 1, 20)
        shifts = rng.normal(0, 3, (4, 2))
        found = fourier.shift_phases_on_grid(kx, ky, shifts, box)
        np.testing.assert_allclose(found, fourier.shift_phases(kx, ky, shifts, box), atol=1e-13)
        assert found.flags.c_contiguous  # what is compiled would go through it in strides
