"""An optimiser file that another job goes on from: its iteration, laid on the particles of that job."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from winnow2d.errors import StarError
from winnow2d.formats import labels
from winnow2d.formats.mrc import split_image_name
from winnow2d.formats.optimiser_star import TABLE, kept_options
from winnow2d.formats.particles import ParticleTable, particles_from_table, read_particle_table
from winnow2d.formats.refinement import files_of_iteration, read_iteration
from winnow2d.formats.star import read_star
from winnow2d.records import Iteration, Model, OpticsGroup, Particles

logger = logging.getLogger(__name__)

ASSIGNED = (
    "psi_deg", "offset_ang", "class_index", "norm_correction", "log_likelihood", "max_probability", "n_significant",
)  # fmt: skip
_NAMED = 3  # images an error names


@dataclass(frozen=True)
class Start:
    """Where a job goes on.

    Attributes
    ----------
    iteration : Iteration
        Its particles are in the order of `table`.
    table : ParticleTable
        The particles of the job.
    kept : dict
        Options that come from the optimiser file, whatever the job says (`optimiser_star.KEPT`, `nr_classes`).
    files : tuple of Path
        The optimiser file and those it names.
    """

    iteration: Iteration
    table: ParticleTable
    kept: dict[str, Any]
    files: tuple[Path, ...]


def read_start(optimiser_path: str | os.PathLike, table: ParticleTable | None = None, where: str = "") -> Start:
    """Return where a job goes on from an optimiser file, ours or one of RELION 3.1 to 5.

    Parameters
    ----------
    optimiser_path : path
    table : ParticleTable, optional
        The particles of the job, in any order; those of the optimiser's data file if not given.
    where : str
        The file the table is from, for messages.

    Raises
    ------
    StarError, ImageError
        A file is missing or broken; the particles, their optics groups or their box are not those of the table.
        The optimiser file is named.
    """
    path = Path(optimiser_path)
    iteration = read_iteration(path)
    files = files_of_iteration(path)
    if not np.isfinite(iteration.model.references).all():
        raise StarError(f"{path}: its class averages hold NaN or infinite pixels; go on from an earlier iteration")
    kept = kept_options(read_star(path)[TABLE], str(path)) | {"nr_classes": iteration.model.n_classes}
    theirs = read_particle_table(files["data"])
    if table is None:
        table = theirs
    else:
        rows = _matching_rows(theirs.particles, table.particles, f"{path} ({files['data'].name})", where)
        iteration = _laid_on(iteration, rows, table, str(path), where)
    _check_box(iteration, path)
    return Start(iteration, table, kept, (path, *files.values()))


def _keys(particles: pd.DataFrame) -> list[tuple[int, str]]:
    """Return what tells images apart: number and stack, by the name they came with where they were given another."""
    names = particles[labels.IMAGE_NAME].tolist()
    if labels.SOURCE_IMAGE_NAME in particles.columns:
        sources = particles[labels.SOURCE_IMAGE_NAME].tolist()
        names = [source or name for source, name in zip(sources, names, strict=True)]
    pairs = [split_image_name(name) for name in names]
    return [(number, str(PurePosixPath(stack))) for number, stack in pairs]


def _matching_rows(theirs: pd.DataFrame, ours: pd.DataFrame, their_file: str, our_file: str) -> np.ndarray:
    """Return the row of `theirs` for each of `ours`."""
    row_of = {key: row for row, key in enumerate(_keys(theirs))}
    keys = _keys(ours)
    missing = [f"{number + 1}@{stack}" for number, stack in keys if (number, stack) not in row_of]
    if missing:
        raise StarError(
            f"{their_file}: made from other particles than those of {our_file}: {len(missing)} of {len(keys)} are not "
            f"in it, e.g. {', '.join(missing[:_NAMED])}. Give the particles it was made from, or leave fn_cont empty."
        )
    if len(row_of) > len(keys):
        logger.warning("%s: %d of its particles are not in %s", their_file, len(row_of) - len(keys), our_file)
    return np.array([row_of[key] for key in keys], dtype=np.int64)


def _laid_on(iteration: Iteration, rows: np.ndarray, table: ParticleTable, path: str, where: str) -> Iteration:
    """Return the iteration with particles, intensity groups and optics groups as the table has them."""
    source = iteration.particles
    particles, optics = particles_from_table(table)
    assigned = ASSIGNED if source.top_classes is None else (*ASSIGNED, "top_classes", "top_posteriors")
    particles = replace(particles, **{name: getattr(source, name)[rows] for name in assigned})
    at = _optics_rows(iteration.optics, optics, path, where)
    model = replace(
        iteration.model,
        sigma2_noise=iteration.model.sigma2_noise[at],
        scale_correction=_scales(iteration.model, source, particles, path),
    )
    return replace(iteration, particles=particles, optics=optics, model=model)


def _scales(model: Model, theirs: Particles, ours: Particles, path: str) -> np.ndarray:
    """Return the intensity scales of our groups, by name; 1 for a group that the iteration did not have."""
    scale_of = dict(zip(theirs.group_names, model.scale_correction, strict=True))
    unknown = [name for name in ours.group_names if name not in scale_of]
    if unknown:
        logger.warning("%s: no scale of %d intensity groups (%s ...); 1 is taken", path, len(unknown), unknown[0])
    return np.array([scale_of.get(name, 1.0) for name in ours.group_names])


def _optics_rows(theirs: list[OpticsGroup], ours: list[OpticsGroup], path: str, where: str) -> list[int]:
    """Return which of their optics groups each of ours is: the one of its name, or else of its number."""
    names = [group.name for group in theirs]
    rows, problems = [], []
    for number, group in enumerate(ours):
        row = names.index(group.name) if group.name in names else number
        if row >= len(theirs):
            problems.append(f"{path}: no optics group {group.name}, which {where} has")
            continue
        other = theirs[row]
        if other.box_px != group.box_px or abs(other.pixel_size_ang - group.pixel_size_ang) > 1e-4:
            problems.append(
                f"{path}: optics group {other.name} has images of {other.box_px} px of {other.pixel_size_ang:g} A, "
                f"but {where} has {group.box_px} px of {group.pixel_size_ang:g} A"
            )
        rows.append(row)
    if problems:
        raise StarError(*problems)
    return rows


def _check_box(iteration: Iteration, path: Path) -> None:
    """Raise StarError unless the class averages are as large as the images of the first optics group."""
    model, group = iteration.model, iteration.optics[0]
    if model.box_px != group.box_px or abs(model.pixel_size_ang - group.pixel_size_ang) > 1e-3:
        raise StarError(
            f"{path}: class averages of {model.box_px} px of {model.pixel_size_ang:g} A for images of "
            f"{group.box_px} px of {group.pixel_size_ang:g} A; such a run cannot go on"
        )
