"""Several particle files as one, by the rules of RELION's JoinStar job.

Optics groups of one name are one group, numbered in the order in which their names appear; columns that a file
lacks are left out; group names of the second and later files begin with opticsN_, as groups of the same name in
two files need not be the same group; rlnGroupNumber is left out, as it is made anew at the next reading.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from winnow2d.errors import StarError
from winnow2d.formats import labels
from winnow2d.formats.particles import ParticleTable, read_particle_table

_NOT_SAID_IS_NO = (labels.IS_CTF_PREMULTIPLIED, labels.IS_CTF_CORRECTED)  # RELION 3.1 says so of true ones alone

logger = logging.getLogger(__name__)


def read_joined(paths: str | Path | Sequence[str | Path]) -> ParticleTable:
    """Return the particles of one file or of several."""
    files = [paths] if isinstance(paths, str | Path) else paths
    tables = {str(path): read_particle_table(path) for path in files}
    return joined(tables) if len(tables) > 1 else next(iter(tables.values()))


def joined(tables: Mapping[str, ParticleTable], parts_per_file: int = 1, are_regrouped: bool = False) -> ParticleTable:
    """Return the particles of several files, one file after the other.

    Of every `parts_per_file` tables the second and later ones are further parts of one file: groups of one name are
    one group there. Where the parts were regrouped, each by itself, no group of one is a group of another.

    Parameters
    ----------
    tables : mapping
        Path of each file, for messages, to its table.

    Raises
    ------
    StarError
        Optics groups of one name differ (RELION joins them, with the values of the first), or a column of
        data_optics is not in every file; all of these together.
    """
    problems: list[str] = []
    optics, numbers = _joined_optics(tables, problems)
    if problems:
        raise StarError(*problems)
    tables = _with_source_names(tables)
    common = _common_columns(tables)
    parts = []
    for position, (path, table) in enumerate(tables.items()):
        rows = table.particles[common].copy()
        rows[labels.OPTICS_GROUP] = rows[labels.OPTICS_GROUP].map(numbers[path]).astype(object)
        if are_regrouped and position and labels.GROUP_NAME in common:
            rows[labels.GROUP_NAME] = f"part{position + 1}_" + rows[labels.GROUP_NAME]
        elif position >= parts_per_file and labels.GROUP_NAME in common:
            rows[labels.GROUP_NAME] = "optics" + rows[labels.OPTICS_GROUP] + "_" + rows[labels.GROUP_NAME]
        parts.append(rows)
    particles = pd.concat(parts, ignore_index=True)
    _tell_of_duplicates(particles)
    return ParticleTable(optics, particles)


def _with_source_names(tables: Mapping[str, ParticleTable]) -> Mapping[str, ParticleTable]:
    """Return the tables, all with the names that images came with if any table has them."""
    label = labels.SOURCE_IMAGE_NAME
    if not any(label in table.particles for table in tables.values()):
        return tables
    return {
        path: table
        if label in table.particles
        else ParticleTable(table.optics, table.particles.assign(**{label: table.particles[labels.IMAGE_NAME]}))
        for path, table in tables.items()
    }


def _joined_optics(
    tables: Mapping[str, ParticleTable], problems: list[str]
) -> tuple[pd.DataFrame, dict[str, dict[str, str]]]:
    """Return the optics groups of all files, and for each file its numbers -> the new ones."""
    said = [label for label in _NOT_SAID_IS_NO if any(label in table.optics for table in tables.values())]
    frames = {path: _complete(table.optics, said) for path, table in tables.items()}
    columns = list(next(iter(frames.values())).columns)
    rows: dict[str, tuple[str, dict[str, str]]] = {}  # name -> file it was first seen in, values
    numbers: dict[str, dict[str, str]] = {}
    for path, frame in frames.items():
        for label in sorted(set(columns) ^ set(frame.columns)):
            problems.append(f"{path}: data_optics and that of the first file differ in having a column {label}")
        numbers[path] = {}
        for row in frame.to_dict("records"):
            values = {str(label): str(cell) for label, cell in row.items()}
            name, old = values[labels.OPTICS_GROUP_NAME], values.pop(labels.OPTICS_GROUP)
            first, known = rows.setdefault(name, (path, values))
            numbers[path][old] = str(list(rows).index(name) + 1)
            problems += [
                f"{path}: optics group {name}: {label} is {values[label]}, but {known[label]} in {first}; where it is "
                "another group, give it another rlnOpticsGroupName"
                for label in values
                if label in known and not _is_same(values[label], known[label])
            ]
    table = [{**values, labels.OPTICS_GROUP: str(i)} for i, (_, values) in enumerate(rows.values(), start=1)]
    return pd.DataFrame(table, columns=columns, dtype=object), numbers


def _complete(optics: pd.DataFrame, said: list[str]) -> pd.DataFrame:
    """Return an optics table that has a name for every group, and says No of CTFs where only other files say it."""
    made = {label: "0" for label in said if label not in optics.columns}
    if labels.OPTICS_GROUP_NAME not in optics.columns:
        made[labels.OPTICS_GROUP_NAME] = "opticsGroup" + optics[labels.OPTICS_GROUP]
    return optics.assign(**made)


def _is_same(one: str, other: str) -> bool:
    """Return whether two cells are one value: 300 and 300.000000 are."""
    try:
        return one == other or float(one) == float(other)
    except ValueError:
        return False


def _common_columns(tables: Mapping[str, ParticleTable]) -> list[str]:
    """Return the columns every file has, in the order of the first; warn of those that are left out."""
    all_labels = dict.fromkeys(label for table in tables.values() for label in table.particles.columns)
    common = [label for label in all_labels if all(label in table.particles for table in tables.values())]
    if left_out := [label for label in all_labels if label not in common]:
        logger.warning("Columns that not every file has are left out: %s", ", ".join(left_out))
    return [label for label in common if label != labels.GROUP_NUMBER]


def _tell_of_duplicates(particles: pd.DataFrame) -> None:
    """Warn of images that stand there more than once; like RELION's, the check is by their names alone."""
    names = particles[labels.IMAGE_NAME]
    again = names[names.duplicated()]
    if len(again):
        logger.warning("%d images stand there more than once and are kept, e.g. %s", len(again), again.iloc[0])
