"""Transforms of an image padded with zeros, up to a radius only: products with the few waves that are needed.

A transform of the padded grid would spend three quarters of its time on zeros and on frequencies nobody looks at.
The phase origin is the centre of the image, pixel (N/2, N/2); the factor is 1 / N**2, of the image without padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from .arrays import array_module, cached_on_device

Array = Any


@dataclass(frozen=True)
class _Waves:
    """Waves of u = 0 ... reach half cycles per box, at the pixels of an image.

    Attributes
    ----------
    forward : (y, 2 (reach + 1)) array: cos, then -sin, over the box squared
    cos, sin : (reach + 1, y) arrays
    back : (2 (reach + 1), x) array: cos, then -sin, each frequency as often as it stands for on the whole plane
    """

    forward: Array
    cos: Array
    sin: Array
    back: Array


@cached_on_device(maxsize=32)
def _waves(box_px: int, padded_px: int, reach: int, xp: ModuleType) -> _Waves:
    turns = np.arange(reach + 1)[:, None] * (np.arange(box_px) - box_px // 2) / padded_px
    cos, sin = np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)
    weight = np.where((np.arange(reach + 1) == 0) | (2 * np.arange(reach + 1) == padded_px), 1.0, 2.0)[:, None]
    forward = np.concatenate([cos, -sin]).T / box_px**2
    back = np.concatenate([weight * cos, -weight * sin]) * (box_px / padded_px) ** 2
    return _Waves(*(xp.asarray(np.ascontiguousarray(part)) for part in (forward, cos, sin, back)))


@lru_cache(maxsize=32)
def _within(radius: int, reach: int) -> np.ndarray:
    """Return which (ky, kx) of 0 ... reach lie within a radius, (reach + 1, reach + 1)."""
    u = np.arange(reach + 1)
    return u[:, None] ** 2 + u**2 <= radius**2


def spectra(images: Array, padded_px: int, radius: int, columns: int) -> Array:
    """Return the half spectra of images (k, y, x) padded to an even `padded_px`, zero beyond |u| = radius.

    Returns
    -------
    (k, padded_px, columns) complex128 array; rows are ky modulo `padded_px`, columns kx
    """
    xp, reach = array_module(images), min(radius, padded_px // 2)
    n, m = len(images), reach + 1
    waves = _waves(images.shape[-1], padded_px, reach, xp)
    along_x = images.astype(xp.float64, copy=False) @ waves.forward
    even, odd = waves.cos @ along_x, waves.sin @ along_x  # (k, ky, re then im)
    inside = xp.asarray(_within(radius, reach))
    out = xp.zeros((n, padded_px, columns), xp.complex128)
    upper, lower = out[:, :m, :m], out[:, padded_px - reach :, :m]
    upper.real, upper.imag = (even[..., :m] + odd[..., m:]) * inside, (even[..., m:] - odd[..., :m]) * inside
    even, odd, inside = even[:, :0:-1], odd[:, :0:-1], inside[:0:-1]  # ky = -reach ... -1
    lower.real, lower.imag = (even[..., :m] - odd[..., m:]) * inside, (even[..., m:] + odd[..., :m]) * inside
    return out


def images(spectra: Array, box_px: int, radius: int) -> Array:
    """Return the images (k, y, x) of half spectra as `spectra` makes them, zero beyond |u| = radius.

    What they hold beyond `box_px` is cut off.
    """
    xp, padded_px = array_module(spectra), spectra.shape[1]
    reach = min(radius, padded_px // 2)
    m = reach + 1
    waves = _waves(box_px, padded_px, reach, xp)
    upper, lower = spectra[:, :m, :m], spectra[:, padded_px - reach :, :m][:, ::-1]
    even, odd = xp.empty((2, len(spectra), m, 2 * m))
    even[:, 0, :m], even[:, 0, m:], odd[:, 0] = upper[:, 0].real, upper[:, 0].imag, 0
    even[:, 1:, :m], even[:, 1:, m:] = upper[:, 1:].real + lower.real, upper[:, 1:].imag + lower.imag
    odd[:, 1:, :m], odd[:, 1:, m:] = lower.imag - upper[:, 1:].imag, upper[:, 1:].real - lower.real
    if 2 * reach == padded_px:  # the last frequency is its own mate
        even[:, reach] /= 2
        odd[:, reach] = 0
    return (waves.cos.T @ even + waves.sin.T @ odd) @ waves.back
