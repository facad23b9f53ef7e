"""The frame around every job: its directory, its lock, its place in the RELION project, and how it ends.

A script of a rule looks like this, and its body is the same through both doors::

    from winnow2d import runner

    SPEC = runner.JobSpec(
        type="Class2D",
        nodes={"data": "class2d_data", "optimiser": "class2d_optimiser"},  # output name -> kind of node
        input_nodes={"particles": "particles"},                            # input name -> kind of node
        option_inputs={"fn_img": "particles"},                             # option <- input name
    )

    with runner.job(globals(), SPEC) as job:
        table = read_particle_table(job.inputs.particles)
        while not classifier.done:
            job.stop_if_aborted()
            iteration = classifier.update()
            write_iteration(job.stem("run"), iteration, table, job.options, job.own, job.command)
            job.progress(iteration.number, iteration.total, "resolution 12.3 A")

Doors: (a) Snakemake's `script:` directive, whose object `snakemake` is found in the globals. Its params
may hold `options` (dict of the round's options of this job type) and `own` (dict, of what the job reads;
`doors.AS_RESOURCES` come as resources); all other params reach the script as `job.params.<name>`.
(b) `python scripts/class2d.py Class2D/job011/job.star [--threads N]`, from what an earlier run wrote into
that file.

Leaving the block normally is success if every declared output exists. A WinnowError ends the job with
its message alone, any other exception with a traceback in run.err; both leave with exit status 1.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import shutil
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from winnow2d.doors import AS_RESOURCES, JobSpec, Request, read_request
from winnow2d.errors import JobError, WinnowError
from winnow2d.failures import problems_to_put_right, refuse, where
from winnow2d.formats import jobs, project
from winnow2d.formats.pipeline_star import NODE_KINDS, PIPELINE
from winnow2d.joblock import JobLock, mark_dead_jobs, queue_job_id
from winnow2d.ownership import check_job_directories, check_named, check_project
from winnow2d.progress import ProgressBar, logging_to
from winnow2d.provenance import Provenance
from winnow2d.waiting import wait_for_others

__all__ = [
    "AS_RESOURCES",
    "Job",
    "JobAborted",
    "JobSpec",
    "check_job_directories",
    "check_named",
    "check_project",
    "job",
    "mark_dead_jobs",
    "wait_for_others",
]

logger = logging.getLogger(__name__)

_PROJECT = Path()  # the working directory


class JobAborted(BaseException):
    """The job was asked to end early; its state is kept. Not an Exception, so that no handler swallows it."""


class Job:
    """A running job, as its script sees it.

    Attributes
    ----------
    directory : Path, e.g. Class2D/job011, relative to the project, which is the working directory
    name : "Class2D/job011/", as in default_pipeline.star
    number : 11 (0 for work that is no RELION job)
    options : frozen dataclass of the job type (ExtractOptions, Class2DOptions, SelectOptions) or None
    own : OwnOptions
    inputs, outputs : Path, or list of Path where the rule names a list, by name: `job.inputs.particles`
    params : the rule's other params by name
    threads : int
    command : "python ../winnow/scripts/class2d.py Class2D/job011/job.star": what runs it again, from the project
    """

    def __init__(self, request: Request, spec: JobSpec):
        self.directory = request.directory
        self.name = f"{request.directory.as_posix()}/"
        parts = jobs.split_job_name(self.name)
        self.number = parts[1] if parts else 0
        self.options = request.job.options
        self.own = request.job.own
        self.inputs = SimpleNamespace(**{name: _paths(value) for name, value in request.job.inputs.items()})
        self.outputs = SimpleNamespace(**{name: _paths(value) for name, value in request.job.outputs.items()})
        self.params = SimpleNamespace(**request.job.params)
        self.threads = request.threads
        script = os.path.relpath(request.script.resolve(), Path.cwd().resolve())
        self.command = shlex.join(["python", script, f"{self.name}job.star"])
        self._request = request
        self._spec = spec
        self._lock = JobLock(self.directory)
        self._bar = ProgressBar(self.directory.as_posix())
        facts = {"command": self._full_command, "threads": self.threads, "queue_job": queue_job_id()}
        facts["config"] = dict(request.config)
        self._provenance = Provenance(self.directory, request.job, facts)

    @property
    def _full_command(self) -> str:
        return f"python {self._request.script.resolve()} {self.name}job.star"

    def stem(self, root: str) -> str:
        """Return the start of a file name in the job's directory: stem("run") is "Class2D/job011/run"."""
        return f"{self.name}{root}"

    @property
    def abort_requested(self) -> bool:
        """Whether RELION's window (or anyone) asked for an end by a file RELION_JOB_ABORT_NOW."""
        return self._spec.is_relion_job and (self.directory / jobs.ABORT_FILE).exists()

    def stop_if_aborted(self) -> None:
        """Leave the block as Aborted if that was asked for; call it where state is safely on disk.

        Raises
        ------
        JobAborted
            The file RELION_JOB_ABORT_NOW is there.
        JobError
            Another machine took this job for dead and runs it now.
        """
        if self._lock.is_lost:
            raise JobError(f"{self.name}: another machine took this job for dead and has taken it over")
        if self.abort_requested:
            raise JobAborted(f"{jobs.ABORT_FILE} was found")

    def progress(self, done: int, total: int, text: str = "") -> None:
        """Move the bar on the terminal, and write `done/total text` as a line of run.out."""
        self._bar.update(done, total, text)

    def settle(self, options: Any) -> None:
        """Write into job.star, for whoever runs the job again, options that were chosen only now."""
        self.options = options
        self._request = replace(self._request, job=replace(self._request.job, options=options))
        jobs.write_job_star(self.directory / "job.star", self._request.job)

    def record(self, **facts: Any) -> None:
        """Add facts about this run, such as times, to what provenance.json says when it has ended."""
        self._provenance.add(facts)

    def _claim(self) -> None:
        """Take the job's directory, or raise JobError and leave nothing behind."""
        logs = [Path(log) for log in self._request.logs]
        if self._spec.is_relion_job:
            inside = [log.relative_to(self.directory) for log in logs if log.is_relative_to(self.directory)]
            known = [path.as_posix() for path in inside]
            if self._request.is_from_job_star:
                known += jobs.FILES_OF_SCHEDULED_JOB
            jobs.check_directory_is_free(self.directory, known)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()

    def _begin(self) -> None:
        """Write the files of a job that starts, and register it."""
        self._provenance.begin()
        jobs.write_job_star(self.directory / "job.star", self._request.job)
        if self._spec.is_relion_job:
            jobs.clear_exit_files(self.directory)
            jobs.append_note(self.directory, [self._full_command])
            entry = self._entry()
            project.write_job_pipeline(self.directory / "job_pipeline.star", entry)
            mark_dead_jobs(_PROJECT)
            project.register(_PROJECT, entry)
            shutil.copyfile(PIPELINE, self.directory / PIPELINE)
        jobs.check_inputs_exist(self._request.job)
        queue = f", queue job {queue_job_id()} on {socket.gethostname()}" if queue_job_id() else ""
        logger.info("%s started, %d threads%s", self.name, self.threads, queue)

    def _entry(self) -> project.JobEntry:
        """Return what the project's graph holds of this job."""
        job, spec = self._request.job, self._spec
        inputs = [
            (path, NODE_KINDS[spec.input_nodes[name]] if name in spec.input_nodes else None)
            for name, paths in job.inputs.items()
            for path in jobs.as_list(paths)
        ]
        outputs = [
            (path, NODE_KINDS[kind]) for name, kind in spec.nodes.items() for path in jobs.as_list(job.outputs[name])
        ]
        return project.JobEntry(self.name, job.label, int(job.type_number or 0), inputs, outputs)

    def _check_outputs(self) -> None:
        """Raise if the work is not done: aborted where that was asked for, else a mistake of ours."""
        paths = [path for value in self._request.job.outputs.values() for path in jobs.as_list(value)]
        missing = [path for path in paths if not Path(path).exists()]
        if missing:
            self.stop_if_aborted()
            raise RuntimeError(f"the job ended without {', '.join(missing)}")

    def _end(self, status: str) -> None:
        """Say everywhere how the job ended, the exit file before the graph: RELION completes the graph from it."""
        measures = self._provenance.end(status)
        logger.info("%s %s: %.1f s, peak memory %.0f MB", self.name, status, *_figures(measures))
        places = [self._provenance.write]
        if self._spec.is_relion_job:
            places += [
                partial(jobs.write_exit_file, self.directory, status),
                partial(project.set_status, _PROJECT, self.name, status),
            ]
        for say in places:
            try:
                say()
            except (WinnowError, OSError) as error:
                logger.warning("%s is not yet shown as %s: %s", self.name, status, error)


def _figures(measures: Mapping[str, float]) -> tuple[float, float]:
    return measures["wall_s"], measures["peak_memory_mb"]


def _paths(value: str | list[str]) -> Path | list[Path]:
    return [Path(path) for path in value] if isinstance(value, list) else Path(value)


class _Signals:
    """SIGTERM, SIGINT and SIGHUP as JobAborted, until `close`; after that a job that ends is left to end."""

    def __init__(self) -> None:
        self._is_closed = False
        self._former: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        if threading.current_thread() is threading.main_thread():
            numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
            self._former = {number: signal.signal(number, self._handle) for number in numbers}
        return self

    def _handle(self, number: int, frame: Any) -> None:
        if not self._is_closed:
            raise JobAborted(f"signal {signal.Signals(number).name}")

    def close(self) -> None:
        self._is_closed = True

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def job(script_globals: Mapping[str, Any], spec: JobSpec) -> Iterator[Job]:
    """Enter a job: check and lock its directory, write its files, register it as Running; see the module.

    Raises
    ------
    SystemExit
        With status 1 when the job was refused, failed or was aborted; messages have been given by then.
    """
    try:
        running = Job(read_request(script_globals, spec), spec)
        running._claim()
    except (WinnowError, OSError) as error:
        refuse(error, ".")
    status = "Failed"
    try:
        with _Signals() as signals, logging_to(running.directory, running._bar, running._request.logs):
            try:
                running._begin()
                yield running
                running._check_outputs()
                status = "Succeeded"
            except JobAborted as stop:
                status = "Aborted"
                logger.error("%s aborted: %s", running.name, stop)
            except BaseException as error:
                problems = problems_to_put_right(error, running.directory)
                for problem in problems:
                    logger.error("%s", problem)
                if not problems:
                    logger.error("%s %s", running.name, where(error, running.directory), exc_info=True)
            signals.close()
            if not running._lock.is_lost:  # else how the job ends is the other machine's to say
                running._end(status)
    except OSError as error:  # there is no place for the logs
        refuse(error, running.directory)
    finally:
        running._lock.release()
    if status != "Succeeded":
        raise SystemExit(1)
