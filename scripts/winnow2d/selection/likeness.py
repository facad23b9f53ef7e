"""How much class averages look like each other, whatever their rotation, small shift and handedness.

In 2D there are no view angles, so two classes are taken for the same view when one average, turned, mirrored or moved
a little, correlates with the other. All turns are tried at once: on rings about the centre a rotation is a shift, and
the correlation over all shifts is a product of Fourier series.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from winnow2d.numerics.fourier import forward, inverse
from winnow2d.numerics.masks import positive_centre_of_mass, soft_circle
from winnow2d.selection.moments import DIAMETER_PX, resample

_LOWPASS_CYCLES = 10  # cycles per diameter (20 A for 200 A): what is finer, averages of few particles lack
_EDGE_CYCLES = 3
# Amplitudes are weighted by their frequency: they fall steeply, and without that all compact particles look alike.
_LEAST_WEIGHT = 0.5
_N_RINGS, _N_ANGLES = 20, 72
_SHIFTS_PX = (-1.5, 0.0, 1.5)  # on the common grid, about both axes
_ROWS_AT_ONCE = 32


def likeness(averages: np.ndarray, pixel_size_ang: float, diameter_ang: float) -> np.ndarray:
    """Return the best correlation of every two class averages over turns, mirror images and small shifts.

    Parameters
    ----------
    averages : (k, y, x) real array
        One that is no picture (NaN, or without contrast) is like none but itself.
    pixel_size_ang : float
    diameter_ang : float
        Of the circular mask; what lies outside does not count.

    Returns
    -------
    (k, k) float64 array
        Symmetric, at most 1, which is on the diagonal.
    """
    pictures = [_prepared(average, pixel_size_ang, diameter_ang) for average in averages]
    plain = np.stack([_waves(picture, (0.0, 0.0)) for picture in pictures])  # (k, m, r)
    shifts = [(x, y) for x in _SHIFTS_PX for y in _SHIFTS_PX]
    moved = np.stack([_waves(picture, shift) for picture in pictures for shift in shifts])  # (k * shifts, m, r)
    best = np.empty((len(pictures), len(pictures)))
    for start in range(0, len(pictures), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        best[rows] = _best_of_turns(plain[rows], moved).reshape(-1, len(pictures), len(shifts)).max(axis=2)
    best = np.minimum(np.maximum(best, best.T), 1.0)
    np.fill_diagonal(best, 1.0)
    return best


def _best_of_turns(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """Return the best correlation (a, b) of waves (a, m, r) and (b, m, r) over angles, mirrored or not."""
    left = these.transpose(1, 0, 2)
    right = those.transpose(1, 2, 0)
    found = [left @ right.conj(), left @ right]  # (m, a, b); a mirror image has the conjugate waves
    return np.maximum(*(np.fft.irfft(product, _N_ANGLES, axis=0).max(axis=0) for product in found))


def _prepared(average: np.ndarray, pixel_size_ang: float, diameter_ang: float) -> np.ndarray:
    """Return an average (y, x) on the common grid, smoothed and weighted, its mass in the middle; zeros for NaN."""
    if not np.isfinite(average).all():
        return np.zeros((DIAMETER_PX, DIAMETER_PX))
    picture = resample(average, pixel_size_ang, diameter_ang)
    n = len(picture)
    ky, kx = np.fft.fftfreq(n) * n, np.arange(n // 2 + 1)
    cycles = np.hypot(ky[:, None], kx[None, :]) * DIAMETER_PX / n
    beyond = np.clip((cycles - _LOWPASS_CYCLES) / _EDGE_CYCLES, 0, 1)
    mask = soft_circle(n, DIAMETER_PX / 2, 3.0)
    picture = inverse(forward(picture) * (0.5 + 0.5 * np.cos(np.pi * beyond)), n)
    picture = (picture - np.median(picture)) * mask
    centre = positive_centre_of_mass(picture)
    picture = inverse(forward(picture) * np.maximum(cycles, _LEAST_WEIGHT), n) * mask
    return ndimage.shift(picture, -centre[::-1], order=1)


def _waves(picture: np.ndarray, shift_px: tuple[float, float]) -> np.ndarray:
    """Return the Fourier series along rings (m, r) of a picture moved by (x, y), for correlation by products.

    Summed over rings, the product of the series of two pictures has a correlation coefficient for every turn.
    """
    radius = (np.arange(_N_RINGS) + 0.5) / _N_RINGS * DIAMETER_PX / 2
    angle = 2 * np.pi * np.arange(_N_ANGLES) / _N_ANGLES
    centre = len(picture) // 2
    x = centre - shift_px[0] + radius[:, None] * np.cos(angle)
    y = centre - shift_px[1] + radius[:, None] * np.sin(angle)
    rings = ndimage.map_coordinates(picture, [y, x], order=1)
    rings = (rings - np.average(rings.mean(axis=1), weights=radius)) * np.sqrt(radius)[:, None]
    norm = np.sqrt((rings**2).sum())
    rings = rings / norm if norm > 0 else np.zeros_like(rings)
    return np.fft.rfft(rings, axis=1).T.astype(np.complex64)
