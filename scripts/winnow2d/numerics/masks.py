"""Soft circular masks and the centre of mass."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import array_module
from .grids import radius_map

Array = Any


def soft_circle(box_px: int, radius_px: float, edge_px: float) -> np.ndarray:
    """Return a mask that is 1 inside the radius and falls to 0 by a raised cosine over `edge_px` outside it.

    Returns
    -------
    (y, x) float64 array
    """
    r = radius_map(box_px)
    fall = 0.5 - 0.5 * np.cos(np.pi * (radius_px + edge_px - r) / edge_px)
    return np.where(r < radius_px, 1.0, np.where(r > radius_px + edge_px, 0.0, fall))


def fill_solvent(images: Array, inside: Array) -> Array:
    """Return images whose surroundings are replaced by the average of the surroundings.

    Parameters
    ----------
    images : (..., y, x) real array
    inside : (y, x) real array
        1 where the image is kept, 0 where it is replaced, soft between.

    Notes
    -----
    The average of the background, not zero, is RELION's `--zero_mask`.
    """
    outside = 1 - inside
    axes = (-2, -1)
    background = (images * outside).sum(axis=axes) / outside.sum()
    return images * inside + outside * background[..., None, None]


def positive_centre_of_mass(image: Array) -> np.ndarray:
    """Return the centre of mass (x, y) in px from N / 2 of the positive pixels of one image (0, 0 if none)."""
    xp = array_module(image)
    positive = xp.maximum(image, 0)
    total = float(positive.sum())
    if total <= 0:
        return np.zeros(2)
    axis = xp.arange(image.shape[-1]) - image.shape[-1] // 2
    x, y = (positive.sum(axis=0) * axis).sum(), (positive.sum(axis=1) * axis).sum()
    return np.array([float(x), float(y)]) / total
