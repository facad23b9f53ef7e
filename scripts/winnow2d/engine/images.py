"""From raw images to half spectra: normalised, centred by the old offset, masked, transformed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from winnow2d.numerics import fourier
from winnow2d.numerics.arrays import array_module, to_host
from winnow2d.numerics.grids import HalfPlane
from winnow2d.numerics.kernels import kernels_of

from .stages import PREPARE, stage

Array = Any
MASK_EDGE_PX = 5.0  # RELION's width of the soft edge of the particle mask


@dataclass(frozen=True)
class Spectra:
    """The prepared images of a chunk.

    Attributes
    ----------
    masked, unmasked : (n, p) complex arrays, on the device
        Half planes in the order of `HalfPlane`, the masked one for likelihood and noise, the unmasked one
        for the class averages.
    power : (n, s) float64 array of numpy
        Sum of |masked|**2 per shell over the whole half plane.
    """

    masked: Array
    unmasked: Array
    power: np.ndarray


def half_plane_spectra(images: Array, plane: HalfPlane, n_px: int | None = None) -> Array:
    """Return the centred half planes (n, p) of images (n, y, x), at most the first `n_px` pixels."""
    there = plane.on(array_module(images))
    index, sign = there.flat_index[:n_px], there.sign[:n_px]
    spectra = fourier.forward(images).reshape(len(images), -1)[:, index]
    return spectra * sign.astype(images.dtype)


@stage(PREPARE)
def prepare(
    images: Array,
    norm_factor: np.ndarray,
    shift_px: np.ndarray,
    mask: np.ndarray,
    plane: HalfPlane,
    solvent_noise: np.ndarray | None = None,
    n_px: int | None = None,
    phases: Array | None = None,
) -> Spectra:
    """Return the spectra of a chunk of raw images, on the device the images are on.

    Parameters
    ----------
    images : (n, y, x) float array; everything else comes as numpy arrays
    norm_factor : (n,) array
        Average norm correction over the particle's own.
    shift_px : (n, 2) int array
        Old offsets rounded to pixels.
    mask : (y, x) array
    solvent_noise : (n, y, x) array, optional
        What stands outside the mask; the average of the surroundings if not given.
    n_px : int, optional
        How many pixels of the unmasked half plane are wanted; all if not given.
    phases : (n, p) complex array, optional
        On the device: what the spectra are multiplied by, of absolute value 1.
    """
    xp, kernels = array_module(images), kernels_of(images)
    outside = xp.asarray(1 - mask, dtype=images.dtype)
    factor, shift = xp.asarray(norm_factor, dtype=images.dtype), np.asarray(shift_px, np.int64)
    both = kernels.centre_images(images, factor, shift, outside)
    if solvent_noise is not None:
        both[0] = both[1] * (1 - outside) + outside * xp.asarray(solvent_noise, dtype=images.dtype)
    transforms = fourier.forward(both).reshape(2, len(images), -1)
    there = plane.on(xp)
    sign = there.sign.astype(images.dtype)
    masked = kernels.gather(transforms[0], there.flat_index, sign)
    unmasked = kernels.gather(transforms[1], there.flat_index[:n_px], sign[:n_px])
    if phases is not None:
        masked = (masked * phases).astype(masked.dtype)
        unmasked = (unmasked * phases[:, :n_px]).astype(unmasked.dtype)
    return Spectra(masked, unmasked, to_host(kernels.shell_power(masked, plane.shell, plane.n_shells)))


@stage(PREPARE)
def coloured_noise(sigma2: np.ndarray, plane: HalfPlane, rngs: Sequence[np.random.Generator]) -> np.ndarray:
    """Return one image of Gaussian noise with power sigma2 (n, s) per component for each generator."""
    box = plane.box_px
    noise = np.zeros((len(rngs), box, box // 2 + 1), np.complex128)
    for row, rng, spectrum in zip(noise.reshape(len(rngs), -1), rngs, sigma2, strict=True):
        draws = rng.standard_normal((2, len(plane.shell)))
        row[plane.flat_index] = (draws[0] + 1j * draws[1]) * np.sqrt(spectrum[plane.shell])
    upper = noise[:, 1 : (box + 1) // 2, 0]
    noise[:, box // 2 + 1 :, 0] = np.conj(upper[:, ::-1])  # Friedel mates of the column kx = 0
    return fourier.inverse(noise, box)
