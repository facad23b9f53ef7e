"""What RELION's Extract job reads and writes: micrographs with their CTFs in, particles and their truth out."""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from winnow2d.errors import StarError
from winnow2d.formats.star import number_column, read_star
from winnow2d.records import MicrographCtfs, OpticsGroup, SimulatedMicrograph

_REQUIRED = ("rlnMicrographName", "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
_REQUIRED_OPTICS = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")


def read_micrograph_ctfs(path: str | os.PathLike) -> MicrographCtfs:
    """Return the CTFs of the micrographs of a micrographs STAR file (tables optics and micrographs).

    Columns the file does not have: phase shift 0, resolution 4 A, figure of merit 0.15, one particle each.

    Raises
    ------
    StarError
        If a table or column is missing, a value is no number, or there are several optics groups.
    """
    tables = read_star(path)
    problems = [f"{path}: no table data_{name}" for name in ("optics", "micrographs") if name not in tables]
    if problems:
        raise StarError(*problems, f"{path}: expected a micrographs STAR file as CtfFind writes it (RELION 3.1 on)")
    optics, rows = tables["optics"], tables["micrographs"]
    for name, table, labels in (("optics", optics, _REQUIRED_OPTICS), ("micrographs", rows, _REQUIRED)):
        problems += [f"{path}: data_{name}: no column {label}" for label in labels if label not in table]
    if len(optics) != 1:
        problems.append(f"{path}: data_optics: found {len(optics)} optics groups, expected one")
    if not len(rows):
        problems.append(f"{path}: data_micrographs: found no rows")
    if problems:
        raise StarError(*problems)
    return MicrographCtfs(
        names=rows["rlnMicrographName"].tolist(),
        defocus_u_ang=_numbers(path, rows, "rlnDefocusU"),
        defocus_v_ang=_numbers(path, rows, "rlnDefocusV"),
        defocus_angle_deg=_numbers(path, rows, "rlnDefocusAngle"),
        phase_shift_deg=_numbers(path, rows, "rlnPhaseShift", missing=0.0),
        max_resolution_ang=_numbers(path, rows, "rlnCtfMaxResolution", missing=4.0),
        figure_of_merit=_numbers(path, rows, "rlnCtfFigureOfMerit", missing=0.15),
        n_particles=_numbers(path, rows, "rlnGroupNrParticles", missing=1.0),
        voltage_kv=_numbers(path, optics, "rlnVoltage")[0],
        spherical_aberration_mm=_numbers(path, optics, "rlnSphericalAberration")[0],
        amplitude_contrast=_numbers(path, optics, "rlnAmplitudeContrast")[0],
    )


def extracted_stack(job_directory: str | os.PathLike, micrograph_name: str) -> str:
    """Return the stack Extract writes for a micrograph: its path without Type/jobNNN/, .mrcs, below the job."""
    inner = re.sub(r"^[^/]+/job\d+/", "", micrograph_name)
    return (PurePosixPath(job_directory) / PurePosixPath(inner).with_suffix(".mrcs")).as_posix()


def optics_table(optics: OpticsGroup) -> pd.DataFrame:
    """Return data_optics as Extract writes it for particles that were not rescaled."""
    row = {
        "rlnOpticsGroupName": optics.name,
        "rlnOpticsGroup": 1,
        "rlnMicrographOriginalPixelSize": float(optics.pixel_size_ang),
        "rlnVoltage": float(optics.voltage_kv),
        "rlnSphericalAberration": float(optics.spherical_aberration_mm),
        "rlnAmplitudeContrast": float(optics.amplitude_contrast),
        "rlnImagePixelSize": float(optics.pixel_size_ang),
        "rlnImageSize": optics.box_px,
        "rlnImageDimensionality": 2,
        "rlnCtfDataAreCtfPremultiplied": int(optics.is_ctf_premultiplied),
    }
    return pd.DataFrame([row])


def particle_rows(micrograph: SimulatedMicrograph, ctfs: MicrographCtfs, stack: str) -> pd.DataFrame:
    """Return the rows of data_particles of one micrograph, in Extract's order of columns."""
    n, index = len(micrograph.kinds), micrograph.index
    return pd.DataFrame(
        {
            "rlnCoordinateX": number_column(micrograph.coordinates_px[:, 0], 6),
            "rlnCoordinateY": number_column(micrograph.coordinates_px[:, 1], 6),
            "rlnImageName": image_names(n, stack),
            "rlnMicrographName": micrograph.name,
            "rlnOpticsGroup": "1",
            "rlnCtfMaxResolution": number_column([ctfs.max_resolution_ang[index]] * n, 6),
            "rlnCtfFigureOfMerit": number_column([ctfs.figure_of_merit[index]] * n, 6),
            "rlnDefocusU": number_column([ctfs.defocus_u_ang[index]] * n, 6),
            "rlnDefocusV": number_column([ctfs.defocus_v_ang[index]] * n, 6),
            "rlnDefocusAngle": number_column([ctfs.defocus_angle_deg[index]] * n, 6),
            "rlnCtfBfactor": number_column([0.0] * n, 6),
            "rlnCtfScalefactor": number_column([1.0] * n, 6),
            "rlnPhaseShift": number_column([ctfs.phase_shift_deg[index]] * n, 6),
        }
    )


def truth_rows(micrograph: SimulatedMicrograph, stack: str) -> pd.DataFrame:
    """Return what is true of the particles of one micrograph, row by row as in `particle_rows`.

    winnowShiftX and winnowShiftY (A) say where the particle is seen from the box centre: minus its
    rlnOriginXAngst and rlnOriginYAngst. Kinds without a particle have zeros; an aggregate has the pose
    of the first of its particles.
    """
    return pd.DataFrame(
        {
            "rlnImageName": image_names(len(micrograph.kinds), stack),
            "winnowKind": micrograph.kinds,
            "rlnAngleRot": number_column(micrograph.euler_deg[:, 0], 6),
            "rlnAngleTilt": number_column(micrograph.euler_deg[:, 1], 6),
            "rlnAnglePsi": number_column(micrograph.euler_deg[:, 2], 6),
            "winnowShiftX": number_column(micrograph.shift_ang[:, 0], 6),
            "winnowShiftY": number_column(micrograph.shift_ang[:, 1], 6),
        }
    )


def image_names(n: int, stack: str) -> list[str]:
    """Return the names of the n images of a stack, counted from 1 with six digits."""
    return [f"{number:06d}@{stack}" for number in range(1, n + 1)]


def _numbers(path: str | os.PathLike, table: pd.DataFrame, label: str, missing: float | None = None) -> np.ndarray:
    """Return a column (m,) float64, or `missing` in every row where the table has no such column."""
    if label not in table and missing is not None:
        return np.full(len(table), missing)
    values = pd.to_numeric(table[label], errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise StarError(f"{path}: row {bad[0] + 1}: {label}: found '{table[label].iloc[bad[0]]}', expected a number")
    return values
