"""Average the particles of a round into classes (RELION job type Class2D)."""

import dataclasses
import logging
import time
from collections.abc import Sequence

import numpy as np

from winnow2d import __version__, runner
from winnow2d.engine.classify import Classifier
from winnow2d.formats.atomic import replaced
from winnow2d.formats.mrc import ParticleStack
from winnow2d.formats.particles import ParticleTable, particles_from_table, read_particle_table, sort_by_micrograph
from winnow2d.formats.refinement import iteration_numbers, remove_iteration, remove_iterations_after, write_iteration
from winnow2d.formats.state import STATE_FILE, fingerprint, load_state, save_state
from winnow2d.records import Iteration

SPEC = runner.JobSpec(
    type="Class2D",
    nodes={"data": "class2d_data", "optimiser": "class2d_optimiser"},
    input_nodes={"particles": "particles"},
    option_inputs={"fn_img": "particles"},
)
# Options that start nothing anew. All but one change no number of an iteration: the total may grow. The device
# does, in the last digits, as sums are rounded in another order; a run may all the same move to another machine.
WITHOUT_EFFECT = ("nr_iter_em", "fn_img", "device", "keep_iterations", "grad_write_iter", "stacks_root")

LEFT_OUT_FILE = "left_out.tsv"
logger = logging.getLogger("winnow2d")


def state_mark(job: runner.Job) -> str:
    """Return the fingerprint of everything that decides the iterations of a job."""
    options = dataclasses.asdict(job.options) | dataclasses.asdict(job.own)
    # The schedule of VDAM is stretched over all its mini-batches; EM has no use for their number.
    ignored = (*WITHOUT_EFFECT, "nr_iter_grad") if job.options.do_em else WITHOUT_EFFECT
    effective = {name: value for name, value in options.items() if name not in ignored}
    return fingerprint(__version__, effective, job.inputs.particles)


class WrittenIterations:
    """The iteration files of a job: all of EM's, of VDAM's the first, every tenth and the last."""

    def __init__(self, job: runner.Job, table: ParticleTable):
        self._job, self._table = job, table

    def add(self, iteration: Iteration) -> None:
        """Write the files of an iteration if they are wanted, and remove all earlier ones if only the last is."""
        job, total = self._job, self._job.options.n_iterations
        number = iteration.number
        if not (job.options.do_em or number % job.own.grad_write_iter == 0 or number == total):
            return
        iteration = dataclasses.replace(iteration, total=total)
        write_iteration(job.stem("run"), iteration, self._table, job.options, job.own, job.command)
        if job.own.keep_iterations == "last":
            for earlier in iteration_numbers(job.stem("run")):
                if earlier < number:
                    remove_iteration(job.stem("run"), earlier)


def describe(iteration: Iteration, seconds_left: float) -> str:
    """Return the line run.out has for an iteration."""
    model = iteration.model
    n_live = len(np.unique(iteration.particles.class_index[iteration.particles.class_index >= 0]))
    left_out = f"{iteration.n_left_out} particles without weight, " if iteration.n_left_out else ""
    resolution = model.box_px * model.pixel_size_ang / model.resolution_shell
    return (
        f"resolution {resolution:.1f} A, Pmax {model.average_max_probability:.3f}, "
        f"{n_live} of {model.n_classes} classes live, {left_out}{iteration.changes.class_fraction:.1%} changed class, "
        f"{int(seconds_left // 60)}:{int(seconds_left % 60):02d} left"
    )


def tell_of_unusable(job: runner.Job, names: Sequence[str], is_broken: np.ndarray, n_known: int) -> int:
    """Return how many images are unusable; if more than were known, warn and list all in left_out.tsv."""
    rows = np.flatnonzero(is_broken)
    if len(rows) > n_known:
        with replaced(job.directory / LEFT_OUT_FILE) as [path]:
            lines = [f"{names[row]}\tNaN, infinite or constant pixels" for row in rows]
            path.write_text("\n".join(["image_name\treason", *lines, ""]), encoding="utf-8")
        listed = job.directory / LEFT_OUT_FILE
        logger.warning(
            "%d images cannot be used and belong to no class, e.g. %s; all in %s", len(rows), names[rows[0]], listed
        )
    return len(rows)


def main() -> None:
    """Run the job, from its newest state on."""
    with runner.job(globals(), SPEC) as job:
        table = sort_by_micrograph(read_particle_table(job.inputs.particles))
        particles, optics = particles_from_table(table)
        mark = state_mark(job)
        state, reason = load_state(job.directory, mark)
        if state is not None and state.number > job.options.n_iterations:
            state, reason = None, f"it is at iteration {state.number}, beyond the {job.options.n_iterations} asked for"
        if state is None:
            (job.directory / STATE_FILE).unlink(missing_ok=True)
        if reason:
            logger.info("Starting from iteration 1, not from the state found: %s", reason)
        names = list(table.particles["rlnImageName"])
        boxes = np.array([group.box_px for group in optics])
        stack = ParticleStack(names, root=".", box_px=boxes[particles.optics_group])
        run = Classifier(stack, particles, optics, job.options, job.own, state, n_threads=job.threads)

        written = WrittenIterations(job, table)
        remove_iterations_after(job.stem("run"), -1 if state is None else state.number)  # left by another run
        if state is None:
            written.add(run.iteration)
        else:
            logger.info("Going on after iteration %d", state.number)
            written.add(state)
        n_unusable = 0
        began, first = time.monotonic(), run.iteration.number
        while not run.done:
            job.stop_if_aborted()
            iteration = run.update()
            written.add(iteration)
            save_state(job.directory, iteration, mark)
            n_unusable = tell_of_unusable(job, names, run.images.is_broken, n_unusable)
            per_iteration = (time.monotonic() - began) / (iteration.number - first)
            left = per_iteration * (job.options.n_iterations - iteration.number)
            job.progress(iteration.number, job.options.n_iterations, describe(iteration, left))


if __name__ == "__main__":
    main()
