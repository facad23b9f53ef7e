"""Aberrations of the objective lens beyond defocus and Cs: Zernike polynomials, beam tilt, magnification.

Coefficients are RELION's: radians, polynomials of the frequency itself in 1/Angstrom (an aperture of 1/A), with
radial polynomials that are 1 at radius 1. Even ones, in the order (n, m) = (0, 0), (2, -2), (2, 0), (2, 2),
(4, -4), ..., add to the argument of the transfer function. Odd ones, in the order (1, -1), (1, 1), (3, -3), (3, -1),
(3, 1), (3, 3), ..., turn the phases of the image. Negative m go with the sine, the others with the cosine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .arrays import array_module
from .ctf import electron_wavelength_ang

Array = Any


def zernike_order(index: int, is_odd: bool) -> tuple[int, int]:
    """Return (n, m) of the coefficient at a place in RELION's list of even or odd ones."""
    n = int(is_odd)
    while index > n:
        index -= n + 1
        n += 2
    return n, 2 * index - n


def zernike(n: int, m: int, x: Array, y: Array) -> Array:
    """Return the Zernike polynomial (n, m) at points x, y."""
    xp = array_module(x)
    radius2, azimuth = x**2 + y**2, xp.arctan2(y, x)
    order = abs(m)
    radial = xp.zeros_like(radius2)
    for k in range((n - order) // 2 + 1):
        numerator = (-1) ** k * math.factorial(n - k)
        denominator = math.factorial(k) * math.factorial((n + order) // 2 - k) * math.factorial((n - order) // 2 - k)
        radial = radial + numerator / denominator * radius2 ** (n / 2 - k)
    return radial * (xp.cos(order * azimuth) if m >= 0 else xp.sin(order * azimuth))


def _sum(coefficients: Sequence[float], is_odd: bool, x: Array, y: Array) -> Array:
    """Return the sum of all polynomials at points x, y."""
    total = array_module(x).zeros(x.shape)
    for index, coefficient in enumerate(coefficients):
        if coefficient != 0:
            total = total + coefficient * zernike(*zernike_order(index, is_odd), x, y)
    return total


def even_phase(kx_per_ang: Array, ky_per_ang: Array, even_zernike: Sequence[float]) -> Array:
    """Return what even coefficients add to the argument gamma of the transfer function, (p,) in rad."""
    return _sum(even_zernike, False, kx_per_ang, ky_per_ang)


def odd_phase(
    kx_per_ang: Array,
    ky_per_ang: Array,
    odd_zernike: Sequence[float],
    beam_tilt_mrad: tuple[float, float],
    voltage_kv: float,
    spherical_aberration_mm: float,
) -> Array:
    """Return the phase (p,) in rad by which odd aberrations and a tilted beam turn the Fourier pixels of images.

    Parameters
    ----------
    kx_per_ang, ky_per_ang : (p,) arrays
    odd_zernike : coefficients in rad
    beam_tilt_mrad : x, y
        Tilt t subtracts 2 pi Cs lambda**2 |k|**2 (k . t): coma, that is the polynomials (3, -1) and (3, 1) with
        twice as much of (1, -1) and (1, 1), so that nothing but |k|**3 is left.
    """
    phase = _sum(odd_zernike, True, kx_per_ang, ky_per_ang)
    if any(beam_tilt_mrad):
        cs_ang, tilt = spherical_aberration_mm * 1e7, [1e-3 * component for component in beam_tilt_mrad]
        factor = 2 * math.pi * cs_ang * float(electron_wavelength_ang(voltage_kv)) ** 2
        along = kx_per_ang * tilt[0] + ky_per_ang * tilt[1]
        phase = phase - factor * (kx_per_ang**2 + ky_per_ang**2) * along
    return phase


def magnified(kx: Array, ky: Array, matrix: Sequence[float]) -> tuple[Array, Array]:
    """Return frequencies multiplied by the magnification matrix (elements 00, 01, 10, 11)."""
    m00, m01, m10, m11 = matrix
    return m00 * kx + m01 * ky, m10 * kx + m11 * ky
