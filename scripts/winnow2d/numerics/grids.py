"""Which Fourier pixels take part: the half plane as a list sorted by radius, and its shells."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np

from .arrays import cached_on_device
from .shells import round_half_away


@dataclass(frozen=True)
class HalfPlane:
    """The half plane of an N x N image as a list sorted by radius, so that every radius is a prefix.

    Attributes
    ----------
    box_px : int
    kx, ky : (p,) int64 arrays
        Fourier indices; kx >= 0, and ky >= 0 where kx = 0.
    shell : (p,) int64 array
        Radius rounded half away from zero; at most N / 2.
    flat_index : (p,) int64 array
        Position in the flattened (N, N // 2 + 1) output of a real transform.
    sign : (p,) float64 array
        (-1)**(kx + ky): moves the phase origin to pixel (N / 2, N / 2).
    has_whole_shells : bool
        A radius takes in all pixels whose rounded radius it is, not only those that are no further out.
    """

    box_px: int
    kx: np.ndarray
    ky: np.ndarray
    shell: np.ndarray
    flat_index: np.ndarray
    sign: np.ndarray
    has_whole_shells: bool = False

    @property
    def n_shells(self) -> int:
        return self.box_px // 2 + 1

    def n_within(self, radius: float) -> int:
        """Return how many pixels have |k| <= radius: the length of that prefix."""
        if self.has_whole_shells:
            return int(np.searchsorted(self.shell, radius + 1e-9, side="right"))
        return int(np.searchsorted(self.kx**2 + self.ky**2, radius**2 + 1e-9, side="right"))

    def on(self, xp: ModuleType) -> HalfPlane:
        """Return this half plane with its arrays made by module `xp`; sizes are best asked of numpy's."""
        return self if xp is np else _half_plane_on(self.box_px, xp)

    def outside_window(self, size_px: int) -> np.ndarray:
        """Return the pixels of shell size / 2 that a window of `size_px` cuts off: its row ky = -size / 2."""
        half = size_px // 2
        return np.flatnonzero((self.shell == half) & (self.ky == -half))


def half_plane(box_px: int) -> HalfPlane:
    """Return the half plane of an image of `box_px` pixels, shells 0 to N / 2."""
    half = box_px // 2
    ky, kx = np.meshgrid(np.arange(-half + 1, half + 1), np.arange(half + 1), indexing="ij")
    shell = round_half_away(np.hypot(kx, ky))
    inside = (shell <= half) & ~((kx == 0) & (ky < 0))
    kx, ky, shell = kx[inside], ky[inside], shell[inside]
    order = np.lexsort((kx, ky, kx**2 + ky**2))
    kx, ky, shell = kx[order], ky[order], shell[order]
    flat = (ky % box_px) * (half + 1) + kx
    return HalfPlane(box_px, kx, ky, shell, flat, np.where((kx + ky) % 2, -1.0, 1.0))


@cached_on_device(maxsize=32)
def _half_plane_on(box_px: int, xp: ModuleType) -> HalfPlane:
    plane = half_plane(box_px)
    arrays = (xp.asarray(part) for part in (plane.kx, plane.ky, plane.shell, plane.flat_index, plane.sign))
    return HalfPlane(box_px, *arrays)


def radius_map(box_px: int) -> np.ndarray:
    """Return the distance of every pixel from the centre N / 2, (y, x) float64 in px."""
    axis = np.arange(box_px) - box_px // 2
    return np.hypot(axis[:, None], axis[None, :])
