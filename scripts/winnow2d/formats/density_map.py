"""Density maps: MRC volumes with the pixel size in the header."""

from __future__ import annotations

import os
from pathlib import Path

import mrcfile
import numpy as np

from winnow2d.errors import ImageError


def read_density_map(path: str | os.PathLike) -> tuple[np.ndarray, float]:
    """Return a map (z, y, x) float32 and its pixel size in Angstrom.

    Raises
    ------
    ImageError
        If the file is missing, is no MRC volume, or has no pixel size, or not the same along all axes.
    """
    if not Path(path).is_file():
        raise ImageError(f"{path}: no such file; a density map (MRC) was expected")
    try:
        with mrcfile.open(path) as file:
            values = np.array(file.data, dtype=np.float32)
            sides = [float(file.voxel_size[axis]) for axis in ("z", "y", "x")]
    except ValueError as error:
        raise ImageError(f"{path}: not a readable MRC file ({error})") from None
    if values.ndim != 3:
        raise ImageError(f"{path}: found {values.ndim} dimensions, expected a volume of 3")
    if min(sides) <= 0 or max(sides) > 1.01 * min(sides):
        raise ImageError(f"{path}: found the voxel {sides} A (z, y, x), expected one positive pixel size")
    return values, sides[2]
