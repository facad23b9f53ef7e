"""Windows of micrographs: the compiled loops against plain array operations, and laws of what is done to them."""

from __future__ import annotations

import numpy as np
import pytest

from winnow2d.numerics import fourier
from winnow2d.numerics.windows import Windowing, extracted, overlaps, processed

SEEDS = np.arange(99, dtype=np.uint64)


@pytest.fixture
def micrograph():
    return np.random.default_rng(1).normal(100, 10, (60, 80)).astype(np.float32)


def cut_plainly(micrograph, centre, box_px):
    """Return a window from a copy of the micrograph with its edge pixels repeated."""
    margin = 3 * box_px
    wide = np.pad(micrograph, margin, mode="edge")
    x, y = np.trunc(centre).astype(int) + margin - box_px // 2
    return wide[y : y + box_px, x : x + box_px]


def level_plainly(image, radius_px):
    """Return an image less the plane that fits its background best, of mean 0 and deviation 1 there."""
    axis = np.arange(len(image)) - len(image) // 2
    is_background = axis[:, None] ** 2 + axis**2 > radius_px**2
    y, x = np.nonzero(is_background)
    terms = np.stack([np.ones(len(x)), axis[x], axis[y]], axis=1)
    (c, a, b), *_ = np.linalg.lstsq(terms, image[is_background].astype(float), rcond=None)
    flat = image - (c + a * axis[None] + b * axis[:, None])
    return (flat - flat[is_background].mean()) / flat[is_background].std()


@pytest.mark.parametrize("box_px", [16, 30, 100])
def test_a_window_is_what_repeated_edge_pixels_give(micrograph, box_px):
    centres = np.array([[40.0, 30.0], [0.9, 0.9], [-0.9, 59.0], [79.0, 3.2], [-3.5, -4.5], [84, 66]])
    (images,) = extracted(micrograph, centres, Windowing(box_px, box_px, False), SEEDS)
    for image, centre in zip(images, centres, strict=True):
        assert np.array_equal(image, cut_plainly(micrograph, centre, box_px))


@pytest.mark.parametrize("radius_px", [3, 11, 15])
def test_levelling_is_a_least_squares_plane_and_a_division(micrograph, radius_px):
    centres = np.array([[40.0, 30.0], [20, 30], [50.2, 28.9]])
    (images,) = extracted(micrograph, centres, Windowing(32, 32, True, radius_px), SEEDS)
    for image, centre in zip(images, centres, strict=True):
        expected = level_plainly(cut_plainly(micrograph, centre, 32), radius_px)
        assert np.abs(image - expected).max() < 2e-6


def test_a_plane_added_to_a_micrograph_changes_nothing(micrograph):
    y, x = np.mgrid[:60, :80]
    centres, windowing = np.array([[40.0, 30.0]]), Windowing(32, 32, True, 12)
    (plain,) = extracted(micrograph, centres, windowing, SEEDS)
    (tilted,) = extracted((micrograph * 7 + 3 * x - 2 * y).astype(np.float32), centres, windowing, SEEDS)
    assert np.abs(plain - tilted).max() < 1e-4


def test_contrast_is_inverted_after_all_else(micrograph):
    centres = np.array([[40.0, 30.0], [3.0, 4.0]])
    for do_normalise, output_px in ((True, 32), (False, 32), (True, 16), (False, 16)):
        dark, light = (
            next(extracted(micrograph, centres, Windowing(32, output_px, do_normalise, 6, do_invert=sign), SEEDS))
            for sign in (True, False)
        )
        assert np.array_equal(dark, -light)


def test_a_flat_image_is_left_undivided():
    (images,) = extracted(np.full((40, 40), 7, np.float32), np.array([[20.0, 20.0]]), Windowing(16, 16, True, 6), SEEDS)
    assert np.array_equal(images, np.zeros((1, 16, 16)))


def test_how_many_are_worked_on_together_changes_no_byte(micrograph):
    centres = np.random.default_rng(2).uniform(0, 60, (300, 2))
    windowing = Windowing(96, 48, True, 18, 4.0, 4.0, True)
    whole = np.concatenate(list(extracted(micrograph, centres, windowing, np.arange(300, dtype=np.uint64))))
    for number in (0, 120, 299):
        one = slice(number, number + 1)
        (image,) = extracted(micrograph, centres[one], windowing, np.arange(300, dtype=np.uint64)[one])
        assert np.array_equal(image[0], whole[number])


def test_windows_wholly_outside_are_told():
    centres = np.array([[-7.0, 5], [-8, 5], [5, 67], [5, 68], [87, 67], [88, 5], [40, 30]])
    assert overlaps((60, 80), centres, 16).tolist() == [True, False, True, False, True, False, True]


def test_only_dust_is_replaced_and_only_on_its_side(micrograph):
    window = np.random.default_rng(3).normal(0, 1, (1, 32, 32)).astype(np.float32)
    window[0, 4, 5], window[0, 20, 9] = 50, -50
    for white, black, where in ((5, -1, [(4, 5)]), (-1, 5, [(20, 9)]), (5, 5, [(4, 5), (20, 9)]), (-1, -1, [])):
        got = processed(window.copy(), Windowing(32, 32, True, 11, white, black), SEEDS[:1])
        is_dust = np.zeros((32, 32), dtype=bool)
        for place in [(4, 5), (20, 9)]:
            is_dust[place] = place in where
        assert (np.abs(got[0][is_dust]) < 5).all()
        if not where:
            assert np.array_equal(got, processed(window.copy(), Windowing(32, 32, True, 11), SEEDS[:1]))


def test_noise_in_the_place_of_dust_is_that_of_the_seed_alone():
    window = np.random.default_rng(3).normal(0, 1, (1, 32, 32)).astype(np.float32)
    window[0, 4, 5] = 50
    windowing = Windowing(32, 32, True, 11, 5.0)
    first, again, other = (processed(window.copy(), windowing, np.array([seed])) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("box_px", "output_px"), [(32, 16), (30, 20), (16, 32), (32, 32)])
def test_rescaling_keeps_the_mean_and_what_is_slow(box_px, output_px):
    axis = np.arange(box_px) / box_px
    image = 3 + np.cos(2 * np.pi * (2 * axis[:, None] - 3 * axis))
    got = fourier.rescaled(image[None], output_px)[0]
    axis = np.arange(output_px) / output_px
    assert np.abs(got - (3 + np.cos(2 * np.pi * (2 * axis[:, None] - 3 * axis)))).max() < 1e-12
    assert fourier.rescaled(image[None].astype(np.float32), output_px).dtype == np.float32
