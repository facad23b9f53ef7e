"""In-plane rotation in Fourier space on a padded grid, and its adjoint."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np

from .grids import HalfPlane

PAD = 2  # padding factor of the references, as RELION's 2D classification always uses


@dataclass(frozen=True)
class RotationTable:
    """Where the pixels of a half plane fall on the padded grid, for every angle.

    The padded half spectrum has 2 N rows (ky modulo 2 N) and N + 2 columns: the last one is always zero,
    so that the right neighbour of a pixel exists everywhere.

    Attributes
    ----------
    index : (f, p, 2) int32 array
    fraction : (f, p, 2) float32 or float64 array
    sign : (f, p) int8 array
    """

    index: np.ndarray
    fraction: np.ndarray
    sign: np.ndarray


@dataclass(frozen=True)
class GridView:
    """How images see the padded grid of a model with another box, pixel size or magnification.

    Attributes
    ----------
    box_px : int
        Box of the model.
    matrix : elements 00, 01, 10, 11
        Turns Fourier indices of the images into those of the model, before rotation.
    radius : int
        Indices of the model beyond it are taken as zero.
    """

    box_px: int
    matrix: tuple[float, float, float, float]
    radius: int


def padded_shape(box_px: int) -> tuple[int, int]:
    """Return (rows, columns) of the padded half spectrum."""
    return PAD * box_px, PAD * box_px // 2 + 2


def rotation_table(
    plane: HalfPlane,
    n_px: int,
    psi_deg: np.ndarray,
    dtype: np.dtype,
    xp: ModuleType = np,
    view: GridView | None = None,
) -> RotationTable:
    """Return the table for the first `n_px` pixels of `plane` at the given angles, made by module `xp`.

    Pixel k of a rotated reference is the reference at R(psi) k, R = [[cos, -sin], [sin, cos]]. With a `view`
    it is the reference at R(psi) M k, on the grid of the view's box.
    """
    rows, columns = padded_shape(plane.box_px if view is None else view.box_px)
    there = plane.on(xp)
    kx, ky = there.kx[:n_px], there.ky[:n_px]
    if view is not None:
        m00, m01, m10, m11 = view.matrix
        kx, ky = m00 * kx + m01 * ky, m10 * kx + m11 * ky
    angle = xp.deg2rad(xp.asarray(psi_deg, dtype=xp.float64))[:, None]
    x = PAD * (xp.cos(angle) * kx - xp.sin(angle) * ky)
    y = PAD * (xp.sin(angle) * kx + xp.cos(angle) * ky)
    sign = xp.where(x < 0, -1, 1).astype(xp.int8)
    x, y = x * sign, y * sign
    if view is not None:  # what lies beyond the radius falls on the last column, which is zero
        is_beyond = kx**2 + ky**2 > view.radius**2 + 1e-9
        x, y = xp.where(is_beyond, columns - 1.0, x), xp.where(is_beyond, 0.0, y)
    x0, y0 = xp.floor(x), xp.floor(y)
    if view is not None:
        x0 = xp.minimum(x0, columns - 2)
    fraction = xp.stack([x - x0, y - y0], axis=-1).astype(dtype)
    column, row = x0.astype(xp.int64), y0.astype(xp.int64)
    index = xp.stack([(row % rows) * columns + column, ((row + 1) % rows) * columns + column], axis=-1)
    return RotationTable(index.astype(xp.int32), fraction, sign)
