"""Put the kept particles of a round in intensity groups of enough size (RELION job type Select)."""

import logging

from winnow2d import runner
from winnow2d.formats.form_versions import files_of_fn_model
from winnow2d.formats.jobs import JobFile
from winnow2d.formats.particles import read_particle_table, write_particle_table
from winnow2d.formats.selection_star import read_group_scales
from winnow2d.list_replay import regrouped
from winnow2d.options import SelectOptions
from winnow2d.passed_rounds import reason_to_pass_on
from winnow2d.selection.regroup import warn_of_small_groups

logger = logging.getLogger("winnow2d")


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
    if reason := reason_to_pass_on(job):  # these are the groups of the round before
        logger.info("Passed on: %s", reason)
    else:
        scales = read_group_scales(job.inputs.model)
        table = regrouped(table, scales, job.options.nr_groups, job.own.min_group_size)
        names = table.particles["rlnGroupName"].tolist()
        logger.info("%s particles in %d groups", f"{len(names):,}", len(set(names)))
        warn_of_small_groups(names)
    write_particle_table(job.outputs.particles, table)
