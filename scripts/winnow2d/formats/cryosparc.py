"""Particles of cryoSPARC (.cs) as a particle table in RELION's terms; numbers are converted here and nowhere else.

cryoSPARC counts images, classes and optics (exposure) groups from 0, gives angles in rad, coordinates as fractions of
the micrograph (whose shape is rows, columns) and shifts (x, y) in pixels. A shift has RELION's sign: the particle lies
at the centre of its box minus the shift. An in-plane angle has RELION's sense, as the converter in general use
(pyem's csparc2star) takes it; that could not be tried with cryoSPARC itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from winnow2d.errors import StarError
from winnow2d.formats import labels
from winnow2d.formats.particles import ParticleTable
from winnow2d.formats.star import format_float, number_column

logger = logging.getLogger(__name__)

Fields = Mapping[str, np.ndarray]
SUFFIX = ".cs"
_NEEDED = {
    "blob/path": "there are no images", "blob/idx": "there are no images", "blob/shape": "the box is unknown",
    "blob/psize_A": "the pixel size is unknown", "ctf/accel_kv": "the voltage is unknown",
    "ctf/cs_mm": "the spherical aberration is unknown", "ctf/amp_contrast": "the amplitude contrast is unknown",
}  # fmt: skip
# Particle columns that are one field times a factor.
_SCALED: dict[str, tuple[str, float]] = {
    labels.DEFOCUS_U: ("ctf/df1_A", 1.0),
    labels.DEFOCUS_V: ("ctf/df2_A", 1.0),
    labels.DEFOCUS_ANGLE: ("ctf/df_angle_rad", 180 / np.pi),
    labels.PHASE_SHIFT: ("ctf/phase_shift_rad", 180 / np.pi),
    "rlnCtfMaxResolution": ("ctf/ctf_fit_to_A", 1.0),
    "rlnCtfFigureOfMerit": ("ctf/cross_corr_ctffind4", 1.0),
    "rlnAutopickFigureOfMerit": ("pick_stats/ncc_score", 1.0),
    labels.ANGLE_PSI: ("alignments2D/pose", 180 / np.pi),
}
# Fields whose meaning is lost where they are set, and what to tell of it.
_NOT_CONVERTED = {
    "ctf/tilt_A": "beam tilt is not converted", "ctf/trefoil_A": "trefoil is not converted",
    "ctf/tetra_A": "tetrafoil is not converted", "ctf/anisomag": "anisotropic magnification is not converted",
    "blob/sign": "these images show dark particles; RELION and Winnow want light ones",
}  # fmt: skip


def read_cryosparc_table(path: str | Path, passthrough: str | Path = "") -> ParticleTable:
    """Return the particles of a .cs file, in its order.

    Parameters
    ----------
    path : path
    passthrough : path or empty
        The file with the fields the job did not change. Empty: one beside it with "passthrough" in its name that
        has all these particles.

    Raises
    ------
    StarError
        The package cryosparc-tools is missing, a file cannot be read, particles are missing in the passthrough file,
        or fields are missing.
    """
    fields = _with_passthrough(_load(Path(path)), Path(path), str(passthrough))
    missing = [f"{name} ({loss})" for name, loss in _NEEDED.items() if name not in fields]
    if missing:
        raise StarError(
            f"{path}: no field {', '.join(missing)}. Name the passthrough file of the same job: "
            "own: {passthrough: path/to/..._passthrough_particles.cs}."
        )
    if len(fields["uid"]) == 0:
        raise StarError(f"{path}: no particles in it")
    optics, group = _optics(fields, str(path))
    columns: dict[str, Any] = {labels.IMAGE_NAME: _image_names(fields)}
    columns |= _places(fields, str(path))
    columns[labels.OPTICS_GROUP] = number_column(group + 1)
    columns |= _numbers(fields, str(path))
    _tell_what_is_left(fields, str(path))
    return ParticleTable(optics, pd.DataFrame(columns, dtype=object))


def _load(path: Path) -> dict[str, np.ndarray]:
    """Return the fields of a .cs file by name, (n,) or (n, 2), texts as str."""
    try:
        from cryosparc.dataset import Dataset
        from cryosparc.errors import DatasetLoadError
    except ImportError as error:
        raise StarError(
            f"{path}: reading .cs files needs the package cryosparc-tools, which is not installed ({error}). "
            "Install it (pip install cryosparc-tools), or convert the file to STAR."
        ) from None
    if not path.is_file():
        raise StarError(f"{path}: no such file")
    try:
        dataset = Dataset.load(path)
    except (DatasetLoadError, OSError, ValueError, TypeError, KeyError, EOFError) as error:
        raise StarError(f"{path}: cannot be read as a .cs file ({' '.join(str(error).split())[:200]})") from None
    return {name: np.asarray(dataset[name]) for name in dataset.fields()}


def _with_passthrough(fields: dict[str, np.ndarray], path: Path, passthrough: str) -> dict[str, np.ndarray]:
    """Return the fields with those another file of the same job has of the same particles."""
    candidates = [Path(passthrough)] if passthrough else sorted(path.parent.glob("*passthrough*" + SUFFIX))
    for candidate in candidates:
        if candidate.absolute() == path.absolute():
            continue
        other = _load(candidate)
        order = np.argsort(other["uid"], kind="stable")
        place = np.searchsorted(other["uid"], fields["uid"], sorter=order).clip(max=max(len(order) - 1, 0))
        rows = order[place] if len(order) else place
        is_there = other["uid"][rows] == fields["uid"] if len(order) else np.zeros(len(place), dtype=bool)
        if is_there.all():
            added = {name: values[rows] for name, values in other.items() if name not in fields}
            logger.info("%s: %d fields from %s", path, len(added), candidate)
            return fields | added
        if passthrough:
            raise StarError(
                f"{candidate}: {int((~is_there).sum()):,} of {len(is_there):,} particles of {path} are not in it, so "
                "it is not the passthrough file of the same job."
            )
    return fields


def _optics(fields: Fields, path: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the optics table, and the row in it of each particle: one per exposure group, pixel size and box."""
    shape = fields["blob/shape"]
    if (shape[:, 0] != shape[:, 1]).any():
        row = int(np.argmax(shape[:, 0] != shape[:, 1]))
        raise StarError(
            f"{path}: particle {row + 1}: its image has {shape[row, 0]} x {shape[row, 1]} pixels, not square"
        )
    exposure_group = fields.get("ctf/exp_group_id", fields.get("location/exp_group_id", np.zeros(len(shape))))
    micrograph_pixel = fields.get("location/micrograph_psize_A", np.zeros(len(shape)))
    names = ("ctf/accel_kv", "ctf/cs_mm", "ctf/amp_contrast", "blob/psize_A")
    values = [exposure_group, shape[:, 0], micrograph_pixel, *(fields[name] for name in names)]
    table = np.stack([_decimal(column) for column in values], axis=1)
    groups, group = np.unique(table, axis=0, return_inverse=True)
    exposure, box, micrograph, *numbers = groups.T
    optics = {
        labels.OPTICS_GROUP_NAME: _group_names(exposure),
        labels.OPTICS_GROUP: number_column(np.arange(len(groups)) + 1),
    }
    if (micrograph > 0).all():
        optics["rlnMicrographOriginalPixelSize"] = number_column(micrograph)
    optics |= {
        label: number_column(column)
        for label, column in zip(
            (labels.VOLTAGE, labels.SPHERICAL_ABERRATION, labels.AMPLITUDE_CONTRAST, labels.IMAGE_PIXEL_SIZE),
            numbers,
            strict=True,
        )
    }
    optics |= {labels.IMAGE_SIZE: number_column(box.astype(np.int64)), labels.IMAGE_DIMENSIONALITY: ["2"] * len(groups)}
    return pd.DataFrame(optics, dtype=object), group.reshape(-1)


def _group_names(exposure: np.ndarray) -> list[str]:
    """Return a name for each optics group, which tells its exposure group; a second one of that is told by a letter."""
    names: list[str] = []
    for number in exposure.astype(np.int64):
        before = sum(name.startswith(f"exposureGroup{number}_") or name == f"exposureGroup{number}" for name in names)
        names.append(f"exposureGroup{number}" + (f"_{before + 1}" if before else ""))
    return names


def _decimal(values: np.ndarray) -> np.ndarray:
    """Return float32 numbers as the decimals they stand for: 1.1 and not 1.10000002."""
    if values.dtype == np.float32:
        return np.array([float(str(value)) for value in values], dtype=np.float64)
    return np.asarray(values, dtype=np.float64)


def _image_names(fields: Fields) -> list[str]:
    """Return image names: 1-based, without the mark > that stands before some paths."""
    paths = [str(path).removeprefix(">") for path in fields["blob/path"]]
    return [
        f"{index + 1:06d}@{path}" for index, path in zip(fields["blob/idx"].astype(int).tolist(), paths, strict=True)
    ]


def _places(fields: Fields, path: str) -> dict[str, Any]:
    """Return micrograph names, and coordinates in pixels of the micrograph."""
    if "location/micrograph_path" not in fields:
        logger.warning("%s: no field location/micrograph_path; particles cannot be traced to micrographs", path)
        return {}
    columns: dict[str, Any] = {
        labels.MICROGRAPH_NAME: [str(name).removeprefix(">") for name in fields["location/micrograph_path"]]
    }
    if {"location/center_x_frac", "location/center_y_frac", "location/micrograph_shape"} <= set(fields):
        shape = fields["location/micrograph_shape"].astype(np.float64)  # rows, columns
        for axis, label, size in zip("xy", labels.COORDINATES, (shape[:, 1], shape[:, 0]), strict=True):
            columns[label] = number_column(fields[f"location/center_{axis}_frac"].astype(np.float64) * size, 6)
    return columns


def _numbers(fields: Fields, path: str) -> dict[str, list[str]]:
    """Return CTF, in-plane angle, offset and class, as far as the file has them."""
    columns = {}
    for label, (name, factor) in _SCALED.items():
        if name in fields and fields[name].ndim == 1:
            columns[label] = _finite(_decimal(fields[name]) * factor, name, path)
    if "alignments2D/shift" in fields:
        pixel = _decimal(fields.get("alignments2D/psize_A", fields["blob/psize_A"]))
        shift = fields["alignments2D/shift"].astype(np.float64) * pixel[:, None]  # x, y
        for axis, label in enumerate((labels.ORIGIN_X, labels.ORIGIN_Y)):
            columns[label] = _finite(shift[:, axis], "alignments2D/shift", path, 6)
    if "alignments2D/class" in fields:
        columns[labels.CLASS_NUMBER] = number_column(fields["alignments2D/class"].astype(np.int64) + 1)
    return columns


def _finite(values: np.ndarray, name: str, path: str, decimals: int | None = None) -> list[str]:
    is_bad = ~np.isfinite(values)
    if is_bad.any():
        row = int(np.argmax(is_bad))
        raise StarError(f"{path}: particle {row + 1}: {name} is {values[row]}, expected a number")
    return number_column(values, decimals)


def _tell_what_is_left(fields: Fields, path: str) -> None:
    """Warn of what the file says and the table cannot."""
    for name, loss in _NOT_CONVERTED.items():
        if name not in fields:
            continue
        values = fields[name].reshape(len(fields[name]), -1).astype(np.float64)
        is_set = ((values < 0) if name == "blob/sign" else (values != 0)).any(axis=1)
        if is_set.any():
            shown = ", ".join(format_float(value) for value in values[int(np.argmax(is_set))])
            logger.warning("%s: %s is set (e.g. %s): %s", path, name, shown, loss)
