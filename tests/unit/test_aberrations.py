"""Zernike polynomials in RELION's order, and what they are in the older terms: Cs, defocus, phase plate, beam tilt."""

import numpy as np
import pytest

from winnow2d.numerics.aberrations import even_phase, magnified, odd_phase, zernike, zernike_order
from winnow2d.numerics.ctf import ctf_values, electron_wavelength_ang

KV, CS_MM = 200.0, 2.7
X, Y = (axis.ravel() for axis in np.meshgrid(np.linspace(-0.2, 0.2, 13), np.linspace(-0.2, 0.2, 11)))
RADIUS, AZIMUTH = np.hypot(X, Y), np.arctan2(Y, X)


def test_the_order_of_the_coefficients():
    even = [zernike_order(index, False) for index in range(9)]
    assert even == [(0, 0), (2, -2), (2, 0), (2, 2), (4, -4), (4, -2), (4, 0), (4, 2), (4, 4)]
    odd = [zernike_order(index, True) for index in range(6)]
    assert odd == [(1, -1), (1, 1), (3, -3), (3, -1), (3, 1), (3, 3)]
    assert zernike_order(9, False) == (6, -6)
    assert zernike_order(6, True) == (5, -5)


@pytest.mark.parametrize(
    ("n", "m", "expected"),
    [
        (0, 0, np.ones_like(RADIUS)),
        (1, -1, Y),
        (1, 1, X),
        (2, 0, 2 * RADIUS**2 - 1),
        (2, -2, RADIUS**2 * np.sin(2 * AZIMUTH)),
        (2, 2, X**2 - Y**2),
        (3, -1, (3 * RADIUS**3 - 2 * RADIUS) * np.sin(AZIMUTH)),
        (3, 3, RADIUS**3 * np.cos(3 * AZIMUTH)),
        (4, 0, 6 * RADIUS**4 - 6 * RADIUS**2 + 1),
        (4, 2, (4 * RADIUS**4 - 3 * RADIUS**2) * np.cos(2 * AZIMUTH)),
    ],
)
def test_polynomials_against_their_formulas(n, m, expected):
    np.testing.assert_allclose(zernike(n, m, X, Y), expected, atol=1e-15)


@pytest.mark.parametrize(("n", "m"), [(2, -2), (4, 2), (3, 1), (5, -3), (6, 0)])
def test_polynomials_are_one_at_radius_one_and_orthogonal(n, m):
    """Radial parts end at 1; the mean of a product over the disc vanishes for different ones."""
    at = np.pi / (2 * abs(m)) * (m < 0) if m else 0.0
    assert zernike(n, m, np.array([np.cos(at)]), np.array([np.sin(at)]))[0] == pytest.approx(1)
    axis = np.linspace(-1, 1, 801)
    x, y = (part.ravel() for part in np.meshgrid(axis, axis))
    inside = x**2 + y**2 <= 1
    product = zernike(n, m, x[inside], y[inside]) * zernike(n - 2 if n > abs(m) else n + 2, m, x[inside], y[inside])
    assert abs(product.mean()) < 1e-3


def ctf(cs_mm=CS_MM, even=(), defocus=(9000.0, 9000.0, 0.0), **more):
    return ctf_values(X, Y, *defocus, KV, cs_mm, 0.1, even_phase_rad=even_phase(X, Y, even), **more)


def test_spherical_aberration_is_an_even_aberration():
    """r**4 = (Z40 + 3 Z20 + 2 Z00) / 6."""
    c = np.pi / 2 * CS_MM * 1e7 * electron_wavelength_ang(KV) ** 3
    even = np.zeros(9)
    even[[0, 2, 6]] = c / 3, c / 2, c / 6
    np.testing.assert_allclose(ctf(0.0, even), ctf(), atol=1e-9)
    assert np.abs(ctf(0.0) - ctf()).max() > 0.1


def test_defocus_and_astigmatism_are_even_aberrations():
    """U along the angle a: -pi lambda ((U + V) / 2 r**2 + (U - V) / 2 r**2 cos(2 (phi - a)))."""
    u, v, angle_deg = 12000.0, 7000.0, 25.0
    factor, angle = -np.pi * electron_wavelength_ang(KV), np.deg2rad(angle_deg)
    mean, half = factor * (u + v) / 2, factor * (u - v) / 2
    even = [mean / 2, half * np.sin(2 * angle), mean / 2, half * np.cos(2 * angle)]
    np.testing.assert_allclose(ctf(even=even, defocus=(0.0, 0.0, 0.0)), ctf(defocus=(u, v, angle_deg)), atol=1e-9)


def test_a_phase_plate_is_an_even_aberration():
    np.testing.assert_allclose(ctf(even=[-np.pi / 2]), ctf(phase_shift_deg=90.0), atol=1e-12)


def test_a_tilted_beam_is_an_odd_aberration():
    """Coma of -2 pi Cs lambda**2 t r**3 along the tilt: r**3 cos = (Z31 + 2 Z11) / 3."""
    tilt = (3.0, -7.0)
    c = -2 * np.pi * CS_MM * 1e7 * electron_wavelength_ang(KV) ** 2 * 1e-3 * np.array(tilt) / 3
    odd = [2 * c[1], 2 * c[0], 0, c[1], c[0]]
    by_tilt = odd_phase(X, Y, (), tilt, KV, CS_MM)
    np.testing.assert_allclose(by_tilt, odd_phase(X, Y, odd, (0.0, 0.0), KV, CS_MM), atol=1e-12)
    along = (X * tilt[0] + Y * tilt[1]) / np.hypot(*tilt)
    expected = -2 * np.pi * CS_MM * 1e7 * electron_wavelength_ang(KV) ** 2 * 1e-3 * np.hypot(*tilt) * RADIUS**2 * along
    np.testing.assert_allclose(by_tilt, expected, atol=1e-12)
    assert np.abs(by_tilt).max() > 0.5


def test_odd_phases_are_odd_and_even_ones_even():
    odd, even = np.arange(1.0, 13), np.arange(1.0, 10)
    for phase, coefficients, sign in ((odd_phase, odd, -1), (even_phase, even, 1)):
        more = ((1.0, 2.0), KV, CS_MM) if phase is odd_phase else ()
        np.testing.assert_allclose(
            phase(-X, -Y, coefficients, *more), sign * phase(X, Y, coefficients, *more), atol=1e-9
        )


def test_magnification_multiplies_frequencies():
    kx, ky = magnified(X, Y, (1.1, 0.2, -0.3, 0.9))
    np.testing.assert_allclose(np.stack([kx, ky]), np.array([[1.1, 0.2], [-0.3, 0.9]]) @ np.stack([X, Y]))
