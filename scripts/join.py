"""Join particle files into one (RELION job type JoinStar)."""

import logging

from winnow2d import runner
from winnow2d.formats.jobs import JobFile
from winnow2d.formats.joining import joined
from winnow2d.formats.particles import read_particle_table, write_particle_table


def misfit(form: JobFile) -> str:
    """Return why a form of RELION's JoinStar job does not ask for particles to be joined; empty if it does."""
    if form.options.do_part and form.options.particle_files:
        return ""
    return "no particle files to join: set do_part: Yes, and name them as fn_part1, fn_part2 ..."


SPEC = runner.JobSpec(
    type="JoinStar",
    label="relion.joinstar.particles",
    nodes={"particles": "particles"},
    input_nodes={"particles": "particles"},
    option_lists={"particles": ("fn_part1", "fn_part2", "fn_part3", "fn_part4")},  # RELION's form shows no more
    misfit=misfit,
    planned_outputs=lambda options: {"particles": "join_particles.star"},
)

with runner.job(globals(), SPEC) as job:
    paths = job.inputs.particles
    tables = {path.as_posix(): read_particle_table(path) for path in paths}
    table = joined(tables, getattr(job.params, "parts_per_file", 1), getattr(job.params, "are_regrouped", False))
    write_particle_table(job.outputs.particles, table)
    logging.getLogger(__name__).info(
        "%s particles of %d files, %d optics groups", f"{len(table.particles):,}", len(paths), len(table.optics)
    )
