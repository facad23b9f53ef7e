"""Simulated micrographs as files: MRC, micrographs_ctf.star, and coordinates as RELION's AutoPick lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from winnow2d.formats import labels
from winnow2d.formats.coordinates import COORDINATE_FILE, COORDINATE_FILES, FIGURE_OF_MERIT, X, Y, micrograph_stem
from winnow2d.formats.extracted_stack import write_extracted
from winnow2d.formats.micrograph_table import MICROGRAPH_PIXEL_SIZE
from winnow2d.formats.star import number_column, write_star
from winnow2d.records import MicrographCtfs

_DECIMALS = 6


def micrograph_name(field: Any, folder: str) -> str:
    """Return the name of a simulated micrograph in the project."""
    return f"{folder}/{Path(micrograph_stem(field.name)).name}.mrc"


def picks_name(micrograph: str) -> str:
    """Return the file with what was picked on a micrograph."""
    return f"{micrograph_stem(micrograph)}_autopick.star"


def write_field(field: Any, folder: str, pixel_size_ang: float) -> None:
    """Write a simulated micrograph and its picks below a folder of the project."""
    name = micrograph_name(field, folder)
    write_extracted(name, [field.pixels[None]], pixel_size_ang)
    write_star(picks_name(name), {"": _picks(field)})


def _picks(field: Any) -> pd.DataFrame:
    x, y = (number_column(field.coordinates_px[:, axis], _DECIMALS) for axis in (0, 1))
    return pd.DataFrame({X: x, Y: y, FIGURE_OF_MERIT: number_column(field.merit, _DECIMALS)}, dtype=object)


def truth_of(field: Any, folder: str, pixel_size_ang: float) -> pd.DataFrame:
    """Return what is true of the picks of a micrograph; shifts as in `extraction.truth_rows`."""
    table = _picks(field).drop(columns=FIGURE_OF_MERIT)
    table.insert(0, labels.MICROGRAPH_NAME, micrograph_name(field, folder))
    table["winnowKind"] = field.kinds
    for axis, label in enumerate((labels.ANGLE_ROT, labels.ANGLE_TILT, labels.ANGLE_PSI)):
        table[label] = number_column(field.euler_deg[:, axis], _DECIMALS)
    for axis, label in enumerate(("winnowShiftX", "winnowShiftY")):
        table[label] = number_column(field.shift_px[:, axis] * pixel_size_ang, _DECIMALS)
    return table


def write_tables(
    ctfs: MicrographCtfs, pixel_size_ang: float, names: list[str], micrographs: str | Path, coordinates: str | Path
) -> None:
    """Write micrographs_ctf.star and the list of coordinate files of simulated micrographs.

    Parameters
    ----------
    ctfs : MicrographCtfs of the m micrographs
    names : list of m str
        Of the micrographs in the project.
    """
    optics = {
        labels.OPTICS_GROUP_NAME: "opticsGroup1",
        labels.OPTICS_GROUP: 1,
        "rlnMicrographOriginalPixelSize": float(pixel_size_ang),
        labels.VOLTAGE: float(ctfs.voltage_kv),
        labels.SPHERICAL_ABERRATION: float(ctfs.spherical_aberration_mm),
        labels.AMPLITUDE_CONTRAST: float(ctfs.amplitude_contrast),
        MICROGRAPH_PIXEL_SIZE: float(pixel_size_ang),
    }
    columns = {
        labels.DEFOCUS_U: ctfs.defocus_u_ang,
        labels.DEFOCUS_V: ctfs.defocus_v_ang,
        labels.DEFOCUS_ANGLE: ctfs.defocus_angle_deg,
        "rlnCtfFigureOfMerit": ctfs.figure_of_merit,
        "rlnCtfMaxResolution": ctfs.max_resolution_ang,
        labels.PHASE_SHIFT: ctfs.phase_shift_deg,
    }
    rows = pd.DataFrame({labels.MICROGRAPH_NAME: names, labels.OPTICS_GROUP: "1"}, dtype=object)
    rows = rows.assign(**{label: number_column(values, _DECIMALS) for label, values in columns.items()})
    listed = {labels.MICROGRAPH_NAME: names, COORDINATE_FILE: [picks_name(name) for name in names]}
    write_star(coordinates, {COORDINATE_FILES: pd.DataFrame(listed, dtype=object)})
    write_star(micrographs, {"optics": pd.DataFrame([optics]), "micrographs": rows})
