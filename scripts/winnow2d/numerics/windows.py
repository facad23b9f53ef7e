"""Particles out of a micrograph: windows cut, rescaled, cleaned of dust, their background made level, inverted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from winnow2d.numerics import fourier
from winnow2d.numerics.kernels.windows import level

SMALLEST_DEVIATION = 1e-10  # of a background; below, an image is left undivided, as RELION does
_SPARSE = 16  # every n-th row and column give a micrograph's mean well enough
_PIXELS_AT_ONCE = 2**18  # of windows worked on together: what a processor's cache holds


@dataclass(frozen=True)
class Windowing:
    """What is done to each window, in this order.

    Attributes
    ----------
    box_px : even width cut from the micrograph
    output_px : even width of the images; other than `box_px`, windows are rescaled in Fourier space
    do_normalise : fit a plane to the background and take it away, then give the background mean 0 and
        standard deviation 1
    background_radius_px : whole number, in pixels of the images; farther than that from pixel output_px // 2 is
        background
    white_dust, black_dust : pixels this many standard deviations above or below the background's mean are
        replaced by noise of that mean and deviation; not above 0: none are
    do_invert : change the sign, after all else
    """

    box_px: int
    output_px: int
    do_normalise: bool = True
    background_radius_px: int = 0
    white_dust: float = -1.0
    black_dust: float = -1.0
    do_invert: bool = False
    background: np.ndarray = field(init=False, repr=False, compare=False)  # (y, x), 1 outside the circle
    inverse_moments: np.ndarray = field(init=False, repr=False, compare=False)  # (3, 3)

    def __post_init__(self) -> None:
        axis = np.arange(self.output_px) - self.output_px // 2
        is_background = axis[:, None] ** 2 + axis**2 > self.background_radius_px**2
        object.__setattr__(self, "background", is_background.astype(np.float64))
        object.__setattr__(self, "inverse_moments", _inverse_moments(axis, is_background))

    @property
    def does_nothing(self) -> bool:
        """Whether images are the windows as they were cut, but for their sign."""
        return self.box_px == self.output_px and not self.do_normalise


def _inverse_moments(axis: np.ndarray, is_background: np.ndarray) -> np.ndarray:
    """Return the inverse of the sums over the background of the products of 1, x and y, (3, 3)."""
    rows, columns = np.nonzero(is_background)
    terms = np.stack([np.ones(len(rows)), axis[columns], axis[rows]])
    return np.linalg.pinv(np.einsum("ip,jp->ij", terms, terms))


def overlaps(micrograph_shape: tuple[int, ...], centres_px: np.ndarray, box_px: int) -> np.ndarray:
    """Return which windows (n,) have any pixel of the micrograph (y, x) in them; see `extracted`."""
    first = np.trunc(centres_px) - box_px // 2
    height, width = micrograph_shape
    return ((first > -box_px) & (first < [width, height])).all(axis=1)


def extracted(
    micrograph: np.ndarray, centres_px: np.ndarray, windowing: Windowing, seeds: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield images (some, y, x) float32 of the particles, in their order, as many as are worked on together.

    What was yielded may be overwritten when the next is asked for.

    Parameters
    ----------
    micrograph : (y, x) float32 array
    centres_px : (n, 2) array
        x then y, from 0; the fraction is cut off, as RELION does, so -0.5 is pixel 0.
    windowing : Windowing
    seeds : (n,) uint64 array
        What the noise in the place of dust is drawn from, one per particle.

    Notes
    -----
    Source: `preprocessing.cpp` of RELION, extractParticlesFromOneMicrograph and performPerImageOperations;
    tests/relion/test_extract_31.py compares with the program.
    """
    # Counts of electrons have a mean far above their spread: most of it taken away, single precision suffices.
    offset = np.float32(0 if windowing.does_nothing else micrograph[::_SPARSE, ::_SPARSE].mean(dtype=np.float64))
    first = np.trunc(centres_px).astype(np.int64) - windowing.box_px // 2
    n_at_once = max(1, _PIXELS_AT_ONCE // windowing.box_px**2)
    room = np.empty((min(n_at_once, len(first)), windowing.box_px, windowing.box_px), dtype=np.float32)
    for start in range(0, len(first), n_at_once):
        some = first[start : start + n_at_once]
        windows = room[: len(some)]
        for window, (left, top) in zip(windows, some.tolist(), strict=True):
            _cut(micrograph, left, top, offset, window)
        yield processed(windows, windowing, seeds[start : start + n_at_once], float(offset))


def _cut(micrograph: np.ndarray, left: int, top: int, offset: np.float32, window: np.ndarray) -> None:
    """Fill a window (y, x) with a micrograph's pixels less an offset; beyond an edge, its nearest pixel stands."""
    box_px, (height, width) = len(window), micrograph.shape
    if left >= 0 and top >= 0 and left + box_px <= width and top + box_px <= height:
        np.subtract(micrograph[top : top + box_px, left : left + box_px], offset, out=window)
        return
    rows = np.clip(np.arange(top, top + box_px), 0, height - 1)
    columns = np.clip(np.arange(left, left + box_px), 0, width - 1)
    np.subtract(micrograph[np.ix_(rows, columns)], offset, out=window)


def processed(windows: np.ndarray, windowing: Windowing, seeds: np.ndarray, offset: float = 0.0) -> np.ndarray:
    """Return what becomes of windows (n, y, x) float32 less an offset; they may be overwritten; see `extracted`."""
    images = windows
    if windowing.output_px != windowing.box_px:
        images = fourier.rescaled(windows, windowing.output_px)
    sign = -1.0 if windowing.do_invert else 1.0
    if windowing.do_normalise:
        if windowing.white_dust > 0 or windowing.black_dust > 0:
            _replace_dust(images, windowing, seeds)
        level(images, windowing.background, windowing.inverse_moments, sign, SMALLEST_DEVIATION)
        return images
    images += np.float32(offset)
    return -images if windowing.do_invert else images


def _replace_dust(images: np.ndarray, windowing: Windowing, seeds: np.ndarray) -> None:
    """Put noise in the place of pixels far outside what the background of each image has."""
    is_background = windowing.background > 0
    for image, seed in zip(images, seeds, strict=True):
        values = image[is_background].astype(np.float64)
        mean, deviation = values.mean(), values.std()
        is_dust = np.zeros(image.shape, dtype=bool)
        if windowing.white_dust > 0:
            is_dust |= image > mean + windowing.white_dust * deviation
        if windowing.black_dust > 0:
            is_dust |= image < mean - windowing.black_dust * deviation
        if is_dust.any():
            noise = np.random.default_rng(int(seed)).standard_normal(int(is_dust.sum()))
            image[is_dust] = mean + deviation * noise
