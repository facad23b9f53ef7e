"""Go on with a classification that has not converged, else pass it on (RELION job type Class2D, continued)."""

import logging
from pathlib import Path

from class2d import SPEC, run_job
from winnow2d import runner
from winnow2d.engine.convergence import Step, verdict
from winnow2d.formats.convergence import CONVERGENCE_FILE, read_convergence
from winnow2d.formats.passing import pass_on
from winnow2d.formats.refinement import remove_iterations_after
from winnow2d.passed_rounds import reason_to_pass_on

logger = logging.getLogger("winnow2d")


def reason_to_leave_it(job: runner.Job, optimiser: Path) -> str:
    """Return why the classification is not to go on; empty if it is."""
    if reason := reason_to_pass_on(job):
        return reason
    found = verdict([Step(*row) for row in read_convergence(optimiser.with_name(CONVERGENCE_FILE))])
    logger.info("%s: %s", optimiser, found.sentence)
    return found.sentence if found.is_converged else ""


if __name__ == "__main__":
    with runner.job(globals(), SPEC) as job:
        optimiser = Path(job.options.fn_cont)
        if reason := reason_to_leave_it(job, optimiser):
            remove_iterations_after(job.stem("run"), -1)
            pass_on(optimiser, str(job.outputs.optimiser).removesuffix("_optimiser.star"))
            logger.info("Passed on unchanged from %s, %s", optimiser, reason)
            job.record(passed_on=optimiser.as_posix(), reason=reason)
        else:
            run_job(job)
