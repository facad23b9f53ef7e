"""Takes over the particles of a classification that another program or project made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from winnow2d.formats.particles import ParticleTable, read_particle_table
from winnow2d.intake.enter import check_rounds, rename_stacks
from winnow2d.intake.findings import Findings, numbers
from winnow2d.intake.images import check_headers
from winnow2d.intake.resolve import find_outside
from winnow2d.intake.rounds import PlannedRound
from winnow2d.intake.stacks import (
    check_found,
    make_links,
    plan_links,
    read_own_links,
    search_folders,
    split_image_names,
)
from winnow2d.intake.tables import check_tables, optics_rows


def enter_classified(
    source: Path,
    project: Path,
    job_directory: str,
    stacks_root: str = "",
    do_ctf_correction: bool = True,
    rounds: Sequence[PlannedRound] = (),
) -> ParticleTable:
    """Return the particles of a classification made elsewhere, named so that the project finds their images.

    Stacks that are not found from the project by their name are linked, as `enter_particles` does, on account of
    `job_directory`. Headers are checked, pixels are not: whoever classified the images has read them. Where no round
    follows no image is needed, and what is wrong with them is told as warnings.

    Parameters
    ----------
    source : Path
        The data file of the classification; no row of it is left out.
    project, stacks_root, do_ctf_correction : as in `enter_particles`
    job_directory : str
        The job of ours that takes the particles over.
    rounds : sequence of PlannedRound
        Those that classify the particles anew.

    Raises
    ------
    StarError
        With all problems together; no link is made then.
    """
    findings = Findings()
    project = project.absolute()
    table = read_particle_table(source)
    check_tables(table, str(source), do_ctf_correction, findings)
    references = split_image_names(table.particles["rlnImageName"])
    own_links = read_own_links(project, job_directory)
    found = find_outside(references.names, source, project, stacks_root, own_links)
    of_images = findings if rounds else Findings()
    check_found(found, search_folders(source, project, stacks_root), str(source), of_images)
    given = (
        numbers(table.optics["rlnImageSize"]) if "rlnImageSize" in table.optics else np.full(len(table.optics), np.nan)
    )
    check_headers(found, references, optics_rows(table), given, str(source), of_images)
    check_rounds(table, 0, rounds, findings)
    if not rounds:
        findings.warnings += of_images.errors
    findings.settle()
    present = {name: path for name, path in found.items() if path is not None}
    names, links = plan_links(present, project, job_directory, own_links)
    make_links(links, own_links, project, job_directory)
    names = {name: name for name in found} | names
    return ParticleTable(table.optics, rename_stacks(table.particles, references, names))
