"""In-plane angles and offsets of a particle table, read and replaced."""

from __future__ import annotations

import numpy as np

from winnow2d.errors import StarError
from winnow2d.formats import labels
from winnow2d.formats.optics_table import column_reader
from winnow2d.formats.particles import ParticleTable
from winnow2d.formats.star import number_column

_DECIMALS = 6


def read_poses(table: ParticleTable, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return psi in degrees (n,) and the offset in A (n, 2), x then y; zeros for columns that are not there.

    Raises
    ------
    StarError
        If cells are not numbers; `where` is named.
    """
    problems: list[str] = []
    column = column_reader(table.particles, "particles", problems)
    psi_deg = column(labels.ANGLE_PSI, 0.0)
    offset_ang = np.stack([column(label, 0.0) for label in (labels.ORIGIN_X, labels.ORIGIN_Y)], axis=1)
    if problems:
        raise StarError(*(f"{where}: {problem}" for problem in problems))
    return psi_deg, offset_ang


def with_offsets(table: ParticleTable, offset_ang: np.ndarray, rows: np.ndarray) -> ParticleTable:
    """Return the particles with other offsets in some rows; all other cells verbatim.

    Parameters
    ----------
    offset_ang : (n, 2) array, x then y
    rows : (n,) bool array
        Only these are replaced. A table without offsets gets columns of them, 0 in other rows.
    """
    columns = {}
    for axis, label in enumerate((labels.ORIGIN_X, labels.ORIGIN_Y)):
        new = number_column(offset_ang[:, axis] + 0.0, _DECIMALS)
        old = table.particles[label] if label in table.particles else ["0.000000"] * len(table.particles)
        columns[label] = np.where(rows, np.asarray(new, dtype=object), np.asarray(old, dtype=object))
    return ParticleTable(optics=table.optics, particles=table.particles.assign(**columns))
