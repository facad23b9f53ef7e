"""Image names of a table from elsewhere, made to resolve in this project by links of a job of ours."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from winnow2d.formats.particles import ParticleTable
from winnow2d.intake.enter import IMPORT_JOB, rename_stacks
from winnow2d.intake.findings import Findings, name_some, numbers
from winnow2d.intake.images import check_headers
from winnow2d.intake.stacks import (
    find_stacks,
    make_links,
    plan_links,
    read_own_links,
    search_folders,
    split_image_names,
)
from winnow2d.intake.tables import check_image_names, optics_rows

logger = logging.getLogger(__name__)


def with_links(
    table: ParticleTable, source: Path, project: Path, job_directory: str, stacks_root: str = ""
) -> ParticleTable:
    """Return the table with image names that RELION can read in the project; links are made in or for the job.

    Names that had to change are kept in the column winnowSourceImageName. A stack that is nowhere to be found is no
    error, as the table may be meant for another machine: its name stays, and one warning counts them.

    Parameters
    ----------
    table : ParticleTable
    source : Path
        The STAR file it comes from: relative names are looked for from its folder, too.
    project : Path
    job_directory : str
        The job of ours that the table is for, relative to the project.
    stacks_root : str
        Last folder in which relative stack names are looked for; empty for none.

    Raises
    ------
    StarError
        An image name is broken, a stack has another box than the table says, or too few images.
    """
    findings = Findings()
    check_image_names(table.particles, str(source), findings)
    project = project.absolute()
    references = split_image_names(table.particles["rlnImageName"])
    own_links = read_own_links(project, job_directory)
    found = find_outside(references.names, source, project, stacks_root, own_links)
    missing = [name for name, path in found.items() if path is None]
    if missing:
        findings.warn(
            f"{len(missing)} of {len(found)} stacks of {source} were not found: {name_some(missing)}. Their names are "
            "kept as they are; own.stacks_root may name their folder."
        )
    boxes = (
        numbers(table.optics["rlnImageSize"]) if "rlnImageSize" in table.optics else np.full(len(table.optics), np.nan)
    )
    check_headers(found, references, optics_rows(table), boxes, str(source), findings)
    findings.settle()
    present = {name: path for name, path in found.items() if path is not None}
    names, links = plan_links(present, project, job_directory, own_links)
    make_links(links, own_links, project, job_directory)
    renamed = rename_stacks(table.particles, references, {name: name for name in missing} | names)
    return ParticleTable(table.optics, renamed)


def find_outside(
    names: list[str], source: Path, project: Path, stacks_root: str, own_links: dict[str, str]
) -> dict[str, Path | None]:
    """Return where stacks lie: of a file from outside first beside it, as the project may have others of that name.

    Likewise the import's links may have the very names of these stacks, and lead to the images that were classified:
    they count only where there is nothing else.
    """
    passed_over = read_own_links(project, IMPORT_JOB) | own_links
    _, *elsewhere = search_folders(source, project, stacks_root)
    ways: list[tuple[list[Path], dict[str, str]]] = [([project, *elsewhere], passed_over), ([project], {})]
    if not source.absolute().resolve().is_relative_to(project.resolve()):
        # what is beside the file counts before the project; a folder that both lie in has its say after it
        own = [folder for folder in elsewhere if not project.is_relative_to(folder)]
        ways.insert(0, (own, {}))
    found: dict[str, Path | None] = dict.fromkeys(names)
    for folders, links in ways:
        left = [name for name, path in found.items() if path is None]
        found |= find_stacks(left, folders, links) if folders else {}
    return found
