"""Image stacks as the content of MRC files, with the header RELION writes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from winnow2d.errors import ImageError, problems_of
from winnow2d.formats.atomic import replaced

Bytes = bytes | memoryview
_LABEL = b"Winnow image stack"  # fixed: a time of day would make equal stacks differ


def write_stack(path: str | os.PathLike, images: np.ndarray, pixel_size_ang: float) -> None:
    """Write images as a float32 stack with RELION's header, whole or not at all.

    Parameters
    ----------
    path : path
        File name ending in .mrcs.
    images : (n, y, x) array
    pixel_size_ang : float
        Stands in the header for x and y; sections are 1 A apart, as RELION writes it.

    Raises
    ------
    ImageError
        If there is no image, or a pixel is nan or infinite.
    """
    with replaced(path) as (temporary,), open(temporary, "wb") as file, problems_of(path):
        file.writelines(stack_parts(images, pixel_size_ang))


def stack_parts(images: np.ndarray, pixel_size_ang: float) -> Iterator[Bytes]:
    """Yield the content of a stack's file: its header, then its pixels; see `write_stack`."""
    images = np.asarray(images)
    if images.ndim != 3 or images.size == 0:
        raise ImageError(f"expected images as (n, y, x), found shape {images.shape}")
    pixels = np.ascontiguousarray(images, dtype="<f4")
    lowest, highest = float(pixels.min()), float(pixels.max())
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise ImageError("the images hold nan or infinite pixels")
    yield _stack_header(pixels, lowest, highest, pixel_size_ang).tobytes()
    yield pixels.data


def _stack_header(pixels: np.ndarray, lowest: float, highest: float, pixel_size_ang: float) -> np.ndarray:
    """Return the header RELION writes for a class stack (everything not set here is zero)."""
    n_images, box_y, box_x = pixels.shape
    header = np.zeros((), dtype=HEADER_DTYPE.newbyteorder("<"))
    header["nx"], header["ny"], header["nz"], header["mode"] = box_x, box_y, n_images, 2
    header["mx"], header["my"], header["mz"] = box_x, box_y, n_images
    header["cella"] = (box_x * pixel_size_ang, box_y * pixel_size_ang, n_images * 1.0)
    header["cellb"] = (90.0, 90.0, 90.0)
    header["mapc"], header["mapr"], header["maps"] = 1, 2, 3
    means = pixels.mean(axis=(1, 2), dtype=np.float64)
    squares = np.array([np.mean((image.astype(np.float64) - means.mean()) ** 2) for image in pixels])
    header["dmin"], header["dmax"], header["dmean"] = lowest, highest, means.mean()
    header["rms"] = np.sqrt(squares.mean())
    header["map"], header["machst"] = b"MAP ", (68, 65, 0, 0)
    header["nlabl"] = 1
    header["label"][0] = _LABEL
    return header
