"""Average the particles of a round into classes (RELION job type Class2D)."""

import dataclasses
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from winnow2d import __version__, runner
from winnow2d.devices import with_gpu
from winnow2d.engine.classify import Classifier
from winnow2d.engine.continuing import continued
from winnow2d.engine.convergence import Step, step_between, verdict
from winnow2d.engine.stages import CLOCK, FILES, lines, stage
from winnow2d.errors import ConfigError
from winnow2d.formats.atomic import Behind, replaced
from winnow2d.formats.continuation import read_start
from winnow2d.formats.convergence import CONVERGENCE_FILE, read_convergence, write_convergence
from winnow2d.formats.mrc import ParticleStack
from winnow2d.formats.particles import ParticleTable, particles_from_table, read_particle_table, sort_by_micrograph
from winnow2d.formats.refinement import IterationWriter, iteration_numbers, remove_iteration, remove_iterations_after
from winnow2d.formats.state import STATE_FILE, StateFile, fingerprint, load_state
from winnow2d.option_values import unused_of, without_result
from winnow2d.options import Class2DOptions, OwnOptions
from winnow2d.records import Iteration
from winnow2d.round_ends import pass_on_classification, reason_to_pass_on

OUTPUTS = ("data.star", "model.star", "optimiser.star", "sampling.star", "classes.mrcs", "posteriors.npy")


def planned_outputs(options: Class2DOptions) -> dict[str, str]:
    """Return the files of the last iteration that options ask for, by the names of the rule's outputs."""
    return {name.partition(".")[0]: f"run_it{options.n_iterations:03d}_{name}" for name in OUTPUTS}


SPEC = runner.JobSpec(
    type="Class2D",
    nodes={"data": "class2d_data", "model": "class2d_model", "optimiser": "class2d_optimiser"},
    input_nodes={"particles": "particles", "continued": "class2d_optimiser"},
    option_inputs={"fn_img": "particles"},
    optional_inputs={"fn_cont": "continued"},
    planned_outputs=planned_outputs,
)
# Options that start nothing anew. All but two change no number of an iteration: the total may grow. The device
# does, in the last digits, as sums are rounded in another order; a run may all the same move to another machine.
# Of the optimiser file it goes on from the content counts, and not where it lies.
WITHOUT_EFFECT = (
    "nr_iter_em", "fn_img", "fn_cont", "device", "keep_iterations", "grad_write_iter", "stacks_root",
    *without_result(Class2DOptions),
)  # fmt: skip

LEFT_OUT_FILE = "left_out.tsv"
logger = logging.getLogger("winnow2d")


@dataclass(frozen=True)
class Task:
    """What is to be classified, how, and where it begins: anew, or with the iteration of another job."""

    table: ParticleTable
    options: Class2DOptions
    own: OwnOptions
    first: Iteration | None
    files: tuple[Path, ...]  # of which the content decides the iterations
    n_gpus: int = 1  # that share the work, where it is done on GPUs

    def is_own(self, job: runner.Job) -> bool:
        """Return whether the job goes on from an iteration of its own, as RELION continues a job in its directory."""
        return self.first is not None and Path(self.options.fn_cont).resolve().parent == job.directory.resolve()


def read_task(job: runner.Job) -> Task:
    """Return the task of a job; where it goes on from an optimiser file, options that RELION keeps are the file's.

    Raises
    ------
    ConfigError, StarError, ImageError
        There is nothing to classify, or the optimiser file does not fit the job.
    """
    options, found = job.options, getattr(job.inputs, "particles", None)
    if options.do_em == options.do_grad:
        raise ConfigError(f"class2d: do_em and do_grad are both {'on' if options.do_em else 'off'}; choose one.")
    own, n_gpus = with_gpu(options, job.own)
    if unused := unused_of(options):
        logger.info("Without effect here: %s", ", ".join(unused))
    table = None if found is None else sort_by_micrograph(read_particle_table(found))
    files = () if found is None else (found,)
    if not options.fn_cont:
        if table is None:
            raise ConfigError("class2d: neither fn_img (particles) nor fn_cont (an optimiser file) is given")
        return Task(table, options, own, None, files, n_gpus)
    start = read_start(job.inputs.continued, table, str(found))
    for name, value in start.kept.items():
        if getattr(options, name) != value:
            logger.info("class2d.%s: %s, as in %s, not %s", name, value, options.fn_cont, getattr(options, name))
    options = dataclasses.replace(options, **start.kept)
    first = continued(start.iteration, options, options.fn_cont)
    return Task(start.table, options, own, first, (*files, *start.files), n_gpus)


def state_mark(task: Task) -> str:
    """Return the fingerprint of everything that decides the iterations of a job."""
    options = dataclasses.asdict(task.options) | dataclasses.asdict(task.own)
    # The schedule of VDAM is stretched over all its mini-batches; EM has no use for their number.
    ignored = (*WITHOUT_EFFECT, "nr_iter_grad", "grad_em_iters") if task.options.do_em else WITHOUT_EFFECT
    effective = {name: value for name, value in options.items() if name not in ignored}
    return fingerprint(__version__, effective, *task.files)


class Kept:
    """What a job keeps: the newest state, and files of iterations: EM's all, VDAM's first, every tenth and last.

    As a context it ends when all of it is on disk; what waits for the disk goes on behind the next iteration.
    """

    def __init__(self, job: runner.Job, task: Task, mark: str):
        self._job, self._task = job, task
        self._writer = IterationWriter(task.table, task.options, job.own, job.command)
        self._state = StateFile(job.directory, mark)
        self._behind = Behind(counted=stage(FILES))

    def __enter__(self) -> Self:
        return self

    @stage(FILES)
    def __exit__(self, *exception: Any) -> None:
        try:
            self._behind.__exit__(*exception)
        finally:
            self._state.close()

    @stage(FILES)
    def add(self, iteration: Iteration) -> None:
        """Write the files of an iteration if they are wanted, and the state to go on from."""
        self.add_files(iteration)
        self._state.save(iteration, self._behind)

    @stage(FILES)
    def add_files(self, iteration: Iteration) -> None:
        """Write the files of an iteration if they are wanted, and remove all earlier ones if only the last is."""
        job, options = self._job, self._task.options
        number, total = iteration.number, options.n_iterations
        if not (options.do_em or number % job.own.grad_write_iter == 0 or number == total):
            return
        iteration = dataclasses.replace(iteration, total=total)
        self._writer.write(job.stem("run"), iteration, self._behind)
        if job.own.keep_iterations == "last":
            self._behind.do(partial(self._remove_before, number))

    def _remove_before(self, number: int) -> None:
        """Remove the files of earlier iterations, but not of the one the job began with."""
        job = self._job
        origin = self._task.first.number if self._task.first and self._task.is_own(job) else -1
        for earlier in iteration_numbers(job.stem("run")):
            if earlier < number and earlier != origin:
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


def newest_state(job: runner.Job, task: Task, mark: str) -> tuple[Iteration | None, int]:
    """Return the iteration to go on from (None: begin anew), and up to which one the job's files are this run's."""
    state, reason = load_state(job.directory, mark)
    total = task.options.n_iterations
    if state is not None and state.number > total:
        state, reason = None, f"it is at iteration {state.number}, beyond the {total} asked for"
    if state is not None:
        return state, state.number
    (job.directory / STATE_FILE).unlink(missing_ok=True)
    number = 0 if task.first is None else task.first.number
    if reason:
        logger.info("Starting from iteration %d, not from the state found: %s", number + 1, reason)
    return task.first, number if task.is_own(job) else -1


def tell_of_stages(job: runner.Job) -> None:
    """Say in run.out where the time went, a line a stage, and in provenance.json."""
    times = CLOCK.times()
    logger.info("CPU time by stage, added up over threads:")
    for line in lines(times):
        logger.info("%s", line)
    job.record(stages={name: {"cpu_s": round(t.cpu_s, 3), "wall_s": round(t.wall_s, 3)} for name, t in times.items()})


class Moves:
    """How far the iterations of a run move, in convergence.tsv as they are made."""

    def __init__(self, directory: Path, run: Classifier, n_own: int):
        self._path, self._run = directory / CONVERGENCE_FILE, run
        self._rows = read_convergence(self._path, up_to=n_own)

    def update(self) -> Iteration:
        """Do an iteration, and write down how far it moved; before its state, so that none is ever missing."""
        old = self._run.iteration
        new = self._run.update()
        self._rows.append(dataclasses.astuple(step_between(old, new, self._run.is_gradient(new.number))))
        write_convergence(self._path, self._rows)
        return new

    def tell(self) -> None:
        """Say in run.out whether the run has converged."""
        if not self._rows:
            return
        found = verdict([Step(*row) for row in self._rows])
        logger.info("After iteration %d %s", self._rows[-1][0], found.sentence)
        if not found.is_converged:
            logger.warning("Not converged; more iterations may help, also by own.continue_to")


def classify(job: runner.Job, run: Classifier, kept: Kept, names: Sequence[str], n_own: int) -> None:
    """Do the iterations that are left."""
    began, first_number, total = time.monotonic(), run.iteration.number, run.class2d.n_iterations
    n_unusable = 0
    moves = Moves(job.directory, run, n_own)
    while not run.done:
        job.stop_if_aborted()
        iteration = moves.update()
        kept.add(iteration)
        n_unusable = tell_of_unusable(job, names, run.images.is_broken, n_unusable)
        per_iteration = (time.monotonic() - began) / (iteration.number - first_number)
        left = per_iteration * (total - iteration.number)
        job.progress(iteration.number, total, describe(iteration, left))
    moves.tell()


def run_job(job: runner.Job) -> None:
    """Run a job, from its newest state on."""
    CLOCK.reset()
    task = read_task(job)
    particles, optics = particles_from_table(task.table)
    names = list(task.table.particles["rlnImageName"])
    boxes = np.array([group.box_px for group in optics])
    stack = ParticleStack(names, root=".", box_px=boxes[particles.optics_group])
    mark = state_mark(task)
    first, n_own = newest_state(job, task, mark)
    run = Classifier(stack, particles, optics, task.options, task.own, first, n_threads=job.threads, n_gpus=task.n_gpus)
    job.record(devices=[worker.device.label for worker in run.workers])
    remove_iterations_after(job.stem("run"), n_own)  # left by another run
    if first is not None:
        origin = f" of {task.options.fn_cont}" if first is task.first else ""
        logger.info("Going on after iteration %d%s", first.number, origin)
    with Kept(job, task, mark) as kept:
        if first is None or first is not task.first or not task.is_own(job):
            kept.add_files(run.iteration)
        classify(job, run, kept, names, n_own)
    tell_of_stages(job)


def main() -> None:
    """Run the job, or pass on what the round before made where the rounds have ended."""
    with runner.job(globals(), SPEC) as job:
        if reason := reason_to_pass_on(job):
            pass_on_classification(job, reason)
        else:
            run_job(job)


if __name__ == "__main__":
    main()
