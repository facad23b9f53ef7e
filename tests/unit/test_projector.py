"""References on the padded grid, and sums turned into class averages."""

import numpy as np
import pytest

from synthetic import shape_image
from winnow2d.numerics.grids import radius_map
from winnow2d.numerics.projector import (
    MIN_SHELL_OF_PRIOR,
    gridding_correction,
    make_hermitian,
    padded_spectra,
    reconstruct,
    signal_to_noise,
    spectrum_power,
)
from winnow2d.numerics.rotation import PAD, padded_shape
from winnow2d.numerics.shells import round_half_away

BOX, RADIUS = 24, 10
ROWS, COLUMNS = padded_shape(BOX)


def frequencies():
    """Return (x, y) of the padded half spectrum, each (rows, columns)."""
    y = np.arange(ROWS)
    return np.arange(COLUMNS)[None, :], np.where(y <= ROWS // 2, y, y - ROWS)[:, None]


def test_gridding_correction_is_what_bilinear_interpolation_does():
    correction, r = gridding_correction(BOX), radius_map(BOX)
    x = np.pi * r[12, 20] / (PAD * BOX)
    assert correction[12, 12] == 1
    assert correction[12, 20] == pytest.approx((np.sin(x) / x) ** 2)


def test_padded_spectra_are_those_of_the_image_between_its_pixels():
    image = shape_image(0, BOX)
    spectrum = padded_spectra(image[None], RADIUS, correct_gridding=False)[0].reshape(ROWS, COLUMNS)
    r = np.mgrid[:BOX, :BOX] - BOX // 2
    for x, y in ((0, 0), (3, 5), (8, -7), (0, -4), (1, 2 * RADIUS - 1)):
        wave = np.exp(-2j * np.pi * (x * r[1] + y * r[0]) / (PAD * BOX))
        assert spectrum[y % ROWS, x] == pytest.approx((image * wave).mean(), abs=1e-12)


def test_padded_spectra_end_at_the_radius():
    spectrum = padded_spectra(np.random.default_rng(1).normal(size=(2, BOX, BOX)), RADIUS)
    x, y = frequencies()
    beyond = (x**2 + y**2 > (PAD * RADIUS) ** 2).ravel()
    assert not spectrum[:, beyond].any()
    assert np.abs(spectrum[:, ~beyond]).min() > 0
    assert not spectrum.reshape(2, ROWS, COLUMNS)[:, :, -1].any()


def test_power_is_half_the_mean_over_rings_of_the_padded_grid(rng):
    spectra = padded_spectra(rng.normal(size=(2, BOX, BOX)), RADIUS)
    x, y = frequencies()
    shell = round_half_away(np.hypot(x, y) / PAD)
    inside = (x**2 + y**2 <= (PAD * RADIUS) ** 2) & (x < COLUMNS - 1)
    power = spectrum_power(spectra, BOX, RADIUS)
    for r in range(RADIUS + 1):
        ring = np.abs(spectra.reshape(2, ROWS, COLUMNS)[:, inside & (shell == r)]) ** 2
        np.testing.assert_allclose(power[:, r], ring.mean(axis=1) / 2)
    assert not power[:, RADIUS + 1 :].any()


def test_hermitian_sums_add_the_mate_and_leave_the_origin(rng):
    data = rng.normal(size=(1, ROWS * COLUMNS)) + 1j * rng.normal(size=(1, ROWS * COLUMNS))
    weight = rng.random((1, ROWS * COLUMNS))
    before, weight_before = data.reshape(ROWS, COLUMNS).copy(), weight.reshape(ROWS, COLUMNS).copy()
    make_hermitian(data, weight, BOX)
    after, weight_after = data.reshape(ROWS, COLUMNS), weight.reshape(ROWS, COLUMNS)
    for y in (1, 5, ROWS - 3):
        assert after[y, 0] == pytest.approx(before[y, 0] + np.conj(before[-y % ROWS, 0]))
        assert weight_after[y, 0] == pytest.approx(weight_before[y, 0] + weight_before[-y % ROWS, 0])
        assert after[-y % ROWS, 0] == pytest.approx(np.conj(after[y, 0]))
    assert after[0, 0] == before[0, 0]
    np.testing.assert_array_equal(after[:, 1:], before[:, 1:])


def test_signal_to_noise_of_an_even_weight():
    weight = np.full((1, ROWS * COLUMNS), 3.0)
    tau2 = np.linspace(0.1, 0.0, BOX // 2 + 1)[None]
    sigma2, data_vs_prior, coverage = signal_to_noise(weight, tau2, 4.0, BOX, RADIUS)
    within = np.arange(BOX // 2 + 1) <= RADIUS
    np.testing.assert_allclose(sigma2[0], within / (PAD**2 * 3.0))
    np.testing.assert_allclose(data_vs_prior[0], within * PAD**2 * 3.0 * 4.0 * tau2[0])
    np.testing.assert_array_equal(coverage[0], within & (data_vs_prior[0] >= 1))
    assert 0 < coverage[0].sum() < RADIUS + 1


def test_where_nothing_was_seen_nothing_is_claimed():
    nothing = np.zeros((1, ROWS * COLUMNS))
    sigma2, data_vs_prior, coverage = signal_to_noise(nothing, np.ones((1, BOX // 2 + 1)), 2.0, BOX, RADIUS)
    assert not sigma2.any()
    assert not data_vs_prior.any()
    assert not coverage.any()
    assert not reconstruct(nothing.astype(complex), nothing, BOX, RADIUS).any()


def test_reconstruction_without_prior_gives_the_image_back():
    """What is left is the correction for the interpolation that did not take place here."""
    image = shape_image(1, BOX)
    data = padded_spectra(image[None] * gridding_correction(BOX), BOX // 2, correct_gridding=False)
    for weight in (1.0, 7.0):
        again = reconstruct(data * weight, np.full(data.shape, weight), BOX, BOX // 2)
        # the border is replaced by its mean, the blobs end before it
        np.testing.assert_allclose(again[0], image, atol=2e-3 * image.max())


@pytest.mark.parametrize("r", [0, 3, MIN_SHELL_OF_PRIOR - 1, MIN_SHELL_OF_PRIOR, 9])
def test_the_prior_is_wieners_and_starts_at_its_first_shell(r):
    """A shell is multiplied by w / (w + 1 / (pad^2 T tau2)), here 2 / (2 + 2)."""
    x, y = frequencies()
    only = (round_half_away(np.hypot(x, y) / PAD) == r).ravel()
    data, weight = padded_spectra(shape_image(1, BOX)[None], BOX // 2) * only, np.full((1, ROWS * COLUMNS), 2.0)
    prior = np.full((1, BOX // 2 + 1), 1 / (2 * PAD**2))
    plain, held = (reconstruct(data, weight, BOX, BOX // 2, p) for p in (None, prior))
    factor = 0.5 if r >= MIN_SHELL_OF_PRIOR else 1.0
    np.testing.assert_allclose(held, factor * plain, atol=1e-12)
    assert np.abs(plain).max() > 1e-4


def test_thin_spots_in_the_weight_are_held_to_a_thousandth_of_their_ring():
    data, weight = np.zeros((1, ROWS * COLUMNS), complex), np.ones((1, ROWS * COLUMNS))
    at = 6 * COLUMNS + 4  # far enough out, alone
    data[0, at], weight[0, at] = 1.0, 1e-9
    bounded = reconstruct(data, weight, BOX, RADIUS)
    weight[0, at] = 1e-3 * 0.999
    np.testing.assert_allclose(bounded, reconstruct(data, weight, BOX, RADIUS), rtol=0.05, atol=1e-6 * bounded.max())
