"""What an image says by itself, whatever its pose: its power per shell, for noise, likelihood and norm."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from winnow2d.numerics.arrays import array_module, to_host
from winnow2d.numerics.grids import half_plane
from winnow2d.numerics.kernels import own_power

from .images import Spectra

if TYPE_CHECKING:
    from .expectation import Comparison


@lru_cache(maxsize=64)
def _window(box_px: int, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels that a window cuts off its last shell, and the pixel count (size / 2 + 1,) of its shells."""
    plane, half = half_plane(box_px), size_px // 2
    outside = plane.outside_window(size_px) if size_px < box_px else np.zeros(0, np.int64)
    counts = np.bincount(plane.shell, minlength=plane.n_shells)[: half + 1].astype(np.float64)
    counts[half] -= len(outside)
    return outside, counts


def own_terms(
    compared: Comparison, spectra: Spectra, sigma2: np.ndarray, values: np.ndarray, residual: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return noise (n, s), log-likelihood (n,) and relative norm correction (n,) from the images' own power."""
    box, xp = compared.plane.box_px, array_module(spectra.masked)
    windows = [_window(box, size) for size in (compared.size_px, compared.fine_size_px)]
    cut, fine_cut = (to_host(spectra.masked[:, xp.asarray(outside)]) for outside, _ in windows)
    return own_power.own_terms(
        spectra.power, np.ascontiguousarray(cut), np.ascontiguousarray(fine_cut), windows[0][1], sigma2, values,
        residual, compared.size_px // 2, compared.fine_size_px // 2,
    )  # fmt: skip
