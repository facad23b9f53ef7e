"""What an image says by itself, whatever its pose: its power per shell, for noise, likelihood and norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from winnow2d.numerics.arrays import array_module, to_host
from winnow2d.numerics.grids import HalfPlane

from .images import Spectra

if TYPE_CHECKING:
    from .expectation import Comparison


def _windowed_power(spectra: Spectra, plane: HalfPlane, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return power (n, r) and pixel count (r,) of the shells inside a window, whose row ky = -size / 2 is missing."""
    half = size_px // 2
    power = spectra.power[:, : half + 1].copy()
    counts = np.bincount(plane.shell, minlength=plane.n_shells)[: half + 1].astype(np.float64)
    if size_px < plane.box_px:
        outside = plane.outside_window(size_px)
        cut = to_host(spectra.masked[:, array_module(spectra.masked).asarray(outside)])
        cut = np.ascontiguousarray(cut).astype(np.complex128)  # one particle is to be summed up like many
        power[:, half] -= (cut.real**2 + cut.imag**2).sum(axis=1)
        counts[half] -= len(outside)
    return power, counts


def own_terms(
    compared: Comparison, spectra: Spectra, sigma2: np.ndarray, values: np.ndarray, residual: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return noise (n, s), log-likelihood (n,) and relative norm correction (n,) from the images' own power."""
    half, fine_half = compared.size_px // 2, compared.fine_size_px // 2
    windowed, counts = _windowed_power(spectra, compared.plane, compared.size_px)
    noise = spectra.power.copy()
    noise[:, : half + 1] = values[:, 2:3] * windowed + residual[:, : half + 1]
    high = spectra.power[:, half + 1 :].sum(axis=1)
    power, _ = _windowed_power(spectra, compared.plane, compared.fine_size_px)
    own = 0.5 * high + 0.5 * (power[:, 1:] / sigma2[:, 1 : fine_half + 1]).sum(axis=1)
    entropy = (counts[1:] * np.log(2 * np.pi * sigma2[:, 1 : half + 1])).sum(axis=1)
    norm2 = 2 * (noise[:, : half + 1].sum(axis=1) + high)
    return noise, values[:, 1] - own - entropy, np.sqrt(np.maximum(norm2, 0))
