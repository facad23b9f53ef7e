"""References as padded half spectra, and padded sums back to references (Wiener quotient, no gridding)."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from . import padded
from .arrays import array_module
from .grids import radius_map
from .masks import fill_solvent, soft_circle
from .rotation import PAD, padded_shape
from .shells import round_half_away, shell_means

Array = Any
MIN_SHELL_OF_PRIOR = 5  # RELION's minres_map: the prior acts from this shell on
EDGE_PX = 3.0  # soft edge of the box mask after reconstruction


@lru_cache(maxsize=8)
def grid_shells(box_px: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return |u|**2, rounded shell and floored shell of the padded half spectrum, each flattened."""
    rows, columns = padded_shape(box_px)
    y = (np.arange(rows) + rows // 2 - 1) % rows - (rows // 2 - 1)
    squared = (y[:, None] ** 2 + np.arange(columns)[None, :] ** 2).ravel()
    radius = np.sqrt(squared) / PAD
    return squared, round_half_away(radius), np.floor(radius).astype(np.int64)


@lru_cache(maxsize=8)
def _within(box_px: int, radius: int, xp: ModuleType) -> tuple[Array, np.ndarray, np.ndarray, Array, Array]:
    """Return the pixels of the padded half spectrum that count: |u| <= pad * radius, not in the empty last column.

    Returns
    -------
    positions in the flattened spectrum; their rounded and floored shells; the same on the device of `xp`
    """
    squared, shell, floor_shell = grid_shells(box_px)
    rows, columns = padded_shape(box_px)
    inside = np.flatnonzero((squared <= (PAD * radius) ** 2) & np.tile(np.arange(columns) < columns - 1, rows))
    shell, floor_shell = shell[inside], floor_shell[inside]
    return xp.asarray(inside), shell, floor_shell, xp.asarray(shell), xp.asarray(floor_shell)


def _quotient(numerator: Array, denominator: Array, otherwise: Array = 0.0) -> Array:
    """Return numerator / denominator where the denominator is positive."""
    xp = array_module(denominator)
    usable = denominator > 0
    return xp.where(usable, numerator / xp.where(usable, denominator, 1.0), otherwise)


@lru_cache(maxsize=8)
def gridding_correction(box_px: int) -> np.ndarray:
    """Return sinc(|r| / (pad N))**2, (y, x): what bilinear interpolation does to an image."""
    return np.sinc(radius_map(box_px) / (PAD * box_px)) ** 2


def padded_spectra(references: Array, radius: int, correct_gridding: bool = True) -> Array:
    """Return the padded half spectra of references, zero beyond `radius`.

    Parameters
    ----------
    references : (k, y, x) array
    radius : int
        Largest Fourier radius of the unpadded image that is kept.

    Returns
    -------
    (k, m) complex array, m = rows * columns of `padded_shape`; the last column is zero
    """
    xp, box = array_module(references), references.shape[-1]
    rows, columns = padded_shape(box)
    images = references / xp.asarray(gridding_correction(box)) if correct_gridding else references
    return padded.spectra(images, rows, PAD * radius, columns).reshape(len(references), -1)


def spectrum_power(spectra: Array, box_px: int, radius: int) -> Array:
    """Return half the mean power of padded spectra per shell, (k, s); zero beyond `radius`. RELION's tau2."""
    xp = array_module(spectra)
    inside, shell, _, _, _ = _within(box_px, radius, xp)
    power = spectra[:, inside].real.astype(xp.float64) ** 2 + spectra[:, inside].imag.astype(xp.float64) ** 2
    return shell_means(power, shell, box_px // 2 + 1) / 2


def make_hermitian(data: Array, weight: Array, box_px: int) -> None:
    """Add to every pixel of the column kx = 0 but the origin its Friedel mate, in place; data and weight are (k, m)."""
    rows, columns = padded_shape(box_px)
    xp = array_module(data)
    mate = (-xp.arange(rows)) % rows
    for sums in (data, weight):
        column = sums.reshape(-1, rows, columns)[:, :, 0]
        column[:, 1:] += xp.conj(column[:, mate[1:]])


def signal_to_noise(
    weight: Array, tau2: Array, tau2_fudge: float, box_px: int, radius: int
) -> tuple[Array, Array, Array]:
    """Return how far the data of each class outweigh its prior, shell by shell.

    Parameters
    ----------
    weight : (k, m) float64 array
        Sum of CTF**2 / sigma2 on the padded grid, Hermitian.
    tau2 : (k, s) array

    Returns
    -------
    sigma2_reference, data_vs_prior, coverage : (k, s) float64 arrays
        Noise power of the class average (0 where nothing was seen); mean of weight * T * tau2 * pad**2;
        fraction of pixels where that is at least 1.
    """
    xp = array_module(weight)
    inside, shell, _, shell_there, _ = _within(box_px, radius, xp)
    n_shells = box_px // 2 + 1
    mean_weight = shell_means(weight[:, inside] * PAD**2, shell, n_shells)
    sigma2_reference = _quotient(1.0, xp.where(mean_weight > 1e-30, mean_weight, 0.0))
    prior = tau2_fudge * xp.asarray(tau2)
    evidence = weight[:, inside] * PAD**2 * prior[:, shell_there]
    covered = shell_means((evidence >= 1).astype(xp.float64), shell, n_shells)
    within = xp.arange(n_shells) <= radius
    return sigma2_reference * within, mean_weight * prior * within, covered * within


def reconstruct(data: Array, weight: Array, box_px: int, radius: int, prior: Array | None = None) -> Array:
    """Return the images whose padded spectra are data / (weight + 1 / (pad**2 * prior)).

    Parameters
    ----------
    data, weight : (k, m) complex128 and float64 arrays, Hermitian
    prior : (k, s) array, optional
        T * tau2. Where it is 0 the prior adds a thousandth of the weight, as in RELION.

    Returns
    -------
    (k, y, x) float64 array, divided by the gridding correction, softly cut at radius N / 2
    """
    xp = array_module(data)
    rows, columns = padded_shape(box_px)
    inside, _, floor_shell, shell_there, floor_there = _within(box_px, radius, xp)
    total = weight[:, inside]
    if prior is not None:
        at = xp.asarray(prior)[:, xp.minimum(shell_there, prior.shape[1] - 1)]
        regular = _quotient(1.0, PAD**2 * at, 0.001 * total)
        total = total + regular * (shell_there >= MIN_SHELL_OF_PRIOR)
    least = shell_means(total, floor_shell, int(floor_shell.max()) + 1) / 1000
    total = xp.maximum(total, least[:, floor_there])
    spectra = xp.zeros((len(data), rows * columns), xp.complex128)
    spectra[:, inside] = _quotient(data[:, inside], total)
    images = padded.images(spectra.reshape(-1, rows, columns), box_px, PAD * radius)
    images = fill_solvent(images, xp.asarray(soft_circle(box_px, box_px / 2, EDGE_PX)))
    return images / xp.asarray(gridding_correction(box_px))
