"""Two numbers a class table holds of each class: its resolution, and the coverage of Fourier space inside it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def leading_shell(data_vs_prior: np.ndarray) -> int:
    """Return the last shell before the data first weigh less than the prior (ratio below 1), from shell 0 on.

    Parameters
    ----------
    data_vs_prior : (s,) array
        rlnSsnrMap.
    """
    below = np.flatnonzero(~(np.asarray(data_vs_prior) >= 1.0))
    last = int(below[0]) - 1 if len(below) else len(data_vs_prior) - 1
    return max(last, 0)


def estimated_resolution_ang(data_vs_prior: np.ndarray, box_px: int, pixel_size_ang: float) -> float:
    """Return the resolution of a class in A: that of `leading_shell`, or the whole box where this is shell 0."""
    return box_px * pixel_size_ang / max(leading_shell(data_vs_prior), 1)


def overall_coverage(data_vs_prior: np.ndarray, coverage: np.ndarray) -> float:
    """Return the mean coverage over the lattice points inside the resolution of a class, 0...1.

    Notes
    -----
    RELION counts a cube of 2 r - 1 points along each of three axes, also for 2D classes, in which the shell of
    a point is its distance rounded down and at most r. The golden files of RELION 5.0.1 agree to all digits.
    """
    shell = leading_shell(data_vs_prior)
    if shell == 0:
        return 0.0
    counts = _lattice_points(shell)
    return float(np.dot(counts, np.asarray(coverage, dtype=np.float64)[: shell + 1]) / counts.sum())


@lru_cache(maxsize=1024)
def _lattice_points(shell: int) -> np.ndarray:
    """Return the number of lattice points per shell 0...`shell` in a cube of 2 `shell` - 1 points a side.

    Points are counted by squared distance, one axis after the other.
    """
    squares = np.arange(-(shell - 1), shell) ** 2
    counts = np.bincount(squares)
    for _ in range(2):
        wider = np.zeros(len(counts) + int(squares.max()), dtype=np.int64)
        for square in squares:
            wider[square : square + len(counts)] += counts
        counts = wider
    shells = np.floor(np.sqrt(np.arange(len(counts)))).astype(np.int64)
    per_shell = np.bincount(shells, weights=counts, minlength=shell + 1)[: shell + 1]
    return per_shell
