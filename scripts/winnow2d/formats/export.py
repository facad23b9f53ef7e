"""The final particles for other programs: under the names they came with, and with what those programs know."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from winnow2d.errors import StarError
from winnow2d.formats import labels
from winnow2d.formats.particles import ParticleTable

OWN_COLUMN = "winnow"  # how the columns begin that only Winnow knows
# What cryoSPARC's reader of STAR files knows of particles (cryosparc-tools, module star), as far as it is of use:
# name -> int, float or text. The order is that of the file.
_CRYOSPARC_OPTICS = {
    "rlnOpticsGroupName": "text", "rlnOpticsGroup": "int", "rlnMicrographOriginalPixelSize": "float",
    "rlnVoltage": "float", "rlnSphericalAberration": "float", "rlnAmplitudeContrast": "float",
    "rlnImagePixelSize": "float", "rlnImageSize": "int", "rlnImageDimensionality": "int",
    "rlnCtfDataAreCtfPremultiplied": "int", "rlnBeamTiltX": "float", "rlnBeamTiltY": "float",
    "rlnMagMat00": "float", "rlnMagMat01": "float", "rlnMagMat10": "float", "rlnMagMat11": "float",
}  # fmt: skip
_CRYOSPARC_PARTICLES = {
    "rlnImageName": "text", "rlnMicrographName": "text", "rlnCoordinateX": "float", "rlnCoordinateY": "float",
    "rlnOpticsGroup": "int", "rlnDefocusU": "float", "rlnDefocusV": "float", "rlnDefocusAngle": "float",
    "rlnPhaseShift": "float", "rlnCtfBfactor": "float", "rlnCtfScalefactor": "float",
    "rlnCtfMaxResolution": "float", "rlnCtfFigureOfMerit": "float", "rlnAutopickFigureOfMerit": "float",
    "rlnAngleRot": "float", "rlnAngleTilt": "float", "rlnAnglePsi": "float",
    "rlnOriginXAngst": "float", "rlnOriginYAngst": "float", "rlnClassNumber": "int", "rlnRandomSubset": "int",
}  # fmt: skip
_NEEDED_OPTICS = ("rlnOpticsGroup", "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnImagePixelSize")
_UNREADABLE = re.compile(r"[\s#'\"]")  # its reader splits at blanks, knows no quotes and takes # for a comment


def with_original_names(table: ParticleTable) -> ParticleTable:
    """Return the table with the image names it came with, and without columns of ours."""
    particles = table.particles
    if labels.SOURCE_IMAGE_NAME in particles:
        particles = particles.assign(rlnImageName=particles[labels.SOURCE_IMAGE_NAME])
    return ParticleTable(_without_ours(table.optics), _without_ours(particles))


def _without_ours(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[[label for label in frame.columns if not label.startswith(OWN_COLUMN)]]


def for_cryosparc(table: ParticleTable) -> ParticleTable:
    """Return the table as cryoSPARC imports it: original names, known columns only, numbers in plain form.

    Absolute image names become relative to the deepest folder that holds all of them.

    Raises
    ------
    StarError
        Names its reader cannot take (blanks, quotes, #), stacks not called .mrc or .mrcs, a mixture of absolute and
        relative names, cells that are not numbers, missing columns; all problems together.
    """
    named = with_original_names(table)
    optics = named.optics
    if labels.OPTICS_GROUP_NAME not in optics:
        optics = optics.assign(rlnOpticsGroupName=[f"opticsGroup{number}" for number in optics[labels.OPTICS_GROUP]])
    problems = [f"data_optics has no column {label}" for label in _NEEDED_OPTICS if label not in optics]
    particles = named.particles.assign(rlnImageName=_relative(named.particles[labels.IMAGE_NAME], problems))
    frames = [
        _known(optics, _CRYOSPARC_OPTICS, "data_optics", problems),
        _known(particles, _CRYOSPARC_PARTICLES, "data_particles", problems),
    ]
    if problems:
        raise StarError(*(f"export for cryoSPARC: {problem}" for problem in problems))
    return ParticleTable(*frames)


def _known(frame: pd.DataFrame, known: dict[str, str], where: str, problems: list[str]) -> pd.DataFrame:
    """Return the columns cryoSPARC knows, each in plain form."""
    columns = {}
    for label, kind in known.items():
        if label in frame:
            columns[label] = _PLAIN[kind](frame[label], f"{where}: {label}", problems)
    return pd.DataFrame(columns, dtype=object)


def _texts(cells: pd.Series, where: str, problems: list[str]) -> list[str]:
    """Return names as they are; those its reader would break apart are a problem."""
    bad = [cell for cell in dict.fromkeys(cells) if _UNREADABLE.search(cell) or not cell]
    if bad:
        problems.append(f"{where} is '{bad[0]}'; cryoSPARC reads no names with blanks, quotes or #. Rename the files")
    return cells.tolist()


def _numbers(cells: pd.Series, where: str, problems: list[str]) -> np.ndarray:
    values = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64)
    is_bad = ~np.isfinite(values)
    if is_bad.any():
        row = int(np.argmax(is_bad))
        problems.append(f"{where} in row {row + 1} is '{cells.iloc[row]}', expected a number")
    return np.where(is_bad, 0.0, values)


def _floats(cells: pd.Series, where: str, problems: list[str]) -> list[str]:
    """Return the cells as they stand, as far as they are numbers."""
    _numbers(cells, where, problems)
    return cells.tolist()


def _whole_numbers(cells: pd.Series, where: str, problems: list[str]) -> list[str]:
    return [str(int(value)) for value in _numbers(cells, where, problems)]


_PLAIN: dict[str, Callable[[pd.Series, str, list[str]], list[str]]] = {
    "text": _texts, "float": _floats, "int": _whole_numbers,
}  # fmt: skip


def _relative(names: pd.Series, problems: list[str]) -> list[str]:
    """Return image names relative to one folder."""
    parts = names.str.partition("@")
    stacks = parts[2]
    wrong = [name for name in dict.fromkeys(stacks) if PurePosixPath(name).suffix not in (".mrc", ".mrcs")]
    if wrong:
        problems.append(f"{wrong[0]}: cryoSPARC imports stacks called .mrc or .mrcs ({len(wrong)} are not)")
    is_absolute = stacks.str.startswith("/")
    if is_absolute.any() and not is_absolute.all():
        row = int(np.argmax(is_absolute.to_numpy() != is_absolute.iloc[0]))
        problems.append(
            f"image names are absolute and relative ({stacks.iloc[0]}, {stacks.iloc[row]}); cryoSPARC's Particle data "
            "path can only be one folder. Use the particles.star of the relion export, or names of one kind"
        )
    if not is_absolute.all() or stacks.empty:
        return names.tolist()
    folder = common_folder(stacks)
    return [f"{index}@{os.path.relpath(stack, folder)}" for index, stack in zip(parts[0], stacks, strict=True)]


def common_folder(stacks: pd.Series) -> str:
    """Return the deepest folder that holds all stacks."""
    return os.path.commonpath([os.path.dirname(stack) for stack in dict.fromkeys(stacks)])


def data_folder(project_names: pd.Series, exported_names: pd.Series, project: Path) -> Path | None:
    """Return the folder that exported image names are relative to; None where the links do not tell.

    Parameters
    ----------
    project_names, exported_names : image names (n) in the project and in the exported file
    project : Path
    """
    pairs = dict.fromkeys(zip(project_names.str.partition("@")[2], exported_names.str.partition("@")[2], strict=True))
    folders = set()
    for ours, theirs in pairs:
        path, parts = (project / ours).resolve(), PurePosixPath(os.path.normpath(theirs)).parts
        if not path.is_file() or path.parts[-len(parts) :] != parts:
            return None
        folders.add(Path(*path.parts[: -len(parts)]))
    return folders.pop() if len(folders) == 1 else None
