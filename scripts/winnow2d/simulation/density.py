"""Densities in a cube: from beads, from a user's map, and pieces of them.

A density is (z, y, x) float32 with its centre at pixel box // 2, in units where the inside of a
protein is about 1.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from winnow2d.errors import ConfigError, ImageError

BEAD_SIGMA_ANG = 1.7
INSIDE_LEVEL = 0.15  # of the density of the densest 1 % of a map's particle: where the particle ends
SURFACE_QUANTILE = 0.995  # of the particle's voxels, by distance from its centre of mass: the radius


def density_of_beads(beads: np.ndarray, box_px: int, pixel_size_ang: float) -> np.ndarray:
    """Return the density of Gaussian beads (a, 3) in an even cube, sampled without aliasing.

    The beads are spread on a grid twice as fine, blurred and cut at the coarse grid's Nyquist
    frequency in Fourier space.
    """
    fine_px = 2 * box_px
    position = beads[:, ::-1] / (pixel_size_ang / 2) + fine_px // 2
    spectrum = np.fft.rfftn(np.fft.ifftshift(_spread(position, fine_px)).astype(np.float32))
    half = box_px // 2
    rows = np.r_[0:half, fine_px - half : fine_px]
    spectrum = spectrum[np.ix_(rows, rows, np.arange(half + 1))]
    f2 = _squared_frequency(box_px)
    soft_end = np.cos(np.pi / 2 * np.clip((np.sqrt(f2) - 0.32) / 0.18, 0, 1)) ** 2  # to Nyquist, so nothing rings
    spectrum *= np.exp(-2 * np.pi**2 * (BEAD_SIGMA_ANG / pixel_size_ang) ** 2 * f2) * soft_end
    density = np.fft.fftshift(np.fft.irfftn(spectrum, s=(box_px,) * 3, axes=(0, 1, 2)))
    return normalised(density)


def density_of_map(
    values: np.ndarray, map_pixel_ang: float, diameter_ang: float, box_px: int, pixel_size_ang: float
) -> np.ndarray:
    """Return a user's map, centred, its particle magnified to the wanted diameter, in the wanted cube.

    The particle is where the map, below its own Nyquist frequency, exceeds a level halfway between
    solvent and the weakest protein; its diameter is measured from the centre of mass. Density
    outside the particle and below zero is taken as solvent and removed.

    Parameters
    ----------
    values : (z, y, x) array, a cube, protein positive
    map_pixel_ang : float
        Pixel size of the map; it cancels, as the particle is scaled to `diameter_ang`.

    Raises
    ------
    ImageError
        If the map is not a cube, not finite, or has no positive density.
    """
    if values.ndim != 3 or len(set(values.shape)) != 1:
        raise ImageError(f"map: found the shape {values.shape}, expected a cube. Cut or pad the map to a cube.")
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all() or values.max() <= 0:
        raise ImageError("map: found no finite positive density. Check that the protein is positive in the map.")
    is_particle = _largest_piece(values)
    where = np.argwhere(is_particle)
    weight = values[is_particle]
    centre = (where * weight[:, None]).sum(axis=0) / weight.sum()
    radius_ang = float(np.quantile(np.linalg.norm(where - centre, axis=1), SURFACE_QUANTILE)) * map_pixel_ang
    magnified_pixel_ang = map_pixel_ang * (diameter_ang / 2) / radius_ang
    soft = ndimage.gaussian_filter(ndimage.binary_dilation(is_particle, iterations=2).astype(np.float64), 1.0)
    solvent_free = np.clip(values, 0, None) * soft
    step = pixel_size_ang / magnified_pixel_ang  # map voxels per voxel of ours
    smooth = _low_passed(solvent_free, 0.5 / step) if step > 1 else solvent_free
    offset = centre - step * (box_px // 2)
    density = ndimage.affine_transform(smooth, np.full(3, step), offset, (box_px,) * 3, order=3, mode="constant")
    return normalised(np.clip(density, 0, None))


def normalised(density: np.ndarray) -> np.ndarray:
    """Return the density (float32) in units of the mean of its inside."""
    top = np.quantile(density[density > 0], 0.99)
    return (density / density[density > 0.3 * top].mean()).astype(np.float32)


def broken(density: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return what is left of a particle after a third to two thirds of its mass has come off.

    The break is a bent surface at a random slant, soft over some pixels; a part of the rest is
    smeared, as parts that unfold are.
    """
    box_px = density.shape[0]
    axis = np.arange(box_px) - box_px // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    normal, bend = _unit(rng), _unit(rng)
    curvature = rng.uniform(-1.0, 1.0) / box_px
    height = normal[0] * x + normal[1] * y + normal[2] * z + curvature * (bend[0] * x + bend[1] * y + bend[2] * z) ** 2
    levels = np.sort(height[density > 0.3], axis=None)
    level = levels[int(rng.uniform(0.33, 0.62) * (len(levels) - 1))]
    kept = density / (1 + np.exp(-np.clip((height - level) / 0.8, -40, 40)))
    smeared = ndimage.gaussian_filter(kept, 2.0)
    share = 1 / (1 + np.exp(-np.clip((level + 0.12 * box_px - height) / 2.0, -40, 40)))
    return (kept * (1 - 0.6 * share) + smeared * 0.6 * share).astype(np.float32)


def check_fits(diameter_ang: float, box_px: int, pixel_size_ang: float) -> None:
    """Raise ConfigError unless the box is even and holds the particle."""
    problems = []
    if box_px % 2:
        problems.append(f"input: demo: box: found {box_px}, expected an even number of pixels")
    if diameter_ang > 0.95 * box_px * pixel_size_ang:
        problems.append(
            f"input: demo: diameter: found {diameter_ang:g} A, expected at most 95 % of the box, "
            f"{0.95 * box_px * pixel_size_ang:.0f} A. Give a larger box or pixel_size."
        )
    if problems:
        raise ConfigError(*problems)


def _spread(position: np.ndarray, size: int) -> np.ndarray:
    """Return counts (size, size, size) of points (a, 3) in voxels, shared among the eight voxels around each."""
    low = np.floor(position).astype(np.int64)
    part = position - low
    counts = np.zeros(size**3)
    for corner in np.ndindex(2, 2, 2):
        place = low + corner
        weight = np.prod(np.where(corner, part, 1 - part), axis=1)
        inside = ((place >= 0) & (place < size)).all(axis=1)
        flat = np.ravel_multi_index(tuple(place[inside].T), (size,) * 3)
        counts += np.bincount(flat, weights=weight[inside], minlength=size**3)
    return counts.reshape((size,) * 3)


def _squared_frequency(box_px: int) -> np.ndarray:
    """Return squared frequencies in cycles per pixel on the half spectrum of a cube."""
    whole, half = np.fft.fftfreq(box_px), np.fft.rfftfreq(box_px)
    return whole[:, None, None] ** 2 + whole[None, :, None] ** 2 + half[None, None, :] ** 2


def _low_passed(values: np.ndarray, cutoff: float) -> np.ndarray:
    """Return the cube without frequencies beyond `cutoff` (cycles per pixel), with a soft end."""
    frequency = np.sqrt(_squared_frequency(values.shape[0]))
    passed = np.clip((cutoff - frequency) / (0.1 * cutoff) + 1, 0, 1)
    return np.fft.irfftn(np.fft.rfftn(values) * passed, s=values.shape, axes=(0, 1, 2))


def _largest_piece(values: np.ndarray) -> np.ndarray:
    """Return where the largest connected piece of the smoothed map's strong density is."""
    smooth = ndimage.gaussian_filter(values, 1.0)
    level = INSIDE_LEVEL * np.quantile(smooth[smooth > 0.1 * smooth.max()], 0.99)
    pieces, _ = ndimage.label(smooth > level)
    return pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])


def _unit(rng: np.random.Generator) -> np.ndarray:
    """Return a random direction (3,)."""
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)
