"""References as padded half spectra, and padded sums back to references (Wiener quotient, no gridding)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from . import fourier
from .grids import radius_map
from .masks import fill_solvent, soft_circle
from .rotation import PAD, padded_shape
from .shells import round_half_away, shell_means, shell_sums

MIN_SHELL_OF_PRIOR = 5  # RELION's minres_map: the prior acts from this shell on
EDGE_PX = 3.0  # soft edge of the box mask after reconstruction


@lru_cache(maxsize=8)
def _padded_grid(box_px: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return |u|**2, rounded shell and floored shell of the padded half spectrum, each flattened."""
    rows, columns = padded_shape(box_px)
    y = (np.arange(rows) + rows // 2 - 1) % rows - (rows // 2 - 1)
    squared = (y[:, None] ** 2 + np.arange(columns)[None, :] ** 2).ravel()
    radius = np.sqrt(squared) / PAD
    return squared, round_half_away(radius), np.floor(radius).astype(np.int64)


@lru_cache(maxsize=8)
def gridding_correction(box_px: int) -> np.ndarray:
    """Return sinc(|r| / (pad N))**2, (y, x): what bilinear interpolation does to an image."""
    return np.sinc(radius_map(box_px) / (PAD * box_px)) ** 2


def padded_spectra(references: np.ndarray, radius: int, correct_gridding: bool = True) -> np.ndarray:
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
    box = references.shape[-1]
    rows, columns = padded_shape(box)
    images = references / gridding_correction(box) if correct_gridding else references
    spectra = fourier.forward(fourier.pad(images, rows)) * (fourier.centre_signs(rows) * PAD**2)
    full = np.zeros((len(references), rows, columns), spectra.dtype)
    full[:, :, : columns - 1] = spectra
    squared, _, _ = _padded_grid(box)
    flat = full.reshape(len(references), -1)
    flat[:, squared > (PAD * radius) ** 2] = 0
    return flat


def spectrum_power(spectra: np.ndarray, box_px: int, radius: int) -> np.ndarray:
    """Return half the mean power of padded spectra per shell, (k, s); zero beyond `radius`. RELION's tau2."""
    squared, shell, _ = _padded_grid(box_px)
    inside = np.flatnonzero((squared <= (PAD * radius) ** 2) & _real_columns(box_px))
    power = spectra[:, inside].real.astype(np.float64) ** 2 + spectra[:, inside].imag.astype(np.float64) ** 2
    return shell_means(power, shell[inside], box_px // 2 + 1) / 2


def _real_columns(box_px: int) -> np.ndarray:
    rows, columns = padded_shape(box_px)
    return np.tile(np.arange(columns) < columns - 1, rows)


def make_hermitian(data: np.ndarray, weight: np.ndarray, box_px: int) -> None:
    """Add to every pixel of the column kx = 0 but the origin its Friedel mate, in place; data and weight are (k, m)."""
    rows, columns = padded_shape(box_px)
    mate = (-np.arange(rows)) % rows
    for sums in (data, weight):
        column = sums.reshape(-1, rows, columns)[:, :, 0]
        column[:, 1:] += np.conj(column[:, mate[1:]])


def signal_to_noise(
    weight: np.ndarray, tau2: np.ndarray, tau2_fudge: float, box_px: int, radius: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
    squared, shell, _ = _padded_grid(box_px)
    inside = np.flatnonzero((squared <= (PAD * radius) ** 2) & _real_columns(box_px))
    n_shells = box_px // 2 + 1
    mean_weight = shell_means(weight[:, inside] * PAD**2, shell[inside], n_shells)
    sigma2_reference = np.divide(1.0, mean_weight, out=np.zeros_like(mean_weight), where=mean_weight > 1e-30)
    prior = tau2_fudge * tau2
    evidence = weight[:, inside] * PAD**2 * prior[:, shell[inside]]
    covered = shell_means((evidence >= 1).astype(np.float64), shell[inside], n_shells)
    within = np.arange(n_shells) <= radius
    return sigma2_reference * within, mean_weight * prior * within, covered * within


def reconstruct(
    data: np.ndarray, weight: np.ndarray, box_px: int, radius: int, prior: np.ndarray | None = None
) -> np.ndarray:
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
    rows, columns = padded_shape(box_px)
    squared, shell, floor_shell = _padded_grid(box_px)
    inside = np.flatnonzero((squared <= (PAD * radius) ** 2) & _real_columns(box_px))
    total = weight[:, inside].copy()
    if prior is not None:
        at = prior[:, np.minimum(shell[inside], prior.shape[1] - 1)]
        regular = np.divide(1.0, PAD**2 * at, out=0.001 * total, where=at > 0)
        total += regular * (shell[inside] >= MIN_SHELL_OF_PRIOR)
    n_floor = int(floor_shell[inside].max()) + 1
    counts = shell_sums(np.ones_like(total), floor_shell[inside], n_floor)
    least = shell_sums(total, floor_shell[inside], n_floor) / np.maximum(counts, 1) / 1000
    total = np.maximum(total, least[:, floor_shell[inside]])
    spectra = np.zeros((len(data), rows * columns), np.complex128)
    spectra[:, inside] = np.divide(data[:, inside], total, out=np.zeros_like(data[:, inside]), where=total > 0)
    half = spectra.reshape(-1, rows, columns)[:, :, : columns - 1] * fourier.centre_signs(rows)
    images = fourier.crop(fourier.inverse(half, rows), box_px) / PAD**2
    images = fill_solvent(images, soft_circle(box_px, box_px / 2, EDGE_PX))
    return images / gridding_correction(box_px)
