"""Class averages that a Select job centres."""

import numpy as np

from winnow2d.numerics.masks import positive_centre_of_mass
from winnow2d.selection.recentre import recentred


def test_the_centre_of_mass_comes_to_the_middle_and_nothing_is_lost():
    y, x = np.mgrid[:32, :32]
    centres = ((16, 16), (20.4, 9.3), (11, 18.75))
    averages = np.stack([np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 8) for cx, cy in centres])
    moved = recentred(averages.astype(np.float32))
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved.sum(axis=(1, 2)), averages.sum(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(moved[0], averages[0], atol=1e-5)
    for image in moved:
        np.testing.assert_allclose(positive_centre_of_mass(image), 0, atol=2e-3)
        assert np.unravel_index(image.argmax(), image.shape) == (16, 16)


def test_what_leaves_on_one_side_comes_in_on_the_other():
    image = np.zeros((1, 8, 8))
    image[0, 4, 4:7] = 2.0
    image[0, 0, 0] = -1.0  # not counted
    moved = recentred(image)[0]
    np.testing.assert_array_equal(moved[4, 3:6], 2.0)
    assert moved[0, 7] == -1.0
