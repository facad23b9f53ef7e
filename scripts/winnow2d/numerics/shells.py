"""Sums and means over Fourier shells, and RELION's rounding."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from .arrays import array_module, blocks, cached_on_device

Array = Any


def round_half_away(values: Any) -> Any:
    """Return values rounded to integers, halves away from zero (as RELION rounds, unlike numpy)."""
    values = np.asarray(values, dtype=np.float64)
    rounded = (np.sign(values) * np.floor(np.abs(values) + 0.5)).astype(np.int64)
    return int(rounded) if rounded.ndim == 0 else rounded


def shell_sums(values: Array, shell: Array, n_shells: int) -> Array:
    """Return sums over shells, float64.

    Parameters
    ----------
    values : (..., p) real array
    shell : (p,) int array, always numpy's; pixels of a shell outside 0 ... n_shells - 1 do not count
    n_shells : int

    Returns
    -------
    (..., n_shells) float64 array
    """
    xp = array_module(values)
    if xp is not np:
        return _gathered_sums(values, _pixels_of_shells(np.asarray(shell, np.int64).tobytes(), n_shells, xp))
    inside = (shell >= 0) & (shell < n_shells)
    flat = values.reshape(-1, values.shape[-1])[:, inside].astype(np.float64)
    rows = np.arange(len(flat))[:, None] * n_shells + shell[inside][None, :]
    sums = np.bincount(rows.ravel(), weights=flat.ravel(), minlength=len(flat) * n_shells)
    return sums.reshape(*values.shape[:-1], n_shells)


@cached_on_device(maxsize=32)
def _pixels_of_shells(shell: bytes, n_shells: int, xp: ModuleType) -> tuple[Array, Array]:
    """Return the pixels of each shell, (s, longest), and which of them there are; the rest of a row is pixel 0."""
    of_pixel = np.frombuffer(shell, np.int64)
    order = np.argsort(of_pixel, kind="stable")
    start, end = (np.searchsorted(of_pixel[order], np.arange(n_shells), side=side) for side in ("left", "right"))
    place = np.arange(max(int((end - start).max()), 1))
    is_pixel = place < (end - start)[:, None]
    pixel = order[np.minimum(start[:, None] + place, max(len(order) - 1, 0))]
    return xp.asarray(np.where(is_pixel, pixel, 0)), xp.asarray(is_pixel)


def _gathered_sums(values: Array, pixels: tuple[Array, Array]) -> Array:
    """Return sums over shells without atomic additions (a device's weighted bincount has them)."""
    xp = array_module(values)
    pixel, is_pixel = pixels
    flat = values.reshape(-1, values.shape[-1])
    sums = xp.empty((len(flat), len(pixel)))
    for part in blocks(len(flat), 2 * pixel.size):
        sums[part] = xp.where(is_pixel, flat[part][:, pixel].astype(xp.float64), 0.0).sum(axis=-1)
    return sums.reshape(*values.shape[:-1], len(pixel))


def shell_counts(shell: Array, n_shells: int) -> np.ndarray:
    """Return the number of pixels of each shell."""
    return np.bincount(shell[(shell >= 0) & (shell < n_shells)], minlength=n_shells)


def shell_means(values: Array, shell: Array, n_shells: int) -> Array:
    """Return means over shells, float64; an empty shell has mean 0. Shapes as in `shell_sums`."""
    counts = np.maximum(shell_counts(shell, n_shells), 1)
    return shell_sums(values, shell, n_shells) / array_module(values).asarray(counts)


def resolution_shell(data_vs_prior: np.ndarray, first: int = 1) -> np.ndarray:
    """Return, per class, the last shell before data_vs_prior drops below 1.

    Parameters
    ----------
    data_vs_prior : (k, s) array
    first : int
        Shell at which the scan starts: 1 for the current resolution, 0 for rlnEstimatedResolution.

    Returns
    -------
    (k,) int64 array
    """
    below = data_vs_prior[:, first:] < 1
    n_good = np.where(below.any(axis=1), below.argmax(axis=1), below.shape[1])
    return np.maximum(n_good + first - 1, 0)


def estimated_resolution_ang(data_vs_prior: np.ndarray, box_px: int, pixel_size_ang: float) -> np.ndarray:
    """Return each class's resolution in Angstrom (box length where even shell 1 is below the prior)."""
    return box_px * pixel_size_ang / np.maximum(resolution_shell(data_vs_prior, first=0), 1)
