"""The stack of one micrograph, written a few images at a time: memory never holds more than those."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from winnow2d.errors import ImageError
from winnow2d.formats.atomic import replaced
from winnow2d.formats.mrc import HEADER_BYTES

_LABEL = b"Winnow image stack"
_MODE = {np.dtype("<f4"): 2, np.dtype("<f2"): 12}


def write_extracted(
    path: str | os.PathLike, parts: Iterable[np.ndarray], pixel_size_ang: float, is_float16: bool = False
) -> int:
    """Write images to a stack with the header RELION's Extract writes, whole or not at all; return their number.

    It is not waited for until the stack is on disk: see `atomic.flush`.

    Parameters
    ----------
    path : path
        File name ending in .mrcs.
    parts : (some, y, x) arrays
        All images, in order; asked for one part after the other.
    pixel_size_ang : float
    is_float16 : bool
        Half the size on disk; RELION before 4 cannot read it.

    Raises
    ------
    ImageError
        If there is no image, a pixel is nan or infinite, or does not fit in 16 bits.
    """
    dtype, summary = np.dtype("<f2" if is_float16 else "<f4"), _Summary()
    with replaced(path, is_durable=False) as (temporary,), open(temporary, "wb") as file:
        file.write(bytes(HEADER_BYTES))
        for images in parts:
            summary.add(images, Path(path), is_float16)
            with np.errstate(over="ignore"):
                file.write(np.ascontiguousarray(images, dtype=dtype).data)
        if not summary.n_images:
            raise ImageError(f"{path}: there is no image to write")
        file.seek(0)
        file.write(summary.header(pixel_size_ang, _MODE[dtype]).tobytes())
    return summary.n_images


class _Summary:
    """What the header tells of all pixels, gathered image by image."""

    def __init__(self) -> None:
        self.n_images, self._shape = 0, (0, 0)
        self._lowest, self._highest = np.inf, -np.inf
        self._means: list[np.ndarray] = []
        self._variances: list[np.ndarray] = []

    def add(self, images: np.ndarray, path: Path, is_float16: bool) -> None:
        lowest, highest = float(images.min()), float(images.max())
        if not (np.isfinite(lowest) and np.isfinite(highest)):
            raise ImageError(f"{path}: the images would hold nan or infinite pixels")
        if is_float16 and max(-lowest, highest) > float(np.finfo(np.float16).max):
            raise ImageError(
                f"{path}: pixels up to {max(-lowest, highest):g} do not fit in float16; say extract: {{do_float16: No}}"
            )
        self.n_images, self._shape = self.n_images + len(images), images.shape[-2:]
        self._lowest, self._highest = min(self._lowest, lowest), max(self._highest, highest)
        # pairwise sums: exact enough in single precision, and the same for any number of threads
        means, squares = (values.mean(axis=(1, 2)).astype(np.float64) for values in (images, np.square(images)))
        self._means.append(means)
        self._variances.append(np.maximum(squares - means**2, 0.0))

    def header(self, pixel_size_ang: float, mode: int) -> np.ndarray:
        """Return the header; one section per image, which is what mz = 1 says (everything not set is zero)."""
        header = np.zeros((), dtype=HEADER_DTYPE.newbyteorder("<"))
        y, x = self._shape
        header["nx"], header["ny"], header["nz"], header["mode"] = x, y, self.n_images, mode
        header["mx"], header["my"], header["mz"] = x, y, 1
        header["cella"], header["cellb"] = (x * pixel_size_ang, y * pixel_size_ang, 1.0), (90.0, 90.0, 90.0)
        header["mapc"], header["mapr"], header["maps"] = 1, 2, 3
        header["dmin"], header["dmax"] = self._lowest, self._highest
        header["dmean"] = np.concatenate(self._means).mean()
        header["rms"] = np.sqrt(np.concatenate(self._variances).mean())
        header["map"], header["machst"] = b"MAP ", (68, 65, 0, 0)
        header["nlabl"] = 1
        header["label"][0] = _LABEL
        return header
