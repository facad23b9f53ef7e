"""Which micrographs are windowed, where their images lie, and where the particles on each are found."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from winnow2d.errors import StarError
from winnow2d.formats import labels
from winnow2d.formats.coordinates import (
    COORDINATE_FILES,
    X,
    Y,
    coordinate_file,
    is_pattern,
    micrograph_stem,
    read_coordinate_list,
    without_job_folder,
)
from winnow2d.formats.micrograph_image import header_pixel_size_ang
from winnow2d.formats.micrograph_table import MicrographTable
from winnow2d.formats.particles import ParticleTable, read_particle_table
from winnow2d.formats.star import read_star

logger = logging.getLogger(__name__)

_PIXEL_TOLERANCE = 0.05  # how far header and STAR file may disagree on the pixel size before it is told


@dataclass(frozen=True)
class PlannedMicrograph:
    """One micrograph: `coordinates` is the file to read, or `particles` are the rows to extract again."""

    row: int  # in the micrographs STAR file, from 1
    name: str
    image: Path | None  # None: not found
    pixel_size_ang: float
    optics_number: str
    ctf: dict[str, str]
    coordinates: Path | None = None
    particles: pd.DataFrame | None = field(default=None, repr=False)
    particle_pixel_ang: np.ndarray | None = field(default=None, repr=False)


def plan_micrographs(
    table: MicrographTable, coordinates: str, project: Path, stacks_root: str = ""
) -> list[PlannedMicrograph]:
    """Return the micrographs that may have particles, in the order of their STAR file.

    Parameters
    ----------
    table : MicrographTable
    coordinates : str
        A pattern such as AutoPick/job004/*_autopick.star, a coordinate list, or a particles STAR file.
    project : Path
        Where relative names start.
    stacks_root : str
        Last folder in which relative micrograph names are looked for; empty for none.

    Raises
    ------
    StarError
        No coordinates for any micrograph, or names that do not fit together.
    """
    _check_stems(table)
    names = table.micrographs[labels.MICROGRAPH_NAME].tolist()
    folders = _folders(table, project, stacks_root)
    images = [_find(name, folders) for name in names]
    if not any(images):
        places = ", ".join(str(folder) for folder in folders)
        raise StarError(
            f"{table.source}: table data_micrographs row 1: {names[0]} was not found, nor was any other of the "
            f"{len(names)} micrographs; looked in {places}. Name the folder they lie in with own: {{stacks_root: ...}}"
        )
    _tell_of_pixel_sizes(table, images)
    found = _found_coordinates(table, coordinates, project)
    return [
        PlannedMicrograph(
            row + 1,
            name,
            images[row],
            float(table.pixel_size_ang[row]),
            table.optics[labels.OPTICS_GROUP].iloc[int(table.optics_row[row])],
            table.ctf_cells(row),
            **found[row],
        )
        for row, name in enumerate(names)
        if row in found
    ]


def _check_stems(table: MicrographTable) -> None:
    first: dict[str, str] = {}
    for name in table.micrographs[labels.MICROGRAPH_NAME]:
        other = first.setdefault(micrograph_stem(name), name)
        if other != name:
            raise StarError(
                f"{table.source}: {other} and {name} would have stacks of one name, as RELION names them; extract "
                "them in two projects or rename one of them"
            )


def _folders(table: MicrographTable, project: Path, stacks_root: str) -> list[Path]:
    """Return where relative names are looked for, first the project, then the STAR file's folder and those above."""
    above = Path(table.source).absolute().parent
    folders = [project, above, *above.parents, *([Path(stacks_root)] if stacks_root else [])]
    return list(dict.fromkeys(folders))


def _find(name: str, folders: Sequence[Path]) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _tell_of_pixel_sizes(table: MicrographTable, images: Sequence[Path | None]) -> None:
    """Warn where the header of an optics group's first micrograph has another pixel size than its table."""
    rows = table.optics_row.tolist()
    for group in sorted(set(rows)):
        row = next((row for row, image in enumerate(images) if rows[row] == group and image), -1)
        told = header_pixel_size_ang(images[row] or "") if row >= 0 else 0.0
        if told <= 0 or abs(told - 1.0) < 1e-6:  # 1 is what is written where none is known
            continue
        expected = float(table.pixel_size_ang[row])
        if abs(told / expected - 1) > _PIXEL_TOLERANCE:
            logger.warning(
                "%s: table data_optics row %d: rlnMicrographPixelSize is %g A, but the header of %s says %g A. %s",
                table.source, group + 1, expected, images[row], told, "The STAR file is believed; correct it if wrong.",
            )  # fmt: skip


def _found_coordinates(table: MicrographTable, coordinates: str, project: Path) -> dict[int, dict]:
    """Return row of a micrograph -> where its particles are found, of those that have any."""
    if is_pattern(coordinates):
        return _by_pattern(table, coordinates, project)
    path = project / coordinates
    suffix = path.suffix.lower()
    tables = read_star(path) if suffix == ".star" else {}
    if COORDINATE_FILES in tables:
        return _by_list(table, coordinates, tables[COORDINATE_FILES], project)
    first = next(iter(tables.values()), pd.DataFrame())
    if "particles" in tables or labels.MICROGRAPH_NAME in first:
        return _by_particles(table, coordinates, read_particle_table(path))
    if len(table.micrographs) == 1 and path.is_file():
        return {0: {"coordinates": path}}
    raise StarError(
        f"input.coordinates: {coordinates} has neither a table data_{COORDINATE_FILES} nor particles with "
        "rlnMicrographName. For one file per micrograph give a pattern, e.g. AutoPick/job004/*_autopick.star"
    )


def _by_pattern(table: MicrographTable, pattern: str, project: Path) -> dict[int, dict]:
    names = table.micrographs[labels.MICROGRAPH_NAME].tolist()
    files = [coordinate_file((project / pattern).as_posix(), name) for name in names]
    found = {row: {"coordinates": file} for row, file in enumerate(files) if file.is_file()}
    if not found:
        raise StarError(
            f"input.coordinates: {pattern} fits no file: {files[0]} was looked for, for row 1 of {table.source}; * "
            "stands for the micrograph's path without Type/jobNNN/ and extension"
        )
    first: dict[Path, int] = {}
    for row, given in found.items():
        other = first.setdefault(given["coordinates"], row)
        if other != row:
            raise StarError(
                f"input.coordinates: {pattern} gives {names[other]} and {names[row]} the same file, "
                f"{given['coordinates']}; name their coordinates in a coordinate list (autopick.star)"
            )
    return found


def _by_list(table: MicrographTable, source: str, listed: pd.DataFrame, project: Path) -> dict[int, dict]:
    files = read_coordinate_list(source, listed)
    names = table.micrographs[labels.MICROGRAPH_NAME].tolist()
    found = {row: {"coordinates": project / files[name]} for row, name in enumerate(names) if name in files}
    if not found:
        raise StarError(
            f"{source}: none of its micrographs ({next(iter(files), 'no row')} ...) is in {table.source} "
            f"({names[0]} ...); the names must be the same"
        )
    n_unknown = len(set(files) - set(names))
    if n_unknown:
        logger.warning("%s: %d of its micrographs are not in %s and are left out", source, n_unknown, table.source)
    return found


def _by_particles(table: MicrographTable, source: str, particles: ParticleTable) -> dict[int, dict]:
    """Return the particles of each micrograph, for extracting them again."""
    rows = particles.particles
    missing = [label for label in (labels.MICROGRAPH_NAME, X, Y) if label not in rows]
    if missing:
        raise StarError(f"{source}: table data_particles has no column {', '.join(missing)}, so nothing can be cut")
    if labels.IMAGE_PIXEL_SIZE not in particles.optics:
        raise StarError(f"{source}: table data_optics has no column {labels.IMAGE_PIXEL_SIZE}")
    for label in (X, Y):
        bad = np.flatnonzero(~np.isfinite(pd.to_numeric(rows[label], errors="coerce").to_numpy(dtype=np.float64)))
        if len(bad):
            found = rows[label].iloc[bad[0]]
            raise StarError(
                f"{source}: table data_particles row {bad[0] + 1}: {label} is '{found}', expected a number of pixels"
            )
    micrograph_of = _matching(table, rows[labels.MICROGRAPH_NAME].unique().tolist())
    of_row = rows[labels.MICROGRAPH_NAME].map(micrograph_of).fillna(-1).to_numpy(dtype=np.int64)
    if (of_row < 0).any():
        row = int(np.argmax(of_row < 0))
        sentence = (
            f"{source}: table data_particles row {row + 1}: {rows[labels.MICROGRAPH_NAME].iloc[row]} is not in "
            f"{table.source}; {int((of_row < 0).sum())} of {len(rows)} particles"
        )
        if (of_row < 0).all():
            raise StarError(f"{sentence}. Are these the particles' micrographs?")
        logger.warning("%s are left out", sentence)
    sizes = particles.optics[labels.IMAGE_PIXEL_SIZE].astype(float).to_numpy()
    group = rows[labels.OPTICS_GROUP].astype(int).to_numpy() - 1
    order = np.argsort(of_row, kind="stable")
    numbers, starts = np.unique(of_row[order], return_index=True)
    parts = np.split(order, starts[1:])
    return {
        int(number): {"particles": rows.iloc[part].reset_index(drop=True), "particle_pixel_ang": sizes[group[part]]}
        for number, part in zip(numbers, parts, strict=True)
        if number >= 0
    }


def _matching(table: MicrographTable, wanted: list[str]) -> dict[str, int]:
    """Return name of a micrograph as particles have it -> its row: of that name, path behind the job, or bare name.

    A bare name that several micrographs of the particles have is none: at most one of them can be meant.
    """
    names = table.micrographs[labels.MICROGRAPH_NAME].tolist()
    whole = {name: row for row, name in enumerate(names)}
    behind = {without_job_folder(name): row for row, name in enumerate(names)}
    bare: dict[str, int] = {}
    for row, name in enumerate(names):
        bare[Path(name).name] = -1 if Path(name).name in bare else row
    folders: dict[str, set[str]] = {}
    for name in wanted:
        folders.setdefault(Path(name).name, set()).add(without_job_folder(name))
    found = {}
    for name in wanted:
        own = Path(name).name
        by_bare = bare.get(own, -1) if len(folders[own]) == 1 else -1
        row = whole.get(name, behind.get(without_job_folder(name), by_bare))
        if row >= 0:
            found[name] = row
    return found
