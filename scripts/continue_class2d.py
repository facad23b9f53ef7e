"""Go on with a classification that has not converged, else pass it on (RELION job type Class2D, continued)."""

import logging
from pathlib import Path

from class2d import SPEC, run_job
from winnow2d import runner
from winnow2d.engine.convergence import Step, verdict
from winnow2d.formats.convergence import CONVERGENCE_FILE, read_convergence
from winnow2d.formats.passing import pass_on
from winnow2d.formats.refinement import remove_iterations_after

logger = logging.getLogger("winnow2d")

if __name__ == "__main__":
    with runner.job(globals(), SPEC) as job:
        optimiser = Path(job.options.fn_cont)
        found = verdict([Step(*row) for row in read_convergence(optimiser.with_name(CONVERGENCE_FILE))])
        if found.is_converged:
            remove_iterations_after(job.stem("run"), -1)
            pass_on(optimiser, str(job.outputs.optimiser).removesuffix("_optimiser.star"))
            logger.info("Passed on unchanged from %s, %s", optimiser, found.sentence)
            job.record(passed_on=optimiser.as_posix(), reason=found.sentence)
        else:
            logger.info("%s: %s", optimiser, found.sentence)
            run_job(job)
