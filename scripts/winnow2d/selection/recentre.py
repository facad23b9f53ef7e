"""Class averages moved to their centre of mass, as RELION's Select job does on request."""

from __future__ import annotations

import numpy as np

from winnow2d.numerics.masks import positive_centre_of_mass


def recentred(averages: np.ndarray) -> np.ndarray:
    """Return averages, (k, box, box), whose positive pixels have their centre of mass at N / 2.

    Pixels that leave on one side come in on the other. Particles and their offsets are another matter: they belong
    to the averages as they were.
    """
    return np.stack([_moved(average, -positive_centre_of_mass(average)) for average in averages])


def _moved(image: np.ndarray, shift_px: np.ndarray) -> np.ndarray:
    """Return an image moved by (x, y) in px, wrapped around, with bilinear interpolation."""
    whole = np.floor(shift_px).astype(int)
    fx, fy = shift_px - whole
    near = np.roll(image, (int(whole[1]), int(whole[0])), axis=(0, 1))
    row = near * (1 - fx) + np.roll(near, 1, axis=1) * fx
    return (row * (1 - fy) + np.roll(row, 1, axis=0) * fy).astype(image.dtype)
