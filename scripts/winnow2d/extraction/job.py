"""A whole extraction: from a micrographs STAR file and coordinates to particles.star, as one job."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from winnow2d.extraction.micrograph import table_of
from winnow2d.extraction.plan import plan_micrographs
from winnow2d.extraction.run import Extracted, extract_micrographs
from winnow2d.extraction.settings import Settings
from winnow2d.formats import labels
from winnow2d.formats.coordinates import COORDINATE_FILE, COORDINATE_FILES
from winnow2d.formats.micrograph_table import MicrographTable, extracted_optics, read_micrograph_table
from winnow2d.formats.particles import ParticleTable, write_particle_table
from winnow2d.formats.star import write_star

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sources:
    """What an extraction starts from; names are relative to the project.

    `coordinates` is a pattern, a coordinate list or a particles STAR file; `needs_ctf` whether particles must have
    a CTF; `stacks_root` the last folder in which micrographs are looked for.
    """

    micrographs: str
    coordinates: str
    needs_ctf: bool = True
    stacks_root: str = ""


def extract_particles(
    sources: Sources,
    settings: Settings,
    project: Path,
    job_directory: str,
    n_threads: int,
    on_done: Callable[[int, int, str], None],
) -> ParticleTable:
    """Extract particles into `job_directory` as RELION's Extract does, and return what its particles.star holds.

    Raises
    ------
    StarError
        Tables, coordinates or too many micrographs cannot be used; see `read_micrograph_table`,
        `plan_micrographs` and `extract_micrographs`.
    """
    table = read_micrograph_table(project / sources.micrographs, sources.needs_ctf)
    plan = plan_micrographs(table, sources.coordinates, project, sources.stacks_root)
    is_reextraction = any(planned.particles is not None for planned in plan)
    logger.info("%d of %d micrographs have coordinates", len(plan), len(table.micrographs))
    done = extract_micrographs(plan, settings, project, job_directory, n_threads, on_done)
    _tell(done)
    result = _with_optics(table, settings, done.particles)
    write_particle_table(project / job_directory / "particles.star", result)
    if is_reextraction:
        rows = {labels.MICROGRAPH_NAME: done.names}
        rows[COORDINATE_FILE] = [table_of(job_directory, name) for name in done.names]
        write_star(project / job_directory / "extractpick.star", {COORDINATE_FILES: pd.DataFrame(rows, dtype=object)})
    return result


def _with_optics(table: MicrographTable, settings: Settings, particles: pd.DataFrame) -> ParticleTable:
    """Return particles with their optics groups, numbered as in the micrographs STAR file."""
    windowing = settings.windowing
    return ParticleTable(extracted_optics(table, windowing.box_px, windowing.output_px), particles)


def _tell(done: Extracted) -> None:
    resumed = f", {done.n_resumed} micrographs of an earlier run kept" if done.n_resumed else ""
    logger.info(
        "%s particles from %d micrographs; %d without particles, %d left out%s",
        f"{len(done.particles):,}", len(done.names), done.n_empty, done.n_bad, resumed,
    )  # fmt: skip
