"""What lies outside the particle: replaced in images, removed from class averages."""

from __future__ import annotations

import numpy as np

from winnow2d.numerics.masks import fill_solvent


def masked(images: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return images (n, y, x) with the average of their surroundings outside the mask."""
    return fill_solvent(images, mask.astype(images.dtype))


def flattened(references: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return references (k, y, x) that fall to zero outside the mask."""
    return references * mask
