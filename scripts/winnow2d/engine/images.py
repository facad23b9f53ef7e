"""From raw images to half spectra: normalised, centred by the old offset, masked, transformed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from winnow2d.numerics import fourier
from winnow2d.numerics.ctf import ctf_values
from winnow2d.numerics.grids import HalfPlane
from winnow2d.numerics.masks import fill_solvent
from winnow2d.numerics.shells import shell_sums
from winnow2d.records import OpticsGroup, Particles

MASK_EDGE_PX = 5.0  # RELION's width of the soft edge of the particle mask


@dataclass(frozen=True)
class Spectra:
    """The prepared images of a chunk.

    Attributes
    ----------
    masked, unmasked : (n, p) complex arrays
        Half planes in the order of `HalfPlane`, the masked one for likelihood and noise, the unmasked one
        for the class averages.
    power : (n, s) float64 array
        Sum of |masked|**2 per shell over the whole half plane.
    """

    masked: np.ndarray
    unmasked: np.ndarray
    power: np.ndarray


def shifted(images: np.ndarray, shift_px: np.ndarray) -> np.ndarray:
    """Return images moved by whole pixels; what enters from outside is zero.

    Parameters
    ----------
    images : (n, y, x) array
    shift_px : (n, 2) int array, x then y
    """
    if not shift_px.any():
        return images
    moved = np.zeros_like(images)
    box = images.shape[-1]
    for image, out, (dx, dy) in zip(images, moved, shift_px, strict=True):
        if abs(dx) < box and abs(dy) < box:
            out[max(dy, 0) : box + min(dy, 0), max(dx, 0) : box + min(dx, 0)] = image[
                max(-dy, 0) : box + min(-dy, 0), max(-dx, 0) : box + min(-dx, 0)
            ]
    return moved


def half_plane_spectra(images: np.ndarray, plane: HalfPlane, n_px: int | None = None) -> np.ndarray:
    """Return the centred half planes (n, p) of images (n, y, x), at most the first `n_px` pixels."""
    index, sign = plane.flat_index[:n_px], plane.sign[:n_px]
    spectra = fourier.forward(images).reshape(len(images), -1)[:, index]
    return spectra * sign.astype(images.dtype)


def prepare(
    images: np.ndarray,
    norm_factor: np.ndarray,
    shift_px: np.ndarray,
    mask: np.ndarray,
    plane: HalfPlane,
    solvent_noise: np.ndarray | None = None,
) -> Spectra:
    """Return the spectra of a chunk of raw images.

    Parameters
    ----------
    images : (n, y, x) float array
    norm_factor : (n,) array
        Average norm correction over the particle's own.
    shift_px : (n, 2) int array
        Old offsets rounded to pixels.
    mask : (y, x) array
    solvent_noise : (n, y, x) array, optional
        What stands outside the mask; the average of the surroundings if not given.
    """
    images = shifted(images * norm_factor[:, None, None].astype(images.dtype), shift_px)
    soft = mask.astype(images.dtype)
    if solvent_noise is None:
        masked_images = fill_solvent(images, soft)
    else:
        masked_images = images * soft + (1 - soft) * solvent_noise.astype(images.dtype)
    masked = half_plane_spectra(masked_images, plane)
    power = shell_sums(masked.real**2 + masked.imag**2, plane.shell, plane.n_shells)
    return Spectra(masked, half_plane_spectra(images, plane), power)


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


def transfer_functions(
    particles: Particles,
    rows: np.ndarray,
    optics: Sequence[OpticsGroup],
    plane: HalfPlane,
    n_px: int,
    intact_first_peak: bool,
) -> np.ndarray:
    """Return the CTFs (n, p) of some particles on the first `n_px` pixels, float64."""
    values = np.empty((len(rows), n_px))
    for g in np.unique(particles.optics_group[rows]):
        group = optics[g]
        here = np.flatnonzero(particles.optics_group[rows] == g)
        at = rows[here]
        length = group.box_px * group.pixel_size_ang
        values[here] = ctf_values(
            plane.kx[:n_px] / length,
            plane.ky[:n_px] / length,
            particles.defocus_u_ang[at, None],
            particles.defocus_v_ang[at, None],
            particles.defocus_angle_deg[at, None],
            group.voltage_kv,
            group.spherical_aberration_mm,
            group.amplitude_contrast,
            particles.phase_shift_deg[at, None],
            particles.ctf_bfactor_ang2[at, None],
            particles.ctf_scale[at, None],
            intact_first_peak,
        )
    return values
