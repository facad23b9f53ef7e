"""Which way a particle is turned and shifted: the worked example that relion_project gives."""

import numpy as np
import pytest

from winnow2d.numerics import fourier
from winnow2d.numerics.grids import half_plane
from winnow2d.numerics.kernels.backproject import rotate_one
from winnow2d.numerics.projector import padded_spectra
from winnow2d.numerics.rotation import PAD, padded_shape, rotation_table

BOX = 32
PLANE = half_plane(BOX)
N_PX = PLANE.n_within(BOX / 2 - 1)


def spots(a, b):
    """Return an image with a high spot at a and a low one at b, (x, y) px from the centre."""
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    return sum(h * np.exp(-((x - p[0]) ** 2 + (y - p[1]) ** 2) / 4.5) for p, h in ((a, 1.0), (b, 0.5)))


def turned(reference, psi_deg, offset_px=(0.0, 0.0)):
    """Return the particle image X(r) = A(R(psi)(r + o)) of a reference."""
    table = rotation_table(PLANE, N_PX, np.array([psi_deg]), np.dtype(np.float64))
    re, im = np.empty((1, N_PX)), np.empty((1, N_PX))
    rotate_one(padded_spectra(reference[None], BOX // 2 - 1)[0], table.index, table.fraction, table.sign, re, im)
    phases = fourier.shift_phases(PLANE.kx[:N_PX], PLANE.ky[:N_PX], -np.array([offset_px]), BOX)[0]
    half = np.zeros(BOX * (BOX // 2 + 1), complex)
    half[PLANE.flat_index[:N_PX]] = (re + 1j * im)[0] * phases * PLANE.sign[:N_PX]
    half = half.reshape(BOX, -1)
    rows = np.arange(1, BOX)
    half[BOX - rows, 0] = np.where(half[BOX - rows, 0] == 0, np.conj(half[rows, 0]), half[BOX - rows, 0])
    return fourier.inverse(half, BOX)


@pytest.mark.parametrize(
    ("psi", "offset", "a", "b"),
    [
        (0, (0, 0), (6, 0), (0, 4)),
        (90, (0, 0), (0, -6), (4, 0)),
        (30, (0, 0), (5.196, -3), (2, 3.464)),
        (0, (3, -2), (3, 2), (-3, 6)),
        (90, (3, -2), (-3, -4), (1, 2)),
    ],
)
def test_pose_signs(psi, offset, a, b):
    seen, expected = turned(spots((6, 0), (0, 4)), psi, offset), spots(a, b)
    assert np.corrcoef(seen.ravel(), expected.ravel())[0, 1] > 0.999
    assert np.unravel_index(seen.argmax(), seen.shape) == tuple(np.rint(np.array(a[::-1])).astype(int) + BOX // 2)


def test_the_other_sign_of_rotation_is_told_apart():
    assert np.corrcoef(turned(spots((6, 0), (0, 4)), 90).ravel(), spots((0, 6), (-4, 0)).ravel())[0, 1] < 0.1


@pytest.mark.parametrize("psi", [0.0, 17.0, 90.0, 123.4])
def test_half_a_turn_is_the_conjugate(rng, psi):
    spectrum = padded_spectra(rng.normal(size=(1, BOX, BOX)), 12)[0]
    table = rotation_table(PLANE, N_PX, np.array([psi, psi + 180]), np.dtype(np.float64))
    re, im = np.empty((2, N_PX)), np.empty((2, N_PX))
    rotate_one(spectrum, table.index, table.fraction, table.sign, re, im)
    np.testing.assert_allclose(re[1], re[0], atol=1e-14)
    np.testing.assert_allclose(im[1, 1:], -im[0, 1:], atol=1e-14)


def test_a_table_stays_inside_the_padded_array():
    table = rotation_table(half_plane(16), len(half_plane(16).kx), np.arange(0, 360, 7.3), np.dtype(np.float32))
    rows, columns = padded_shape(16)
    assert (rows, columns) == (PAD * 16, 16 + 2)
    assert table.index.min() >= 0
    assert table.index.max() + 1 < rows * columns
    assert (table.index % columns).max() < columns - 1  # the right neighbour is on the same row
    assert table.fraction.min() >= 0
    assert table.fraction.max() <= 1
