"""Class averages in polar coordinates: streaks along the radius, profiles, and how much classes resemble each other."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

N_RADII, N_ANGLES = 24, 64
_OUTER = 0.6  # of the mask radius: streaks are looked for from here to the mask's rim
_FEWEST = 0.5  # part of a ray that has to be solvent for it to count


def polar_grid(size_px: int, radius_px: float) -> np.ndarray:
    """Return y and x (2, r, angle) in an image of `size_px`, rays from the centre to `radius_px`."""
    radius = (np.arange(N_RADII) + 0.5) / N_RADII * radius_px
    angle = 2 * np.pi * np.arange(N_ANGLES) / N_ANGLES
    centre = size_px // 2
    return centre + radius[:, None] * np.stack([np.sin(angle), np.cos(angle)])[:, None, :]


def polar_pictures(pictures: np.ndarray, radius_px: float) -> np.ndarray:
    """Return pictures (k, y, x) as (k, r, angle), interpolated linearly."""
    grid = polar_grid(pictures.shape[-1], radius_px)
    return np.stack([ndimage.map_coordinates(picture, grid, order=1, mode="nearest") for picture in pictures])


def radial_streaks(polar: np.ndarray, is_solvent: np.ndarray) -> np.ndarray:
    """Return which part of the solvent's variance runs along rays (k,), 0 to 1.

    Parameters
    ----------
    polar : (k, r, angle)
    is_solvent : (k, r, angle) bool

    Returns
    -------
    (k,) float array
        Variance over angles of the mean of a ray, divided by the variance of the single values: 1 for streaks from
        the protein to the rim, about 1 / (independent values of a ray) for noise; 0 where less than a quarter of all
        rays lie in solvent.
    """
    outer = np.arange(N_RADII) >= _OUTER * N_RADII
    weight = is_solvent[:, outer].astype(np.float64)
    value = polar[:, outer]
    level = (value * weight).sum(axis=(1, 2)) / np.maximum(weight.sum(axis=(1, 2)), 1)
    value = (value - level[:, None, None]) * weight
    length = weight.sum(axis=1)  # (k, angle)
    counts = length >= _FEWEST * outer.sum()
    ray = np.where(counts, value.sum(axis=1) / np.maximum(length, 1), 0.0)
    single = (value**2).sum(axis=(1, 2)) / np.maximum(weight.sum(axis=(1, 2)), 1)
    along = (ray**2).sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
    usable = (counts.sum(axis=1) >= N_ANGLES / 4) & (single > 0)
    return np.where(usable, along / np.where(single > 0, single, 1.0), 0.0).clip(0, 1)


def profile_differences(polar: np.ndarray, contrast: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return how the mean density by radius differs from the typical class's.

    Parameters
    ----------
    polar : (k, r, angle), standard deviation 1 inside the mask
    contrast : (k,), that standard deviation in the job's grey scale
    weights : (k,), how much each class counts for the typical one

    Returns
    -------
    dict of (k,) float arrays
        `profile_difference`: root of the squared difference by that of the typical profile itself, 0 for the typical
        class, at most 5; `profile_resemblance`: their cosine, whatever the contrast.
    """
    area = np.sqrt(np.arange(N_RADII) + 0.5)
    profile = polar.mean(axis=2) * contrast[:, None] * area
    total = weights.sum()
    typical = (profile * weights[:, None]).sum(axis=0) / total if total > 0 else profile.mean(axis=0)
    size, sizes = np.linalg.norm(typical), np.linalg.norm(profile, axis=1)
    if not size > 0:
        return {"profile_difference": np.zeros(len(polar)), "profile_resemblance": np.zeros(len(polar))}
    away = np.linalg.norm(profile - typical, axis=1) / size
    cosine = profile @ typical / (size * np.where(sizes > 0, sizes, 1.0))
    return {"profile_difference": away.clip(0, 5), "profile_resemblance": cosine}


def resemblance(polar: np.ndarray) -> np.ndarray:
    """Return the best correlation (k, k) of each average with each other one, turned and maybe mirrored.

    Symmetric; 1 on the diagonal, 0 for an average without contrast. Only turns about the centre are tried, in
    steps of 1 / N_ANGLES.
    """
    k = len(polar)
    area = (np.arange(N_RADII) + 0.5)[None, :, None]
    centred = polar - (polar * area).sum(axis=(1, 2), keepdims=True) / (area.sum() * N_ANGLES)
    centred = centred * np.sqrt(area)
    norm = np.sqrt((centred**2).sum(axis=(1, 2)))
    centred = centred / np.where(norm > 0, norm, 1.0)[:, None, None]
    waves = np.fft.rfft(centred, axis=2)  # (k, r, m)
    by_wave = np.moveaxis(waves, 2, 0)  # (m, k, r)
    best = np.full((k, k), -1.0)
    for other in (by_wave.conj(), by_wave):  # a mirror image has the conjugate waves
        product = by_wave @ other.transpose(0, 2, 1)  # (m, k, k)
        best = np.maximum(best, np.fft.irfft(product, n=N_ANGLES, axis=0).max(axis=0))
    return np.where((norm > 0)[:, None] & (norm > 0)[None, :], (best + best.T) / 2, 0.0).clip(-1, 1)
