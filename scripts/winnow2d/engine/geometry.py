"""How images of different box, pixel size or magnification relate to the one grid of the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from winnow2d.numerics.grids import HalfPlane, half_plane
from winnow2d.numerics.masks import soft_circle
from winnow2d.numerics.rotation import GridView
from winnow2d.numerics.shells import round_half_away
from winnow2d.records import OpticsGroup

from .expectation import ChunkSums
from .images import MASK_EDGE_PX
from .initialise import particle_mask_radius_px

NO_MAGNIFICATION = (1.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Geometry:
    """Box, pixel size and magnification of some optics groups, beside the box and pixel size of the model.

    The model's are those of the first optics group, as in RELION. Shells of the images and of the model are
    different lists of numbers wherever `extent` is not 1.

    Attributes
    ----------
    plane : HalfPlane
        Of the images' own box.
    mask : (y, x) array
        The particle mask in the images' own box.
    """

    pixel_size_ang: float
    magnification: tuple[float, float, float, float]
    plane: HalfPlane
    mask: np.ndarray
    model_box_px: int
    model_pixel_size_ang: float

    @property
    def extent(self) -> float:
        """Length of the images' box over that of the model's: by this factor shells are finer."""
        return self.plane.box_px * self.pixel_size_ang / (self.model_box_px * self.model_pixel_size_ang)

    @cached_property
    def is_models_own(self) -> bool:
        """Whether pixels of images are pixels of the model, so that nothing is converted."""
        is_same_box = self.plane.box_px == self.model_box_px and self.pixel_size_ang == self.model_pixel_size_ang
        return is_same_box and self.magnification == NO_MAGNIFICATION

    def size_px(self, model_size_px: int) -> int:
        """Return the width of the Fourier window that reaches as far as one of `model_size_px` in the model."""
        return min(2 * math.ceil(self.extent * model_size_px / 2 - 1e-9), self.plane.box_px)

    def view(self, radius: int, own_size_px: int | None = None) -> GridView | None:
        """Return how the images see the padded grid of the model up to a radius; None where pixels are the same.

        `own_size_px` is the width of their window, if not the one that reaches as far.
        """
        if self.is_models_own:
            return None
        size = self.size_px(2 * radius) if own_size_px is None else own_size_px
        m00, m01, m10, m11 = (element / self.extent for element in self.magnification)
        return GridView(self.model_box_px, (m00, m01, m10, m11), radius, size // 2)

    @cached_property
    def model_shell(self) -> np.ndarray:
        """The shell of the model, at most its last, on which each shell of the images lies; (s_own,) int64."""
        shells = round_half_away(np.arange(self.plane.n_shells) / self.extent)
        return np.minimum(shells, self.model_box_px // 2)

    def spectrum(self, by_model_shell: np.ndarray) -> np.ndarray:
        """Return values (..., s) by shell of the model as values (..., s_own) by shell of the images."""
        return by_model_shell if self.is_models_own else by_model_shell[..., self.model_shell]

    def model_spectrum(self, by_own_shell: np.ndarray) -> np.ndarray:
        """Return values (s_own,) by shell of the images as values (s,) by shell of the model, the last one repeated."""
        shells = round_half_away(np.arange(self.model_box_px // 2 + 1) * self.extent)
        return by_own_shell[np.minimum(shells, self.plane.n_shells - 1)]

    def summed(self, by_own_shell: np.ndarray) -> np.ndarray:
        """Return sums (..., s_own) by shell of the images as sums (..., s) by shell of the model.

        What lies beyond the model's last shell is dropped.
        """
        n_shells = self.model_box_px // 2 + 1
        shells = np.minimum(round_half_away(np.arange(self.plane.n_shells) / self.extent), n_shells)
        sums = np.zeros((*by_own_shell.shape[:-1], n_shells + 1))
        np.add.at(sums.T, shells, by_own_shell.T)
        return np.ascontiguousarray(sums[..., :n_shells])

    def pixels_of_shells(self) -> np.ndarray:
        """Return how many pixels of an image fall on each shell of the model, (s,)."""
        counts = np.bincount(self.plane.shell, minlength=self.plane.n_shells)
        return counts if self.is_models_own else self.summed(counts)

    def in_model_units(self, chunk: ChunkSums) -> ChunkSums:
        """Return a chunk whose noise is by shell, and whose offset sums are in px, of the model."""
        if self.is_models_own:
            return chunk
        px = self.pixel_size_ang / self.model_pixel_size_ang
        moments = chunk.moments * np.array([1.0, px, px, px**2])
        return replace(chunk, noise=self.summed(chunk.noise), moments=moments)


def geometries_of(optics: Sequence[OpticsGroup], particle_diameter_ang: float) -> tuple[list[Geometry], np.ndarray]:
    """Return the different geometries of optics groups, that of the first group first, and each group's, (g,)."""
    geometries: list[Geometry] = []
    place_of: dict[tuple[object, ...], int] = {}
    places = []
    for group in optics:
        key = (group.box_px, group.pixel_size_ang, group.magnification)
        if key not in place_of:
            place_of[key] = len(geometries)
            radius = particle_mask_radius_px(particle_diameter_ang, group.pixel_size_ang, group.box_px)
            mask = soft_circle(group.box_px, radius, MASK_EDGE_PX)
            model = optics[0].box_px, optics[0].pixel_size_ang
            own = Geometry(group.pixel_size_ang, group.magnification, half_plane(group.box_px), mask, *model)
            if not own.is_models_own:  # images reach as far as the model in any direction, not only to a radius
                own = replace(own, plane=replace(own.plane, has_whole_shells=True))
            geometries.append(own)
        places.append(place_of[key])
    return geometries, np.array(places)
