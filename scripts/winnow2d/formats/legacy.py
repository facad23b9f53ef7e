"""Particle files from before optics groups (RELION 1 to 3.0), brought to the form of RELION 3.1 and later."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from winnow2d.errors import ImageError, StarError
from winnow2d.formats import labels
from winnow2d.formats.mrc import read_stack_header, split_image_name
from winnow2d.formats.star import format_float, number_column

logger = logging.getLogger(__name__)

# The columns whose values make an optics group; they leave the particle table.
_OPTICS_COLUMNS = (
    labels.AMPLITUDE_CONTRAST,
    "rlnBeamTiltX",
    "rlnBeamTiltY",
    labels.SPHERICAL_ABERRATION,
    labels.VOLTAGE,
    "rlnDetectorPixelSize",
    "rlnMagnification",
)
# Columns in pixels, and what they are called in Angstrom.
_PIXEL_COLUMNS = {
    "rlnOriginX": labels.ORIGIN_X,
    "rlnOriginY": labels.ORIGIN_Y,
    "rlnOriginZ": "rlnOriginZAngst",
    "rlnOriginXPrior": "rlnOriginXPriorAngst",
    "rlnOriginYPrior": "rlnOriginYPriorAngst",
    "rlnOriginZPrior": "rlnOriginZPriorAngst",
    "rlnHelicalTrackLength": "rlnHelicalTrackLengthAngst",
}


def table_without_optics(particles: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return optics and particle tables made of a particle table that has no optics table beside it.

    Particles that agree in contrast, beam tilt, aberration, voltage, detector pixel and magnification make an
    optics group; lengths in pixels become Angstrom.

    Parameters
    ----------
    particles : DataFrame of str
    path : Path
        Where the table comes from; stacks are looked for from the working directory and its folders.

    Returns
    -------
    optics, particles : DataFrame of str
        Without rlnImageSize where no stack was found.

    Raises
    ------
    StarError
        Without image names, voltage, aberration, detector pixel size or magnification, or with cells there
        that are not numbers.
    """
    needed = (labels.IMAGE_NAME, labels.VOLTAGE, labels.SPHERICAL_ABERRATION, *_OPTICS_COLUMNS[-2:])
    missing = [label for label in needed if label not in particles.columns]
    if missing:
        problem = f"{path}: no table data_optics, and the particle table lacks {', '.join(missing)}"
        raise StarError(f"{problem}; the pixel size cannot be known. Import the particles with RELION 3.1 or later")
    present = [label for label in _OPTICS_COLUMNS if label in particles.columns]
    values = np.stack([_numbers(particles, label, path) for label in present], axis=1)
    group, first_rows = _groups(values)
    sizes = 10000.0 * values[:, present.index("rlnDetectorPixelSize")]
    sizes = sizes / values[:, present.index("rlnMagnification")]
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise StarError(f"{path}: detector pixel size and magnification must be above 0")
    optics = pd.DataFrame(
        {
            labels.OPTICS_GROUP_NAME: [f"opticsGroup{i + 1}" for i in range(len(first_rows))],
            labels.OPTICS_GROUP: [str(i + 1) for i in range(len(first_rows))],
            **{label: particles[label].iloc[first_rows].tolist() for label in present[:-2]},
            labels.IMAGE_PIXEL_SIZE: [format_float(sizes[row]) for row in first_rows],
        },
        dtype=object,
    )
    boxes = [_box(particles[labels.IMAGE_NAME].iloc[row], path) for row in first_rows]
    if all(boxes):
        optics[labels.IMAGE_SIZE] = pd.Series([str(box) for box in boxes], dtype=object)
        optics[labels.IMAGE_DIMENSIONALITY] = pd.Series(["2"] * len(boxes), dtype=object)
    kept = particles.drop(columns=present)
    for old, new in _PIXEL_COLUMNS.items():
        if old in kept.columns:
            kept[old] = pd.Series(number_column(_numbers(kept, old, path) * sizes, 6), dtype=object, index=kept.index)
            kept = kept.drop(columns=[new], errors="ignore").rename(columns={old: new})
    kept[labels.OPTICS_GROUP] = pd.Series([str(i + 1) for i in group], dtype=object, index=kept.index)
    return optics, kept


def _numbers(frame: pd.DataFrame, label: str, path: Path) -> np.ndarray:
    try:
        return np.array([float(text) for text in frame[label]], dtype=np.float64)
    except ValueError as error:
        raise StarError(f"{path}: column {label}: expected numbers ({error})") from None


def _groups(values: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Return the group of each row, numbered by first appearance, and the first row of each group."""
    numbers: dict[tuple[float, ...], int] = {}
    first_rows: list[int] = []
    group = np.empty(len(values), dtype=np.int64)
    for row, key in enumerate(map(tuple, values.tolist())):
        if key not in numbers:
            numbers[key] = len(numbers)
            first_rows.append(row)
        group[row] = numbers[key]
    return group, first_rows


def _box(image_name: str, path: Path) -> int | None:
    """Return the box of an image, or None with a warning where its stack is not found."""
    try:
        _, file = split_image_name(image_name)
    except ImageError as error:
        raise StarError(f"{path}: {error}") from None
    for folder in (Path(), path.parent, *path.parent.parents):
        if (folder / file).is_file():
            header = read_stack_header(folder / file)
            if header.box_x != header.box_y or header.box_x % 2:
                raise StarError(
                    f"{folder / file}: {header.box_y} x {header.box_x} pixels; boxes must be square and even"
                )
            return header.box_x
    logger.warning("%s: %s was not found; the box of its images is unknown", path, file)
    return None
