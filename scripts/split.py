"""Deal the particles of a file into parts that the first round classifies apart (RELION job type Select)."""

import logging

import numpy as np

from winnow2d import runner
from winnow2d.errors import ConfigError
from winnow2d.formats.jobs import JobFile
from winnow2d.formats.particles import read_particle_table, write_particle_table
from winnow2d.formats.selection_star import micrograph_names, rows_of
from winnow2d.intake.splits import part_of_each


def misfit(form: JobFile) -> str:
    """Return why a form of RELION's Select job does not ask for a split; empty if it does."""
    options = form.options
    if options.do_split and options.nr_split > 1 and options.fn_data:
        return ""
    return "a split needs a particles STAR file as fn_data, do_split: Yes, and as nr_split the number of subsets"


SPEC = runner.JobSpec(
    type="Select",
    label="relion.select.split",
    nodes={"parts": "particles"},
    input_nodes={"particles": "particles"},
    option_inputs={"fn_data": "particles"},
    misfit=misfit,
    planned_outputs=lambda options: {
        "parts": [f"particles_split{number + 1}.star" for number in range(options.nr_split)]
    },
)

if __name__ == "__main__":
    with runner.job(globals(), SPEC) as job:
        table = read_particle_table(job.inputs.particles)
        names, paths = table.particles["rlnImageName"].tolist(), job.outputs.parts
        if len(names) < len(paths):
            raise ConfigError(
                f"own.splits: {len(paths)} parts of {len(names)} particles of {job.inputs.particles}: each part needs "
                "one at least, and a classification some hundred. Say fewer."
            )
        part = part_of_each(names, micrograph_names(table), len(paths), getattr(job.own, "random_seed", 1))
        for number, path in enumerate(paths):
            write_particle_table(path, rows_of(table, np.flatnonzero(part == number)))
        logging.getLogger("winnow2d").info("%s particles in %d parts", f"{len(names):,}", len(paths))
