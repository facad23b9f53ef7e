"""particles.star <-> Particles: one text table whose other columns pass through, and the numbers the engine needs.

Offsets are (x, y) in Angstrom with RELION's sign; indices are 1-based in files and 0-based in records.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from winnow2d.errors import StarError
from winnow2d.formats import labels
from winnow2d.formats.legacy import table_without_optics
from winnow2d.formats.optics_table import CTF_OF_OPTICS, column_reader, optics_groups
from winnow2d.formats.star import read_star, write_star
from winnow2d.records import OpticsGroup, Particles

logger = logging.getLogger(__name__)

_PARTICLE_TABLES = ("particles", "images", "")  # the last two before RELION 3.1
_JOB_FOLDER = re.compile(r".*?/job\d{3,}/(?=.)")


@dataclass
class ParticleTable:
    """A particle file as text: `optics` has a row per optics group, `particles` a row per particle."""

    optics: pd.DataFrame
    particles: pd.DataFrame


def read_particle_table(path: str | os.PathLike) -> ParticleTable:
    """Return the optics and particle tables of a particle file; every cell as it stands there.

    Optics groups that are not numbered 1, 2, ... in row order are renumbered, as RELION does. A file without
    an optics table (RELION before 3.1) is converted.

    Raises
    ------
    StarError
        The file is broken, a required column is missing, or a particle's optics group is not defined.
    """
    blocks = read_star(path)
    tell_of_other_tables(blocks, path)
    if "optics" not in blocks:
        particles = next((blocks[name] for name in _PARTICLE_TABLES if name in blocks), None)
        if particles is None or len(particles) == 0:
            raise StarError(f"{path}: expected a table data_particles with rows, found {_names(blocks)}")
        optics, particles = table_without_optics(particles, Path(path))
        return ParticleTable(optics, particles)
    table = ParticleTable(blocks["optics"], blocks.get("particles", pd.DataFrame()))
    problems = []
    if len(table.particles) == 0:
        problems.append(f"{path}: table data_particles is missing or has no rows; found {_names(blocks)}")
    if len(table.optics) == 0:
        problems.append(f"{path}: table data_optics has no rows")
    for name, frame, needed in (
        ("optics", table.optics, [labels.OPTICS_GROUP]),
        ("particles", table.particles, [labels.IMAGE_NAME, labels.OPTICS_GROUP]),
    ):
        missing = [label for label in needed if len(frame) and label not in frame.columns]
        problems += [f"{path}: table data_{name} has no column {label}" for label in missing]
    if problems:
        raise StarError(*problems)
    return _renumbered(table, path)


def tell_of_other_tables(blocks: dict[str, pd.DataFrame], path: str | os.PathLike) -> None:
    """Log a warning if a particle file holds tables that no file of ours will have; RELION drops them silently."""
    others = [f"data_{name}" for name in blocks if name not in ("optics", *_PARTICLE_TABLES)]
    if others:
        logger.warning("%s: %s is left out of what is made of this file, as in RELION", path, ", ".join(others))


def _names(blocks: dict[str, pd.DataFrame]) -> str:
    return ", ".join(f"data_{name}" for name in blocks)


def _renumbered(table: ParticleTable, path: str | os.PathLike) -> ParticleTable:
    """Return the table with optics groups numbered 1, 2, ... in row order and particles pointing to them."""
    optics, particles = table.optics.copy(), table.particles.copy()
    number_of = {_as_number(text): str(row + 1) for row, text in enumerate(optics[labels.OPTICS_GROUP])}
    if len(number_of) < len(optics):
        raise StarError(f"{path}: table data_optics: a number of {labels.OPTICS_GROUP} stands there twice")
    texts = particles[labels.OPTICS_GROUP]
    groups = texts.map({text: _as_number(text) for text in texts.unique()})  # 01 is group 1
    unknown = ~groups.isin(list(number_of))
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise StarError(
            f"{path}: table data_particles row {row + 1}: optics group '{texts.iloc[row]}' is not in data_optics "
            f"(it has {', '.join(number_of)}); {int(unknown.sum())} such rows"
        )
    if any(old != new for old, new in number_of.items()):
        logger.warning("%s: optics groups renumbered %s", path, ", ".join(f"{a} to {b}" for a, b in number_of.items()))
    if list(optics[labels.OPTICS_GROUP]) != list(number_of.values()) or not texts.isin(number_of.values()).all():
        optics[labels.OPTICS_GROUP] = list(number_of.values())
        particles[labels.OPTICS_GROUP] = groups.map(number_of).astype(object)
    return ParticleTable(optics, particles)


def _as_number(text: str) -> str:
    """Return the number of an optics group in one spelling."""
    try:
        return str(int(text))
    except ValueError:
        return text.strip()


def write_particle_table(path: str | os.PathLike, table: ParticleTable) -> None:
    """Write data_optics and data_particles; see `write_star`."""
    write_star(path, {"optics": table.optics, "particles": table.particles})


def sort_by_micrograph(table: ParticleTable) -> ParticleTable:
    """Return the table in RELION's order: stably sorted by micrograph name (as it is without such names)."""
    order = _micrograph_order(table.particles)
    return ParticleTable(table.optics, table.particles.iloc[order].reset_index(drop=True))


def _micrograph_order(particles: pd.DataFrame) -> np.ndarray:
    if labels.MICROGRAPH_NAME not in particles.columns:
        return np.arange(len(particles))
    names = particles[labels.MICROGRAPH_NAME].tolist()
    return np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)


def particles_from_table(table: ParticleTable) -> tuple[Particles, list[OpticsGroup]]:
    """Return the numbers of a particle table, with RELION's defaults for columns it lacks.

    Returns
    -------
    particles : Particles
        Rows in the order of the table. Intensity groups are rlnGroupName, or else the micrograph name
        without its job folder, numbered by first appearance in RELION's order.
    optics : list of OpticsGroup

    Raises
    ------
    StarError
        Cells that are not numbers, optics columns missing, or a particle with a voltage, spherical
        aberration or amplitude contrast of its own; all problems together.
    """
    problems: list[str] = []
    optics = optics_groups(table.optics, problems)
    frame = table.particles
    column = column_reader(frame, "particles", problems)
    if labels.DEFOCUS_U not in frame.columns:
        logger.warning("no column %s: the defocus of every particle is taken as 0", labels.DEFOCUS_U)
    group = np.asarray(column(labels.OPTICS_GROUP, 1.0), dtype=np.int64) - 1
    defocus_u = column(labels.DEFOCUS_U, 0.0)
    group_index, group_names = _intensity_groups(frame)
    particles = Particles(
        optics_group=group,
        group_index=group_index,
        group_names=group_names,
        defocus_u_ang=defocus_u,
        defocus_v_ang=column(labels.DEFOCUS_V, defocus_u),
        defocus_angle_deg=column(labels.DEFOCUS_ANGLE, 0.0),
        phase_shift_deg=column(labels.PHASE_SHIFT, 0.0),
        ctf_bfactor_ang2=column(labels.CTF_BFACTOR, 0.0),
        ctf_scale=column(labels.CTF_SCALEFACTOR, 1.0),
        psi_deg=column(labels.ANGLE_PSI, 0.0),
        offset_ang=np.stack([column(labels.ORIGIN_X, 0.0), column(labels.ORIGIN_Y, 0.0)], axis=1),
        class_index=column(labels.CLASS_NUMBER, 0.0).astype(np.int64) - 1,
        norm_correction=column(labels.NORM_CORRECTION, 1.0),
        log_likelihood=column(labels.LOG_LIKELIHOOD, 0.0, is_result=True),
        max_probability=column(labels.MAX_PROBABILITY, 0.0, is_result=True),
        n_significant=column(labels.N_SIGNIFICANT, 0.0, is_result=True).astype(np.int64),
    )
    _check_overrides(frame, group, optics, problems)
    if problems:
        raise StarError(*problems)
    return particles, optics


def _intensity_groups(particles: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Return the intensity group of each row and the names of the groups, in RELION's numbering."""
    if labels.GROUP_NAME in particles.columns:
        names = particles[labels.GROUP_NAME].tolist()
    elif labels.MICROGRAPH_NAME in particles.columns:
        names = [_JOB_FOLDER.sub("", name, count=1) for name in particles[labels.MICROGRAPH_NAME].tolist()]
    else:
        names = ["group"] * len(particles)
    number_of: dict[str, int] = {}
    for row in _micrograph_order(particles):
        number_of.setdefault(names[row], len(number_of))
    return np.array([number_of[name] for name in names], dtype=np.int64), list(number_of)


def _check_overrides(frame: pd.DataFrame, group: np.ndarray, optics: list[OpticsGroup], problems: list[str]) -> None:
    """Note particles whose voltage, spherical aberration or amplitude contrast is not their optics group's."""
    fields = ("voltage_kv", "spherical_aberration_mm", "amplitude_contrast")
    for label, field in zip(CTF_OF_OPTICS, fields, strict=True):
        if label not in frame.columns:
            continue
        values = column_reader(frame, "particles", problems)(label, 0.0)
        expected = np.array([getattr(one, field) for one in optics])[group]
        differs = np.abs(values - expected) > 1e-6 * np.maximum(1.0, np.abs(expected))
        if differs.any():
            row = int(np.flatnonzero(differs)[0])
            problems.append(
                f"table data_particles row {row + 1}: {label} is {values[row]:g}, but its optics group has "
                f"{expected[row]:g}; give such particles an optics group of their own"
            )
