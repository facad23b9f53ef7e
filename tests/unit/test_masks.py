"""Soft circles, solvent made flat, and the centre of mass."""

import numpy as np
import pytest

from winnow2d.numerics.grids import radius_map
from winnow2d.numerics.masks import fill_solvent, positive_centre_of_mass, soft_circle


def test_a_soft_circle_falls_outside_its_radius():
    mask, r = soft_circle(48, 12.0, 6.0), radius_map(48)
    assert (mask[r <= 12] == 1).all()
    assert (mask[r > 18] == 0).all()
    assert mask[24, 24 + 15] == pytest.approx(0.5)
    assert mask[24, 24 + 14] == pytest.approx(0.5 + 0.5 * np.cos(np.pi * 2 / 6))
    np.testing.assert_array_equal(mask[1:, 1:], mask[1:, 1:].T)


def test_solvent_becomes_the_average_of_the_surroundings(rng):
    images, mask = rng.normal(3, 1, (2, 32, 32)), soft_circle(32, 8.0, 4.0)
    filled = fill_solvent(images, mask)
    r = radius_map(32)
    np.testing.assert_allclose(filled[:, r <= 8], images[:, r <= 8])
    for image, out in zip(images, filled, strict=True):
        background = np.average(image, weights=1 - mask)
        assert background == pytest.approx(3, abs=0.2)  # not zero
        np.testing.assert_allclose(out[r > 12], background)
        soft = mask[16, 16 + 10]
        assert out[16, 26] == pytest.approx(soft * image[16, 26] + (1 - soft) * background)


def test_a_flat_image_stays_as_it_is():
    np.testing.assert_allclose(fill_solvent(np.full((1, 16, 16), 2.5), soft_circle(16, 4.0, 3.0)), 2.5)


def test_centre_of_mass_sees_positive_pixels_only():
    image = np.zeros((16, 16))
    image[8 + 2, 8 - 3] = 2.0  # y = 2, x = -3
    image[0, 0] = -50.0
    np.testing.assert_allclose(positive_centre_of_mass(image), [-3, 2])
    image[8 + 2, 8 + 3] = 2.0
    np.testing.assert_allclose(positive_centre_of_mass(image), [0, 2])


def test_an_image_without_positive_pixels_has_its_centre_in_the_middle():
    np.testing.assert_array_equal(positive_centre_of_mass(-np.ones((8, 8))), [0, 0])
