"""Sums and means over Fourier shells, and RELION's rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import array_module

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
    shell : (p,) int array; pixels of a shell outside 0 ... n_shells - 1 do not count
    n_shells : int

    Returns
    -------
    (..., n_shells) float64 array
    """
    xp = array_module(values)
    inside = (shell >= 0) & (shell < n_shells)
    flat = values.reshape(-1, values.shape[-1])[:, inside].astype(np.float64)
    rows = xp.arange(len(flat))[:, None] * n_shells + shell[inside][None, :]
    sums = xp.bincount(rows.ravel(), weights=flat.ravel(), minlength=len(flat) * n_shells)
    return sums.reshape(*values.shape[:-1], n_shells)


def shell_counts(shell: Array, n_shells: int) -> np.ndarray:
    """Return the number of pixels of each shell."""
    return np.bincount(shell[(shell >= 0) & (shell < n_shells)], minlength=n_shells)


def shell_means(values: Array, shell: Array, n_shells: int) -> Array:
    """Return means over shells, float64; an empty shell has mean 0. Shapes as in `shell_sums`."""
    return shell_sums(values, shell, n_shells) / np.maximum(shell_counts(shell, n_shells), 1)


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
