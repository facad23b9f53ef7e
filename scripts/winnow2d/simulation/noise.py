"""Coloured noise: counting noise of the camera, and the grain of the ice, which the microscope images too."""

from __future__ import annotations

import numpy as np

from winnow2d.numerics import fourier

ICE_POWER = 1.6  # of the ice grain at low frequency, in units of the counting noise, at thickness 1
ICE_FREQUENCY = 0.38  # 1/e**0.5 point of the ice grain's spectrum, in Nyquist frequencies
INELASTIC_POWER, INELASTIC_FREQUENCY = 3.0, 0.08  # the diffuse background, likewise
CAMERA_LOSS = 0.35  # of counting noise at Nyquist, by the camera's transfer


def noise_amplitude(frequency: np.ndarray, ctf: np.ndarray, ice_thickness: float) -> np.ndarray:
    """Return factors on the half spectrum that colour white noise and keep its variance per pixel.

    Parameters
    ----------
    frequency : (y, x // 2 + 1) array
        In units of the Nyquist frequency.
    ctf : (y, x // 2 + 1) array
        Of the micrograph; part of the ice grain shows it (Thon rings).
    ice_thickness : float
        1 is typical.
    """
    camera = 1 - CAMERA_LOSS * np.clip(frequency, 0, 1) ** 2
    grain = ICE_POWER * np.exp(-0.5 * (frequency / ICE_FREQUENCY) ** 2) * (0.4 + 0.6 * ctf**2)
    diffuse = INELASTIC_POWER * np.exp(-0.5 * (frequency / INELASTIC_FREQUENCY) ** 2)
    power = camera + ice_thickness * (grain + diffuse)
    weight = np.full(frequency.shape, 2.0)  # both Friedel mates
    weight[:, 0] = weight[:, -1] = 1.0
    return np.sqrt(power / np.average(power, weights=weight)).astype(np.float32)


def noise_spectra(n: int, amplitude: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Return half spectra (n, y, x // 2 + 1) of noise images with standard deviation `sigma` per pixel."""
    patch_px = amplitude.shape[0]
    white = rng.standard_normal((n, patch_px, patch_px), dtype=np.float32)
    return fourier.forward(white) * (amplitude * np.float32(sigma))
