"""The only Fourier transforms: forward divided by N**2, phase origin at pixel (N/2, N/2)."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from . import pocketfft
from .arrays import array_module

Array = Any


def forward(images: Array) -> Array:
    """Return the half spectra of real images, divided by N**2, phase origin still at pixel (0, 0).

    Parameters
    ----------
    images : (..., y, x) real array; its precision is kept

    Returns
    -------
    (..., y, x // 2 + 1) complex array; multiply by `HalfPlane.sign` to move the origin to the centre
    """
    xp = array_module(images)
    return pocketfft.forward(images) if xp is np else xp.fft.rfft2(images, norm="forward")


def inverse(spectra: Array, box_px: int) -> Array:
    """Return the real images of half spectra made by `forward`."""
    xp = array_module(spectra)
    if xp is np:
        return pocketfft.inverse(spectra, box_px)
    return xp.fft.irfft2(spectra, s=(box_px, box_px), norm="forward")


def _transforms(array: Array) -> ModuleType:
    """Return the module of transforms for an array; SciPy's is imported where a job has use for it."""
    xp = array_module(array)
    if xp is not np:
        return xp.fft
    import scipy.fft

    return scipy.fft


@lru_cache(maxsize=8)
def centre_signs(box_px: int, xp: ModuleType = np) -> Array:
    """Return (-1)**(kx + ky) on the half spectrum, (y, x // 2 + 1), made by module `xp`."""
    return xp.where((xp.arange(box_px)[:, None] + xp.arange(box_px // 2 + 1)) % 2 == 1, -1.0, 1.0)


def pad(images: Array, padded_px: int) -> Array:
    """Return images surrounded by zeros up to `padded_px`, centre on centre."""
    xp = array_module(images)
    before = padded_px // 2 - images.shape[-1] // 2
    after = padded_px - images.shape[-1] - before
    widths = [(0, 0)] * (images.ndim - 2) + [(before, after)] * 2
    return xp.pad(images, widths)


def crop(images: Array, box_px: int) -> Array:
    """Return the central `box_px` pixels of images, centre on centre."""
    start = images.shape[-1] // 2 - box_px // 2
    return images[..., start : start + box_px, start : start + box_px]


def shift_phases(kx: Array, ky: Array, shifts_px: Array, box_px: int) -> Array:
    """Return exp(-2 pi i k.t / N): multiplying by it shifts an image by +t.

    Parameters
    ----------
    kx, ky : (p,) arrays
    shifts_px : (t, 2) array, x then y

    Returns
    -------
    (t, p) complex128 array
    """
    turns = (shifts_px[:, :1] * kx + shifts_px[:, 1:] * ky) / box_px
    return array_module(turns).exp(-2j * np.pi * turns)


def rescaled(images: Array, box_px: int) -> Array:
    """Return images in a box of another number of pixels over the same length, cut or padded in Fourier space.

    The mean of every image is kept. Rows are transformed first and only the columns that stay go on, so going
    down costs little more than half of two whole transforms.

    Parameters
    ----------
    images : (n, y, x) real array, an even box; its precision is kept
    box_px : int, even

    Notes
    -----
    As RELION has it: the frequency row and column at half of the smaller box are kept as they stand on the
    positive side, without their mates; and going up, only frequencies within half of the smaller box stay
    (`fftw.cpp` of RELION, windowFourierTransform; tests/relion/test_extract_31.py).
    """
    xp, transforms, given_px = array_module(images), _transforms(images), images.shape[-1]
    half = min(given_px, box_px) // 2
    columns = transforms.rfft(images, axis=-1, norm="forward")[..., : half + 1]
    columns = transforms.fft(xp.ascontiguousarray(columns), axis=-2, norm="forward")
    spectra = xp.zeros((*images.shape[:-2], box_px, box_px // 2 + 1), dtype=columns.dtype)
    spectra[..., : half + 1, : half + 1] = columns[..., : half + 1, :]
    if half > 1:
        spectra[..., 1 - half :, : half + 1] = columns[..., 1 - half :, :]
    if box_px > given_px:
        ky = xp.fft.fftfreq(box_px, 1 / box_px)[:, None]
        spectra *= ky**2 + xp.arange(box_px // 2 + 1) ** 2 <= half**2
    rows = transforms.ifft(spectra[..., : half + 1], axis=-2, norm="forward")
    spectra[..., : half + 1] = rows
    return transforms.irfft(spectra, n=box_px, axis=-1, norm="forward")


def shift_phases_on_grid(kx: Array, ky: Array, shifts_px: Array, box_px: int) -> Array:
    """Return `shift_phases` at whole frequencies, as products of waves along x and y: a quarter of the time."""
    xp = array_module(shifts_px)
    most = box_px // 2
    waves = xp.exp((-2j * np.pi / box_px) * shifts_px[..., None] * xp.arange(-most, most + 1))  # (t, x or y, k)
    return xp.ascontiguousarray(waves[:, 0, kx + most] * waves[:, 1, ky + most])  # indexed arrays need not be
