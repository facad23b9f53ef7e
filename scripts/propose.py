"""Score the classes of a round that a person has yet to choose from (no RELION job; report/round_NN/proposal.tsv)."""

import logging
from pathlib import Path

from winnow2d import choosing, runner
from winnow2d.options import SelectOptions


def spec() -> runner.JobSpec:
    """Return what kind of job this is: its directory is the report folder of the round."""
    rule = globals().get("snakemake")
    directory = Path(rule.output[0]).parent.as_posix() if rule else "report/round_01"
    return runner.JobSpec(type="proposal", is_relion_job=False, directory=directory)


with runner.job(globals(), spec()) as job:
    options = SelectOptions(**job.params.select)
    judged = choosing.judge(job.inputs.data, job.inputs.optimiser, job.inputs.model, job.params.particle_diameter)
    guard = choosing.guard_of_views(judged, options, job.own, None, is_proposal=True)
    choice = choosing.choose(judged, options, job.own, None, guard.exceptions, is_proposal=True)
    choosing.write_classes(job.outputs.proposal, judged, choice)
    logging.getLogger("winnow2d").info("The rules alone would keep %s", choice.sentence)
