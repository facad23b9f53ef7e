"""Enters a user's particles in the project: reads, checks everything, links the stacks, writes particles.star."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from winnow2d.errors import StarError
from winnow2d.formats.atomic import replaced
from winnow2d.formats.cryosparc import SUFFIX, read_cryosparc_table
from winnow2d.formats.labels import SOURCE_IMAGE_NAME
from winnow2d.formats.particles import (
    ParticleTable,
    read_particle_table,
    tell_of_other_tables,
    write_particle_table,
)
from winnow2d.formats.star import read_star
from winnow2d.intake.findings import Findings, numbers
from winnow2d.intake.images import check_headers, check_pixels
from winnow2d.intake.rounds import PlannedRound, misfits
from winnow2d.intake.stacks import (
    ImageReferences,
    check_found,
    find_apart,
    make_links,
    plan_links,
    read_own_links,
    search_folders,
    split_image_names,
)
from winnow2d.intake.tables import check_tables, numbered_from_one, optics_rows, without_unused_optics

logger = logging.getLogger(__name__)

IMPORT_JOB = "Extract/job001"


@dataclass(frozen=True)
class Entered:
    """How many particles came in, how many were left out, and from how many stacks."""

    n_particles: int
    n_left_out: int
    n_stacks: int
    n_links: int


def enter_particles(
    source: Path,
    project: Path,
    job_directory: str = IMPORT_JOB,
    stacks_root: str = "",
    do_ctf_correction: bool = True,
    rounds: Sequence[PlannedRound] = (),
    passthrough: str = "",
    planned_jobs: Iterable[str] = (),
) -> Entered:
    """Check the particles of a STAR file and write them as `job_directory`/particles.star.

    Stacks are linked, not copied; every column passes through with its exact text. Particles whose image
    turned out to be dead stand in `job_directory`/left_out.tsv, with the reason.

    Parameters
    ----------
    source : Path
        The user's particles STAR file (RELION 3.1 to 5, older, or a run_itNNN_data.star), or cryoSPARC's .cs file.
    project : Path
        The project directory; names in the result are relative to it.
    job_directory : str
        The importing job, relative to the project; it must be ours.
    stacks_root : str
        Last folder in which relative stack names are looked for; empty for none.
    do_ctf_correction : bool
        Whether the classification will need the CTF columns.
    rounds : sequence of PlannedRound
        What the rounds ask of the particles; empty where it is not known.
    passthrough : str
        cryoSPARC's passthrough file; empty for the one beside the .cs file, if there is any.
    planned_jobs : iterable of str
        Directories of the project's jobs, also of those still to be run: no link is made below them.

    Returns
    -------
    Entered

    Raises
    ------
    StarError
        With all problems of tables, stacks, images and rounds together; nothing is written then.
    """
    findings = Findings()
    project = project.absolute()
    table = without_unused_optics(_read(source, findings, passthrough), str(source), findings)
    check_tables(table, str(source), do_ctf_correction, findings)
    if "rlnImageName" not in table.particles or table.particles.empty:
        findings.settle()
    references = split_image_names(table.particles["rlnImageName"])
    own_links = read_own_links(project, job_directory)
    folders = search_folders(source, project, stacks_root)
    found = find_apart(references.names, folders, project, job_directory)
    check_found(found, folders, str(source), findings)
    table, left_out = _check_images(table, references, found, str(source), findings)
    check_rounds(table, len(left_out), rounds, findings)
    findings.settle()

    table = numbered_from_one(table)
    present = {name: path for name, path in found.items() if path is not None}
    names, links = plan_links(
        present, project, job_directory, own_links, planned_jobs, is_alone=job_directory == IMPORT_JOB
    )
    make_links(links, own_links, project, job_directory)
    _write_left_out(project / job_directory / "left_out.tsv", table.particles, left_out)
    particles = rename_stacks(table.particles, references, names)
    is_kept = np.ones(len(particles), dtype=bool)
    is_kept[list(left_out)] = False
    kept = ParticleTable(table.optics, particles[is_kept].reset_index(drop=True))
    write_particle_table(project / job_directory / "particles.star", kept)
    logger.info(
        "%s particles from %s stacks, %s left out", f"{len(kept.particles):,}", f"{len(names):,}", len(left_out)
    )
    return Entered(len(kept.particles), len(left_out), len(names), len(links))


def _read(source: Path, findings: Findings, passthrough: str) -> ParticleTable:
    """Return the tables as they are, faults included: they are to be told together with all others.

    The optics table has no columns where it could not be made from an old file; the errors are found then.
    """
    if source.suffix == SUFFIX:
        return read_cryosparc_table(source, passthrough)
    if passthrough:
        findings.warn(f"own.passthrough: {passthrough} is not read, as {source} is no .cs file.")
    if source.suffix == ".csg":
        raise StarError(f"{source}: a list of files. Name the .cs file of the particles that stands in it.")
    blocks = read_star(source)
    tell_of_other_tables(blocks, source)
    if "optics" in blocks and "particles" in blocks:
        return ParticleTable(blocks["optics"], blocks["particles"])
    try:
        return read_particle_table(source)
    except StarError as error:
        old = next((blocks[name] for name in ("particles", "images", "") if name in blocks), pd.DataFrame())
        if "optics" in blocks or old.empty:
            raise
        findings.errors.extend(error.problems)
        return ParticleTable(pd.DataFrame(), old)


def _check_images(
    table: ParticleTable,
    references: ImageReferences,
    found: dict[str, Path | None],
    source: str,
    findings: Findings,
) -> tuple[ParticleTable, dict[int, str]]:
    """Return the table with its box filled in if it had none, and the particles to leave out (row -> reason)."""
    n_groups = max(1, len(table.optics))
    given = numbers(table.optics["rlnImageSize"]) if "rlnImageSize" in table.optics else np.full(n_groups, np.nan)
    group = optics_rows(table)
    is_readable, boxes = check_headers(found, references, group, given, source, findings)
    rows = np.flatnonzero(is_readable)
    if len(rows) == 0:
        return table, {}
    paths = [found[name] or Path() for name in references.names]
    if not np.isfinite(given).all() and len(table.optics):
        told = ", ".join(str(box) for box in dict.fromkeys(boxes.tolist()))
        findings.warn(f"{source}: data_optics has no rlnImageSize; {told} px was taken from the stacks.")
        optics = table.optics.assign(rlnImageSize=[str(box) for box in boxes])
        if "rlnImageDimensionality" not in optics:
            optics["rlnImageDimensionality"] = "2"
        table = ParticleTable(optics, table.particles)
    return table, check_pixels(paths, references, group, rows, boxes, source, findings)


def check_rounds(table: ParticleTable, n_left_out: int, rounds: Sequence[PlannedRound], findings: Findings) -> None:
    """Add what the rounds ask of particles that these cannot give; the smallest box must hold the mask."""
    sizes, pixels = [
        numbers(table.optics[label]) if label in table.optics and len(table.optics) else np.array([np.nan])
        for label in ("rlnImageSize", "rlnImagePixelSize")
    ]
    lengths = sizes * pixels
    smallest = int(np.nanargmin(lengths)) if np.isfinite(lengths).any() else 0
    box_px = int(sizes[smallest]) if np.isfinite(sizes[smallest]) else 0
    findings.errors.extend(misfits(rounds, box_px, float(pixels[smallest]), len(table.particles) - n_left_out))


def rename_stacks(particles: pd.DataFrame, references: ImageReferences, names: dict[str, str]) -> pd.DataFrame:
    """Return the particles with the stack names of the project; names that changed are kept in a column of ours."""
    new_names = np.array([names[name] for name in references.names], dtype=object)
    old_names = np.array(references.names, dtype=object)
    is_changed = (new_names != old_names)[references.stack]
    if not is_changed.any():
        return particles
    column = particles["rlnImageName"]
    index = column.str.partition("@")[0]
    renamed = index + "@" + pd.Series(new_names[references.stack], index=column.index)
    particles = particles.copy()
    if SOURCE_IMAGE_NAME not in particles:
        particles[SOURCE_IMAGE_NAME] = column
    particles["rlnImageName"] = column.where(~is_changed, renamed)
    return particles


def _write_left_out(path: Path, particles: pd.DataFrame, left_out: dict[int, str]) -> None:
    lines = ["image_name\trow\treason"]
    lines += [f"{particles['rlnImageName'].iloc[row]}\t{row + 1}\t{left_out[row]}" for row in sorted(left_out)]
    with replaced(path) as (temporary,):
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
