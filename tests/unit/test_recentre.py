"""Class averages that a Select job centres, and the offsets of their particles."""

import numpy as np
from scipy.ndimage import map_coordinates

from synthetic import shape_image
from winnow2d.numerics.masks import positive_centre_of_mass
from winnow2d.selection.recentre import moves_to_centre, offsets_after, recentred


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


def averaged(images, psi_deg, offset_px):
    """The plain average of images, each read where its pose says, interpolated by cubic splines."""
    box = images.shape[-1]
    v, u = np.mgrid[:box, :box] - box // 2
    total = np.zeros((box, box))
    for image, psi, (ox, oy) in zip(images, np.deg2rad(psi_deg), offset_px, strict=True):
        x, y = np.cos(psi) * u + np.sin(psi) * v - ox, np.cos(psi) * v - np.sin(psi) * u - oy
        total += map_coordinates(image, [y + box // 2, x + box // 2], order=3)
    return total / len(images)


def test_particles_with_the_new_offsets_give_the_recentred_average(rng):
    """Shapes that lie beside the middle of their class; every sign of psi and of both axes matters."""
    n, box, pixel = 40, 64, 4.0
    beside = np.array([3.6, -5.2])  # of the class's frame
    psi_deg, offset_px = rng.uniform(-180, 180, n), rng.uniform(-3, 3, (n, 2))
    there = offsets_after(offset_px, psi_deg, np.tile(-beside, (n, 1)))
    images = np.array([shape_image(1, box, psi, tuple(o)) for psi, o in zip(psi_deg, there, strict=True)])
    before = averaged(images, psi_deg, offset_px)
    moves_px = moves_to_centre(before[None])
    assert np.hypot(*moves_px[0]) > 4
    after_ang = offsets_after(pixel * offset_px, psi_deg, np.tile(pixel * moves_px[0], (n, 1)))
    after = averaged(images, psi_deg, after_ang / pixel)
    expected = recentred(before[None])[0]
    assert np.abs(after - expected).max() < 0.04 * expected.max()  # bilinear beside cubic
    np.testing.assert_allclose(positive_centre_of_mass(after), 0, atol=0.03)
    for sign in (1, -1):  # turned the other way, or moved the wrong way: nothing like it
        wrong = offsets_after(offset_px, sign * psi_deg, np.tile(-sign * moves_px[0], (n, 1)))
        assert np.abs(averaged(images, psi_deg, wrong) - expected).max() > 0.3 * expected.max()


def test_an_average_that_is_no_picture_stays():
    averages = np.ones((2, 8, 8))
    averages[0, 3, 3] = np.nan
    averages[1] = -1
    assert not moves_to_centre(averages).any()
