"""The contrast transfer function at given frequencies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import array_module

Array = Any


def electron_wavelength_ang(voltage_kv: float) -> float:
    """Return the relativistic wavelength of electrons in Angstrom (300 kV: 0.0197)."""
    volts = voltage_kv * 1e3
    return 12.2643247 / np.sqrt(volts * (1 + 0.978466e-6 * volts))


def half_turns(
    defocus_u_ang: np.ndarray,
    defocus_v_ang: np.ndarray,
    defocus_angle_deg: np.ndarray,
    voltage_kv: float,
    spherical_aberration_mm: float,
    amplitude_contrast: float,
    phase_shift_deg: np.ndarray,
) -> np.ndarray:
    """Return gamma / pi of `ctf_values` for particles (n,): factors of kx**2, kx * ky, ky**2, |k|**4 and 1, (n, 5)."""
    wavelength = float(electron_wavelength_ang(voltage_kv))
    angle = np.deg2rad(defocus_angle_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    turns = np.empty((len(defocus_u_ang), 5))
    turns[:, 0] = -wavelength * (defocus_u_ang * cos**2 + defocus_v_ang * sin**2)
    turns[:, 1] = -2 * wavelength * cos * sin * (defocus_u_ang - defocus_v_ang)
    turns[:, 2] = -wavelength * (defocus_u_ang * sin**2 + defocus_v_ang * cos**2)
    turns[:, 3] = spherical_aberration_mm * 1e7 * wavelength**3 / 2
    contrast_phase = math.atan2(amplitude_contrast, math.sqrt(1 - amplitude_contrast**2))
    turns[:, 4] = -(phase_shift_deg / 180 + contrast_phase / math.pi)
    return turns


def ctf_values(
    kx_per_ang: Array,
    ky_per_ang: Array,
    defocus_u_ang: Array,
    defocus_v_ang: Array,
    defocus_angle_deg: Array,
    voltage_kv: float,
    spherical_aberration_mm: float,
    amplitude_contrast: float,
    phase_shift_deg: Array = 0.0,
    bfactor_ang2: Array = 0.0,
    scale: Array = 1.0,
    intact_first_peak: bool = False,
    even_phase_rad: Array = 0.0,
) -> Array:
    """Return the transfer function; parameters of shape (n, 1) against frequencies (p,) give (n, p).

    Parameters
    ----------
    kx_per_ang, ky_per_ang : arrays
        Spatial frequency in 1/Angstrom, x along columns.
    defocus_u_ang, defocus_v_ang, defocus_angle_deg : arrays
        Largest and smallest defocus (positive: underfocus) and the angle of the first to the x axis.
    phase_shift_deg, bfactor_ang2, scale : arrays
        Phase plate, envelope exp(-B f**2 / 4), and factor.
    intact_first_peak : bool
        Take 1 instead of the sine up to the first peak.
    even_phase_rad : array
        What symmetrical aberrations add to gamma, (p,); see `aberrations.even_phase`.

    Notes
    -----
    White particles: the value at the origin is +amplitude_contrast. Source: `src/ctf.cpp` of RELION,
    restated in gamma = -pi lambda q + pi/2 Cs lambda^3 f^4 - phase - atan(Q0 / sqrt(1 - Q0^2)).
    Values closer to zero than 1e-8 are moved there, as RELION does, so that nothing divides by zero.
    """
    xp = array_module(kx_per_ang)
    wavelength = float(electron_wavelength_ang(voltage_kv))
    cs_ang = spherical_aberration_mm * 1e7
    angle = xp.deg2rad(xp.asarray(defocus_angle_deg))
    cos, sin = xp.cos(angle), xp.sin(angle)
    along, across = cos * kx_per_ang + sin * ky_per_ang, -sin * kx_per_ang + cos * ky_per_ang
    f2 = kx_per_ang**2 + ky_per_ang**2
    q = defocus_u_ang * along**2 + defocus_v_ang * across**2
    contrast_phase = math.atan2(amplitude_contrast, math.sqrt(1 - amplitude_contrast**2))
    gamma = -np.pi * wavelength * q + np.pi / 2 * cs_ang * wavelength**3 * f2**2
    gamma = gamma - xp.deg2rad(xp.asarray(phase_shift_deg)) - contrast_phase + even_phase_rad
    values = -xp.sin(gamma)
    if intact_first_peak:
        values = xp.where(xp.abs(gamma) < np.pi / 2, 1.0, values)
    values = values * xp.exp(-xp.asarray(bfactor_ang2) * f2 / 4) * scale
    return xp.where(xp.abs(values) < 1e-8, xp.where(values < 0, -1e-8, 1e-8), values)
