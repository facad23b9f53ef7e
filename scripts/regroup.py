"""Put the kept particles of a round in intensity groups of enough size (RELION job type Select)."""

import logging

from winnow2d import runner
from winnow2d.formats.form_versions import files_of_fn_model
from winnow2d.formats.jobs import JobFile
from winnow2d.formats.particles import read_particle_table, write_particle_table
from winnow2d.formats.selection_star import group_and_optics, micrograph_names, read_group_scales, with_groups
from winnow2d.options import SelectOptions
from winnow2d.selection.regroup import number_groups, regroup, regroup_by_size, warn_of_small_groups


def inputs_of(options: SelectOptions) -> dict[str, str]:
    """Return what a form names: a model, and the particles to regroup; those of the model where it names no others."""
    files = files_of_fn_model(options.fn_model)
    return files | {"particles": options.fn_data or files["data"]}


def misfit(form: JobFile) -> str:
    """Return why a form of RELION's Select job does not ask for regrouping; empty if it does."""
    if form.options.do_regroup and form.options.fn_model:
        return ""
    return "regrouping needs do_regroup: Yes, and as fn_model the classification whose groups have an intensity"


SPEC = runner.JobSpec(
    type="Select",
    label="relion.select.interactive",
    nodes={"particles": "particles"},
    input_nodes={"optimiser": "class2d_optimiser", "particles": "particles"},
    option_inputs={"fn_model": "optimiser", "fn_data": "particles"},
    inputs_of=inputs_of,
    misfit=misfit,
    planned_outputs=lambda options: {"particles": "particles.star"},
)

with runner.job(globals(), SPEC) as job:
    table = read_particle_table(job.inputs.particles)
    scales, groups = read_group_scales(job.inputs.model), group_and_optics(table)
    if job.own.min_group_size:
        names = regroup_by_size(scales, *groups, job.own.min_group_size)
    else:
        names = regroup(scales, *groups, job.options.nr_groups)
    numbers = number_groups(names, micrograph_names(table))
    write_particle_table(job.outputs.particles, with_groups(table, names, numbers))
    logging.getLogger(__name__).info("%s particles in %d groups", f"{len(names):,}", numbers.max())
    warn_of_small_groups(names)
