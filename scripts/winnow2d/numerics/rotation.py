"""In-plane rotation in Fourier space on a padded grid, and its adjoint."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from .arrays import array_module
from .grids import HalfPlane

Array = Any
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
        Largest Fourier radius of the model.
    own_radius : int
        Largest Fourier radius of the images: half their window.
    """

    box_px: int
    matrix: tuple[float, float, float, float]
    radius: int
    own_radius: int

    def sees(self, kx: Array, ky: Array, is_back: bool) -> Array:
        """Return which pixels of the images have a place on the grid; is_back asks for back-projection.

        The limits are RELION's: references end at the radius of the images and, squared in padded pixels and cut
        to a whole number, at that of the model. What is back-projected ends with the last whole shell of the
        images, without the row that a window has not, and exactly at the radius of the model.
        """
        xp = array_module(kx)
        x, y = self.seen_at(kx, ky)
        squared, limit = (PAD * x) ** 2 + (PAD * y) ** 2, (PAD * self.radius) ** 2
        if is_back:
            return (squared <= limit + 1e-9) & (ky > -self.own_radius)
        return (xp.floor(squared + 1e-9) <= limit) & (kx**2 + ky**2 <= self.own_radius**2)

    def seen_at(self, kx: Array, ky: Array) -> tuple[Array, Array]:
        """Return the Fourier indices of the model that pixels of the images stand for."""
        m00, m01, m10, m11 = self.matrix
        return m00 * kx + m01 * ky, m10 * kx + m11 * ky


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
    is_back: bool = False,
) -> RotationTable:
    """Return the table for the first `n_px` pixels of `plane` at the given angles, made by module `xp`.

    Pixel k of a rotated reference is the reference at R(psi) k, R = [[cos, -sin], [sin, cos]]. With a `view` it
    is the reference at R(psi) M k, on the grid of the view's box.
    """
    rows, columns = padded_shape(plane.box_px if view is None else view.box_px)
    there = plane.on(xp)
    kx, ky = there.kx[:n_px], there.ky[:n_px]
    seen = None
    if view is not None:
        seen = view.sees(kx, ky, is_back)
        kx, ky = view.seen_at(kx, ky)
    angle = xp.deg2rad(xp.asarray(psi_deg, dtype=xp.float64))[:, None]
    x = PAD * (xp.cos(angle) * kx - xp.sin(angle) * ky)
    y = PAD * (xp.sin(angle) * kx + xp.cos(angle) * ky)
    sign = xp.where(x < 0, -1, 1).astype(xp.int8)
    x, y = x * sign, y * sign
    if seen is not None:
        x, y = xp.where(seen, x, columns - 1.0), xp.where(seen, y, 0.0)
    x0, y0 = xp.floor(x), xp.floor(y)
    if seen is not None:
        x0 = xp.where(seen, x0, columns - 2.0)
    fraction = xp.stack([x - x0, y - y0], axis=-1).astype(dtype)
    column, row = x0.astype(xp.int64), y0.astype(xp.int64)
    index = xp.stack([(row % rows) * columns + column, ((row + 1) % rows) * columns + column], axis=-1)
    return RotationTable(index.astype(xp.int32), fraction, sign)
