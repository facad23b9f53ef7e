"""Particle files from before optics groups (RELION 1 to 3.0), brought to the form of RELION 3.1 and later."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from winnow2d.errors import ImageError, StarError, WinnowError
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
# Columns without which there is no optics group, and what is lost with each.
_NEEDED = {
    labels.IMAGE_NAME: "there are no images",
    labels.VOLTAGE: "the wavelength of the CTF cannot be known",
    labels.SPHERICAL_ABERRATION: "the CTF cannot be known",
    "rlnDetectorPixelSize": "the pixel size cannot be known",
    "rlnMagnification": "the pixel size cannot be known",
}
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
        Without image names, voltage, aberration, detector pixel size or magnification, with cells there
        that are not numbers, or boxes that cannot be used; all problems together.
    """
    problems = _missing(particles, path)
    present = [label for label in _OPTICS_COLUMNS if label in particles.columns]
    columns = {label: _numbers(particles, label, path, problems) for label in present}
    shifts = {old: _numbers(particles, old, path, problems) for old in _PIXEL_COLUMNS if old in particles.columns}
    for label in _OPTICS_COLUMNS[-2:]:
        if label in columns and (columns[label] <= 0).any():
            row = int(np.argmax(columns[label] <= 0))
            found = particles[label].iloc[row]
            problems.append(f"{path}: row {row + 1}: {label} is {found}, expected a number above 0 for the pixel size")
    group, first_rows = _groups(np.stack([*columns.values()], axis=1) if columns else np.zeros((len(particles), 1)))
    boxes = _boxes(particles, first_rows, path, problems)
    if problems:
        raise StarError(*problems)
    sizes = 10000.0 * columns["rlnDetectorPixelSize"] / columns["rlnMagnification"]
    optics = pd.DataFrame(
        {
            labels.OPTICS_GROUP_NAME: [f"opticsGroup{i + 1}" for i in range(len(first_rows))],
            labels.OPTICS_GROUP: [str(i + 1) for i in range(len(first_rows))],
            **{label: particles[label].iloc[first_rows].tolist() for label in present[:-2]},
            labels.IMAGE_PIXEL_SIZE: [format_float(sizes[row]) for row in first_rows],
        },
        dtype=object,
    )
    if all(boxes):
        optics[labels.IMAGE_SIZE] = pd.Series([str(box) for box in boxes], dtype=object)
        optics[labels.IMAGE_DIMENSIONALITY] = pd.Series(["2"] * len(boxes), dtype=object)
    kept = particles.drop(columns=present)
    for old, values in shifts.items():
        new = _PIXEL_COLUMNS[old]
        kept[old] = pd.Series(number_column(values * sizes, 6), dtype=object, index=kept.index)
        kept = kept.drop(columns=[new], errors="ignore").rename(columns={old: new})
    kept[labels.OPTICS_GROUP] = pd.Series([str(i + 1) for i in group], dtype=object, index=kept.index)
    return optics, kept


def _missing(particles: pd.DataFrame, path: Path) -> list[str]:
    """Return one sentence per column that must be there, saying what cannot be known without it."""
    return [
        f"{path}: no table data_optics, and the particle table lacks {label}: {loss}. Add the column, or import the "
        "particles with RELION 3.1 or later"
        for label, loss in _NEEDED.items()
        if label not in particles.columns
    ]


def _numbers(frame: pd.DataFrame, label: str, path: Path, problems: list[str]) -> np.ndarray:
    """Return a column as (n,) float64, NaN where it holds no finite number; such cells are a problem."""
    values = pd.to_numeric(frame[label], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan).copy()
    is_bad = ~np.isfinite(values)
    if is_bad.any():
        row = int(np.argmax(is_bad))
        found = f"{label} is '{frame[label].iloc[row]}', expected a number"
        problems.append(f"{path}: row {row + 1}: {found}; {int(is_bad.sum())} such rows")
    values[is_bad] = np.nan
    return values


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


def _boxes(particles: pd.DataFrame, rows: list[int], path: Path, problems: list[str]) -> list[int | None]:
    """Return the box of the images of some rows, noting what is wrong with them."""
    boxes: list[int | None] = []
    for row in rows if labels.IMAGE_NAME in particles.columns else []:
        try:
            boxes.append(_box(particles[labels.IMAGE_NAME].iloc[row], path))
        except WinnowError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    return boxes


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
