"""Write the final particles for other programs, under the names they came with (no job of RELION; export/)."""

import logging
from pathlib import Path

from winnow2d import runner
from winnow2d.extraction.downsample import full_size
from winnow2d.formats.export import data_folder, for_cryosparc, with_original_names
from winnow2d.formats.joining import read_joined
from winnow2d.formats.particles import read_particle_table, write_particle_table

SPEC = runner.JobSpec(type="export", is_relion_job=False, directory="export")
log = logging.getLogger(__name__)

with runner.job(globals(), SPEC) as job:
    table = read_particle_table(job.inputs.particles)
    if entered := getattr(job.inputs, "entered", []):
        table = full_size(table, read_joined(entered))
    made = {"relion": with_original_names, "cryosparc": for_cryosparc}
    for program, path in vars(job.outputs).items():
        exported = made[program](table)
        write_particle_table(path, exported)
        names = (frame.particles["rlnImageName"] for frame in (table, exported))
        folder = data_folder(*names, Path()) or "the folder the original file's names are relative to"
        advice = f"; in Import Particle Stack it is the Particle meta path, the Particle data path is {folder}"
        log.info(
            "%s particles for %s: %s, image names relative to %s%s",
            f"{len(table.particles):,}", program, path, folder, advice if program == "cryosparc" else "",
        )  # fmt: skip
