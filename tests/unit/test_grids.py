"""The half plane: every frequency once, sorted by radius, where a real transform keeps it."""

import numpy as np
import pytest

from winnow2d.numerics.grids import half_plane, radius_map
from winnow2d.numerics.shells import round_half_away

BOXES = [8, 16, 48]


@pytest.mark.parametrize("box", BOXES)
def test_every_frequency_or_its_mate_is_listed(box):
    plane = half_plane(box)
    listed = set(zip(plane.kx.tolist(), plane.ky.tolist(), strict=True))
    half = box // 2
    for ky in range(-half + 1, half + 1):
        for kx in range(-half + 1, half + 1):
            if round_half_away(np.hypot(kx, ky)) <= half:
                mate = (-kx, -ky) if -ky > -half else (-kx, half)  # the row -N/2 is the row N/2
                assert ((kx, ky) in listed) + (mate in listed and mate != (kx, ky)) >= 1
    assert len(listed) == len(plane.kx)
    assert plane.kx.min() == 0
    assert plane.ky[plane.kx == 0].min() == 0
    # strictly inside no frequency stands beside its mate
    inside = {k for k in listed if k[0] < half and k[1] < half}
    assert not any((-kx, -ky) in inside for kx, ky in inside if (kx, ky) != (0, 0))


@pytest.mark.parametrize("box", BOXES)
def test_every_radius_is_a_prefix(box):
    plane = half_plane(box)
    radius = np.hypot(plane.kx, plane.ky)
    assert (np.diff(radius) >= 0).all()
    assert radius[0] == 0
    np.testing.assert_array_equal(plane.shell, round_half_away(radius))
    for limit in (0, 1, 2.5, box / 2):
        assert plane.n_within(limit) == (radius <= limit).sum()


def test_flat_index_finds_a_wave_and_the_sign_moves_the_origin():
    box, plane = 16, half_plane(16)
    y, x = np.mgrid[:box, :box] - box // 2
    for kx, ky in ((3, 0), (0, 5), (2, -4), (5, 6)):
        wave = np.cos(2 * np.pi * (kx * x + ky * y) / box)
        spectrum = np.fft.rfft2(wave, norm="forward").ravel()[plane.flat_index] * plane.sign
        here = (plane.kx == kx) & (plane.ky == ky)
        assert spectrum[here][0] == pytest.approx(0.5)  # not -0.5: the origin is pixel (N/2, N/2)
        np.testing.assert_allclose(spectrum[~here], 0, atol=1e-12)


def test_a_window_lacks_its_lowest_row():
    plane = half_plane(32)
    cut = plane.outside_window(20)
    assert set(plane.ky[cut]) == {-10}
    assert set(plane.shell[cut]) == {10}
    assert len(cut) == sum(round_half_away(np.hypot(kx, 10)) == 10 for kx in range(1, 11))


def test_distances_from_the_centre():
    radius = radius_map(6)
    assert radius[3, 3] == 0
    assert radius[3, 0] == 3
    assert radius[1, 3] == 2
