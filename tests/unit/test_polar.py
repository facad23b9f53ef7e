import numpy as np
import pytest

import selection_cases as cases
from winnow2d.selection.moments import picture_of
from winnow2d.selection.polar import N_ANGLES, N_RADII, polar_pictures, radial_streaks, resemblance

SIZE_PX, RADIUS_PX = 64, 24.0


def polar_of(*pictures):
    return polar_pictures(np.stack(pictures), RADIUS_PX)


def solvent_everywhere(polar):
    return np.ones(polar.shape, bool)


def angles_and_radii():
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX] - SIZE_PX // 2
    return np.arctan2(y, x), np.hypot(y, x)


def test_a_ring_is_a_row_of_the_polar_picture():
    _, radius = angles_and_radii()
    polar = polar_of(np.exp(-0.5 * ((radius - 12) / 1.5) ** 2))[0]
    assert polar.shape == (N_RADII, N_ANGLES)
    assert abs((polar.mean(axis=1).argmax() + 0.5) / N_RADII * RADIUS_PX - 12) < 1.1
    assert polar.std(axis=1).max() < 0.1


def test_streaks_along_rays_count_and_rings_and_noise_do_not():
    angle, radius = angles_and_radii()
    noise = np.random.default_rng(1).normal(size=(SIZE_PX, SIZE_PX))
    polar = polar_of(np.cos(11 * angle), np.cos(radius), noise, 0 * noise)
    streaks = radial_streaks(polar, solvent_everywhere(polar))
    assert streaks[0] > 0.9
    assert (streaks[1:] < 0.2).all()


def test_streaks_are_not_looked_for_where_the_protein_is():
    angle, _ = angles_and_radii()
    polar = polar_of(np.cos(11 * angle))
    assert radial_streaks(polar, ~solvent_everywhere(polar)).tolist() == [0]


def test_a_turned_or_mirrored_average_resembles_the_first_and_noise_does_not():
    shown = picture_of(cases.protein(*cases.grid(64)), cases.BOX_ANG / 64, cases.DIAMETER_ANG).density
    noise = np.random.default_rng(2).normal(size=shown.shape)
    found = resemblance(polar_pictures(np.stack([shown, np.rot90(shown), shown.T, noise]), 24.0))
    assert found[0, 1] > 0.9
    assert found[0, 2] > 0.9
    assert found[0, 3] < 0.5
    np.testing.assert_allclose(np.diag(found), 1, atol=1e-9)
    np.testing.assert_allclose(found, found.T)


def test_an_average_without_contrast_resembles_nothing():
    found = resemblance(
        polar_of(np.zeros((SIZE_PX, SIZE_PX)), np.random.default_rng(3).normal(size=(SIZE_PX, SIZE_PX)))
    )
    assert found[0].tolist() == [0, 0]
    assert found[1, 1] == pytest.approx(1)
