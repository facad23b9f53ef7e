"""data_optics <-> OpticsGroup: the microscope of each optics group, as numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from winnow2d.formats import labels
from winnow2d.records import OpticsGroup

CTF_OF_OPTICS = (labels.VOLTAGE, labels.SPHERICAL_ABERRATION, labels.AMPLITUDE_CONTRAST)
Reader = Callable[..., np.ndarray]


def column_reader(frame: pd.DataFrame, table: str, problems: list[str]) -> Reader:
    """Return a function that gives a column as (n,) float64 and notes cells that are not numbers."""

    def read(label: str, default: float | np.ndarray, is_result: bool = False) -> np.ndarray:
        if label not in frame.columns:
            return np.full(len(frame), default) if np.isscalar(default) else np.array(default)
        texts = frame[label].tolist()
        try:
            values = np.array([float(text) for text in texts], dtype=np.float64)
        except ValueError:
            values = np.array([_float_or_nan(text) for text in texts])
        is_bad = ~np.isfinite(values)
        if is_bad.any() and not is_result:
            row = int(np.flatnonzero(is_bad)[0])
            problems.append(
                f"table data_{table} row {row + 1}: {label} is '{texts[row]}', expected a number; "
                f"{int(is_bad.sum())} such rows"
            )
        return np.where(is_bad, 0.0, values)  # RELION, too, reads a failed result as 0

    return read


def _float_or_nan(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def optics_groups(optics: pd.DataFrame, problems: list[str]) -> list[OpticsGroup]:
    """Return the optics groups; missing or senseless values go to `problems`."""
    needed = (*CTF_OF_OPTICS, labels.IMAGE_PIXEL_SIZE, labels.IMAGE_SIZE)
    problems += [f"table data_optics has no column {label}" for label in needed if label not in optics.columns]
    column = column_reader(optics, "optics", problems)
    names = optics.get(labels.OPTICS_GROUP_NAME, pd.Series([f"opticsGroup{i + 1}" for i in range(len(optics))]))
    dimensions, pixel_sizes = column(labels.IMAGE_DIMENSIONALITY, 2.0), column(labels.IMAGE_PIXEL_SIZE, 1.0)
    boxes, voltages = column(labels.IMAGE_SIZE, 2.0), column(labels.VOLTAGE, 300.0)
    for row in range(len(optics)):
        where = f"table data_optics row {row + 1}"
        if dimensions[row] != 2:
            problems.append(f"{where}: images of {dimensions[row]:g} dimensions; only 2D images can be classified")
        if pixel_sizes[row] <= 0 or voltages[row] <= 0:
            problems.append(f"{where}: voltage and pixel size must be above 0")
        if boxes[row] < 2 or boxes[row] % 2:
            problems.append(f"{where}: {labels.IMAGE_SIZE} is {boxes[row]:g}; the box must be even")
    tilt_x, tilt_y = column(labels.BEAM_TILT_X, 0.0), column(labels.BEAM_TILT_Y, 0.0)
    columns = (
        names.tolist(),
        voltages.tolist(),
        column(labels.SPHERICAL_ABERRATION, 0.0).tolist(),
        column(labels.AMPLITUDE_CONTRAST, 0.0).tolist(),
        pixel_sizes.tolist(),
        boxes.astype(int).tolist(),
        (column(labels.IS_CTF_PREMULTIPLIED, 0.0) != 0).tolist(),
        (column(labels.IS_CTF_CORRECTED, 0.0) != 0).tolist(),
        list(zip(tilt_x.tolist(), tilt_y.tolist(), strict=True)),
        coefficient_column(optics, labels.ODD_ZERNIKE, problems),
        coefficient_column(optics, labels.EVEN_ZERNIKE, problems),
        _magnifications(optics, column),
    )
    return [OpticsGroup(*row) for row in zip(*columns, strict=True)]


def coefficient_column(optics: pd.DataFrame, label: str, problems: list[str]) -> list[tuple[float, ...]]:
    """Return a column of vectors such as [0.1,-2]; no numbers where it is missing or a cell cannot be read."""
    if label not in optics.columns:
        return [()] * len(optics)
    vectors: list[tuple[float, ...]] = []
    for row, text in enumerate(optics[label].tolist()):
        inside = text.strip().removeprefix("[").removesuffix("]").strip()
        vector = tuple(_float_or_nan(cell) for cell in inside.split(",")) if inside else ()
        if not (np.isfinite(vector).all() and text.strip().startswith("[")):
            problems.append(f"table data_optics row {row + 1}: {label} is '{text}', expected numbers as in [0.1,-2,0]")
            vector = ()
        vectors.append(vector)
    return vectors


def _magnifications(optics: pd.DataFrame, column: Reader) -> list[tuple[float, ...]]:
    """Return the magnification matrix of each optics group; none, as in RELION, unless all four columns are there."""
    no_magnification = (1.0, 0.0, 0.0, 1.0)
    if not set(labels.MAGNIFICATION) <= set(optics.columns):
        return [no_magnification] * len(optics)
    return list(zip(*(column(label, 0.0).tolist() for label in labels.MAGNIFICATION), strict=True))
