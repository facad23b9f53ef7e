"""Transforms of padded images up to a radius, against whole transforms of the padded grid."""

import numpy as np
import pytest

from winnow2d.numerics import fourier, padded

CASES = [(16, 10), (16, 16), (15, 9), (15, 15), (16, 40)]  # even and odd boxes; up to the last frequency, and beyond


def whole(images, padded_px):
    """Return the spectra of padded images, phase origin in the centre, as often as the boxes differ in area."""
    box = images.shape[-1]
    spectra = fourier.forward(fourier.pad(images, padded_px)) * fourier.centre_signs(padded_px)
    return spectra * (padded_px / box) ** 2


def is_within(padded_px, radius):
    ky = np.fft.fftfreq(padded_px, 1 / padded_px)[:, None]
    return ky**2 + np.arange(padded_px // 2 + 1) ** 2 <= radius**2


@pytest.mark.parametrize(("box", "radius"), CASES)
def test_spectra_are_those_of_the_padded_grid(rng, box, radius):
    images = rng.normal(size=(3, box, box))
    found = padded.spectra(images, 2 * box, radius, box + 2)
    inside = is_within(2 * box, radius)
    np.testing.assert_allclose(found[:, :, :-1], whole(images, 2 * box) * inside, atol=1e-13)
    assert inside.all() == (radius > 2 * box)
    assert not found[:, :, -1].any()


@pytest.mark.parametrize(("box", "radius"), CASES)
def test_images_are_those_of_the_padded_grid(rng, box, radius):
    """The spectra are of images of the padded box, so that something is cut off."""
    large = rng.normal(size=(3, 2 * box, 2 * box))
    spectra = fourier.forward(large) * fourier.centre_signs(2 * box) * is_within(2 * box, radius)
    found = padded.images(spectra, box, radius)
    expected = fourier.crop(fourier.inverse(spectra * fourier.centre_signs(2 * box), 2 * box), box) / 4
    np.testing.assert_allclose(found, expected, atol=1e-13)


def test_there_and_back(rng):
    images = rng.normal(size=(2, 12, 12))
    np.testing.assert_allclose(padded.images(padded.spectra(images, 24, 24, 14), 12, 24), images, atol=1e-13)
