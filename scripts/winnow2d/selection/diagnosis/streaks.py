"""Streaks that run outward through the solvent: particles were turned until their noise agreed.

Where the E-step compares detail in which particles hold no signal, angles are chosen by noise. What
builds up is fine along circles and long along radii. In noise that was not aligned, the brightness
changes as fast along a circle as along a radius; the part by which the square of the first exceeds
the square of the second, over a ring of solvent, is 0 there and up to 1 for streaks.
"""

from __future__ import annotations

import numpy as np

from winnow2d.numerics.fourier import forward, inverse

from .averages import Averages
from .finding import Finding

RADIAL = 0.08  # mean excess over the classes with texture in the solvent
TEXTURE = 0.15  # power of the solvent over that of the core, per pixel: less is not worth a warning
_CLASS_RADIAL = 0.05  # excess of a class that is named
_SHARE = 0.3  # of the particles of fair classes must be in classes with texture
_BANDS = ((0.3, 0.6), (0.5, 0.9))  # of the resolution's shell
_RING, _CORE = 0.6, 0.5  # radii of the mask
_FIRST_SHELL, _BAND_SHELLS = 4, 3  # of the search for where streaks begin
_FIRST_OF_RESOLUTION = 0.4  # of the resolution's shell: a limit coarser than that costs more than it saves


def streaks(averages: Averages, highres_limit_ang: float = -1.0) -> Finding | None:
    """Return the warning that streaks run through the solvent.

    Parameters
    ----------
    averages : Averages
    highres_limit_ang : float
        To which the E-step was limited; not above 0: it was not.
    """
    shell = averages.resolution_shell
    excess, texture = _in_bands(averages, [(low * shell, high * shell) for low, high in _BANDS])
    is_textured = averages.counted & (texture.max(axis=1) > TEXTURE)
    if averages.share(is_textured) < _SHARE:
        return None
    means = [averages.mean(excess[:, band], is_textured) for band in range(len(_BANDS))]
    band = int(np.argmax(means))
    if means[band] < RADIAL:
        return None
    concerned = is_textured & (excess[:, band] > _CLASS_RADIAL)
    begin = _first_shell(averages, concerned)
    suggested = _suggestion(averages.box_ang / begin, highres_limit_ang)
    part = averages.mean(texture[:, band], concerned)
    return Finding(
        "streaks",
        f"Streaks run outward through the solvent of {concerned.sum()} averages: from {averages.box_ang / begin:.0f} A "
        f"on, brightness varies more along circles than along radii, by {means[band]:.0%}. Noise was aligned. Limit "
        f"the resolution of the E-step: class2d: {{highres_limit: {suggested:g}}}.",
        {
            "radial_excess": means[band], "solvent_over_core": part, "begin_ang": averages.box_ang / begin,
            "suggested_highres_limit": suggested,
        },
        np.flatnonzero(concerned),
    )  # fmt: skip


def _in_bands(averages: Averages, bands: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the radial excess and the solvent's power over the core's (k, bands), by bands of shells."""
    radius, size = averages.radius, averages.pictures.shape[-1]
    beyond = averages.seen_px / averages.mask_px
    level = np.median(averages.pictures[:, (radius > 0.8) & (radius <= 1)], axis=1)
    fade = np.clip((1 + beyond - radius) / (beyond / 2), 0, 1)
    spectra = forward(averages.pictures - level[:, None, None] * fade)
    ky, kx = np.fft.fftfreq(size)[:, None] * size, np.arange(size // 2 + 1)[None, :]
    axis = (np.arange(size) - size // 2) / averages.mask_px
    x, y = (one / np.maximum(radius, 1 / averages.mask_px) for one in (axis[None, :], axis[:, None]))
    ring, core = (radius > _RING) & (radius < 1 + beyond / 4), radius < _CORE
    excess, texture = np.zeros((2, len(level), len(bands)))
    for band, (low, high) in enumerate(bands):
        passed = spectra * np.exp(-0.5 * ((np.hypot(ky, kx) - (low + high) / 2) / ((high - low) / 2)) ** 2)
        slope_x, slope_y = (inverse(2j * np.pi * k / size * passed, size) for k in (kx, ky))
        outward = ((slope_x * x + slope_y * y)[:, ring] ** 2).sum(axis=1)
        around = ((slope_y * x - slope_x * y)[:, ring] ** 2).sum(axis=1)
        power = inverse(passed, size) ** 2
        excess[:, band] = (around - outward) / np.maximum(around + outward, 1e-300)
        texture[:, band] = power[:, ring].mean(axis=1) / np.maximum(power[:, core].mean(axis=1), 1e-300)
    return excess, texture


def _first_shell(averages: Averages, concerned: np.ndarray) -> int:
    """Return the shell from which on the streaks are seen, in the classes concerned."""
    first = max(_FIRST_SHELL, round(_FIRST_OF_RESOLUTION * averages.resolution_shell))
    shells = range(first, max(averages.resolution_shell, first + 1))
    excess, _ = _in_bands(averages, [(shell, shell + _BAND_SHELLS) for shell in shells])
    means = [averages.mean(excess[:, band], concerned) for band in range(len(shells))]
    return shells[int(np.argmax(np.array(means) > RADIAL / 2))]


def _suggestion(begin_ang: float, highres_limit_ang: float) -> float:
    """Return a limit in whole Angstrom: where streaks begin, and coarser than a limit that did not help."""
    if highres_limit_ang > 0:
        begin_ang = max(begin_ang, 1.25 * highres_limit_ang)
    return float(np.ceil(begin_ang))
