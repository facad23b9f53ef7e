"""Classify the rejected particles of a round once more by themselves (RELION job type Class2D)."""

import dataclasses
import logging

import class2d
from winnow2d import runner
from winnow2d.errors import ConfigError
from winnow2d.formats.passing import pass_on
from winnow2d.formats.refinement import remove_iterations_after
from winnow2d.formats.second_chance import n_rows, read_rejected
from winnow2d.selection.second_chance import is_worth_it, n_classes, said_too_few

logger = logging.getLogger("winnow2d")
SPEC = dataclasses.replace(class2d.SPEC, input_nodes={**class2d.SPEC.input_nodes, "optimiser": "class2d_optimiser"})


def pass_through(job: runner.Job, reason: str) -> None:
    """Give the round's own classification under the names of this job's, and say why."""
    optimiser = getattr(job.inputs, "optimiser", None)
    if optimiser is None:
        raise ConfigError(f"{reason}. Leave this job out.")
    remove_iterations_after(job.stem("run"), -1)
    pass_on(optimiser, str(job.outputs.optimiser).removesuffix("_optimiser.star"))
    logger.info("Passed on unchanged from %s: %s", optimiser, reason)
    job.record(passed_on=optimiser.as_posix(), reason=reason)


if __name__ == "__main__":
    with runner.job(globals(), SPEC) as job:
        table = read_rejected(job.inputs.particles)
        n_rejected = 0 if table is None else len(table.particles)
        if not is_worth_it(n_rejected):
            pass_through(job, said_too_few(n_rejected))
        else:
            if data := getattr(job.inputs, "data", None):
                k = n_classes(n_rejected, n_rows(data), job.options.nr_classes)
                logger.info("%s rejected particles in %d classes", f"{n_rejected:,}", k)
                job.settle(dataclasses.replace(job.options, nr_classes=k))
            class2d.run_job(job)
