"""The project as RELION sees it: jobs in default_pipeline.star, entries below .Nodes, aliases.

Every change is made under RELION's lock, from the file as it is at that moment, so that nothing another
program wrote in the meantime is lost.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from winnow2d.errors import JobError, WinnowError
from winnow2d.formats.jobs import is_ours, split_job_name
from winnow2d.formats.pipeline_star import PIPELINE, NodeKind, Pipeline, read_pipeline, write_pipeline
from winnow2d.formats.project_lock import is_locked, pipeline_lock

_PATIENCE_S = 2.0  # for others to leave the graph alone before the lock is taken
_STEP_S = 0.05
_CHANGED = ".pipeline_has_changed"  # by this file RELION's window learns that it must read again
_FORBIDDEN_IN_ALIAS = re.compile(r"""[*?()/"\\|#<>&%{}$]""")


@dataclass(frozen=True)
class JobEntry:
    """What the project's graph holds of one job; paths are relative to the project."""

    name: str  # Class2D/job011/
    label: str
    type_number: int
    inputs: Sequence[tuple[str, NodeKind | None]] = ()  # without a kind: an edge only if the file is known
    outputs: Sequence[tuple[str, NodeKind]] = ()


@contextmanager
def changed_pipeline(project: Path) -> Iterator[Pipeline]:
    """Yield the graph under lock; what the block made of it is written when it ends without error."""
    with pipeline_lock(project):
        pipeline = read_pipeline(project / PIPELINE)
        yield pipeline
        pipeline.raise_counter(path.relative_to(project).as_posix() for path in project.glob("*/job[0-9]*"))
        write_pipeline(project / PIPELINE, pipeline)
    (project / _CHANGED).touch()


def reserve_numbers(project: Path, jobs: Iterable[str]) -> None:
    """Raise the job counter above planned jobs, so that none made in RELION meanwhile takes a number of theirs."""
    with changed_pipeline(project) as pipeline:
        pipeline.raise_counter(jobs)


def _enter(pipeline: Pipeline, entry: JobEntry, status: str) -> None:
    """Put a job, its files and edges into a graph."""
    pipeline.clear_edges(entry.name)
    pipeline.set_process(entry.name, entry.label, entry.type_number, status)
    for path, kind in entry.inputs:
        real = pipeline.real_path(os.path.normpath(path))
        if pipeline.set_node(real, kind):
            pipeline.add_input(real, entry.name)
    for path, kind in entry.outputs:
        pipeline.set_node(path, kind)
        pipeline.add_output(entry.name, path)


def register(project: Path, entry: JobEntry) -> None:
    """Say that a job is Running; an earlier run of the same job is replaced, all else stays.

    Raises
    ------
    JobError
        The lock is held too long, or the file is no pipeline file.
    """
    (project / ".gui_projectdir").touch()
    with changed_pipeline(project) as pipeline:
        _enter(pipeline, entry, "Running")


def set_status(project: Path, name: str, status: str) -> None:
    """Say how a job ended (Succeeded, Failed, Aborted); success makes its files known to RELION's browse buttons."""
    with changed_pipeline(project) as pipeline:
        pipeline.set_status(name, status)
        if status == "Succeeded":
            _touch_nodes(project, pipeline, name)


def running_jobs(project: Path) -> list[str]:
    """Return the names of the jobs the project says are running."""
    return read_project(project).running()


def read_project(project: Path) -> Pipeline:
    """Return the graph as it is between two changes, without the lock.

    RELION writes the file in place: a reader without the lock must see that nobody holds it meanwhile, and takes it
    himself where programs come and go.

    Raises
    ------
    StarError, JobError
        The file is there and is no pipeline file; the lock is held too long.
    """
    path, deadline = project / PIPELINE, time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        before, fault, pipeline = _version(path), None, Pipeline()
        if not is_locked(project):
            try:
                pipeline = read_pipeline(path)
            except WinnowError as error:
                fault = error
            if before == _version(path) and not is_locked(project):
                if fault:
                    raise fault
                return pipeline
        time.sleep(_STEP_S)
    with pipeline_lock(project):
        return read_pipeline(path)


def _version(path: Path) -> tuple[int, ...]:
    """Return what changes whenever a file is written."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return ()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def write_job_pipeline(path: Path, entry: JobEntry) -> None:
    """Write job_pipeline.star: the graph of this job alone."""
    pipeline = Pipeline(general={"rlnPipeLineJobCounter": "2"})
    _enter(pipeline, entry, "Running")
    write_pipeline(path, pipeline)


def _node_files(project: Path, path: str, kind: NodeKind) -> list[Path]:
    """Return the entries below .Nodes of a file, for RELION 4 and 5 and for RELION 3.1."""
    return [project / ".Nodes" / folder / path for folder in kind.folders if folder]


def _touch_nodes(project: Path, pipeline: Pipeline, name: str) -> None:
    """Make the entries below .Nodes of a job's files, by its alias where it has one."""
    alias = pipeline.alias(name)
    for path, kind in pipeline.outputs(name):
        if not (project / path).exists():
            continue
        shown = alias + path.removeprefix(name) if alias and path.startswith(name) else path
        for entry in _node_files(project, shown, kind):
            entry.parent.mkdir(parents=True, exist_ok=True)
            entry.touch()


def _remove_nodes(project: Path, pipeline: Pipeline, name: str, prefix: str) -> None:
    """Remove the entries below .Nodes of a job's files that stand under a job's name or alias."""
    for path, kind in pipeline.outputs(name):
        for entry in _node_files(project, prefix + path.removeprefix(name), kind):
            entry.unlink(missing_ok=True)


def alias(project: Path, target_job: str, alias: str) -> None:
    """Call a job by a second name, as RELION does: a symbolic link, and the name in the graph.

    Parameters
    ----------
    project : path of the project directory
    target_job : "Select/job012"
    alias : "Select/clean"; another job that had it loses it

    Raises
    ------
    JobError
        The name is not one RELION accepts, it stands for something Winnow did not make, or the job is not
        registered.
    """
    name, wanted = target_job.rstrip("/") + "/", alias.rstrip("/").replace(" ", "_") + "/"
    _check_alias(name, wanted)
    link = project / wanted.rstrip("/")
    with changed_pipeline(project) as pipeline:
        check_alias_is_free(project, wanted, pipeline)
        if link.is_dir() and not link.is_symlink():  # empty
            link.rmdir()
        former = pipeline.alias(name)
        for other in pipeline.set_alias(name, wanted):
            _remove_nodes(project, pipeline, other, wanted)
            if pipeline.status(other) == "Succeeded":
                _touch_nodes(project, pipeline, other)
        if former and former != wanted:
            _remove_nodes(project, pipeline, name, former)
            if (project / former.rstrip("/")).is_symlink():
                (project / former.rstrip("/")).unlink()
        if pipeline.status(name) == "Succeeded":
            _remove_nodes(project, pipeline, name, name)
            _touch_nodes(project, pipeline, name)
        aside = link.with_name(f".{link.name}.{os.getpid()}")
        aside.unlink(missing_ok=True)
        aside.symlink_to(f"../{name}")
        aside.replace(link)


def check_alias_is_free(project: Path, alias: str, pipeline: Pipeline) -> None:
    """Raise JobError unless an alias is unused or stands for a job of ours; nothing is written.

    Parameters
    ----------
    project : path of the project directory
    alias : "Select/clean"
    pipeline : the project's graph
    """
    name = alias.rstrip("/") + "/"
    link, problems = project / alias.rstrip("/"), []
    if link.is_symlink():
        target = os.path.relpath(os.path.normpath(link.parent / os.readlink(link)), project)
        job = split_job_name(target)
        if job is None or _is_of_others(project / job[2]):
            problems.append(f"{link} is a link to {os.readlink(link)}, no job of Winnow's; rename it")
    elif link.is_dir() and any(link.iterdir()):
        problems.append(f"{link} is a directory and no alias of Winnow's; rename it")
    elif link.exists() and not link.is_dir():
        problems.append(f"{link} is a file and no alias of Winnow's; rename it")
    for process in pipeline.aliased(name):
        if not problems and _is_of_others(project / process):
            problems.append(f"{name} is the alias of {process}, which Winnow did not make; give it another in RELION")
    if problems:
        raise JobError(*[f"{problem}. Winnow calls the final particles {name}" for problem in problems])


def _is_of_others(directory: Path) -> bool:
    """Return whether a job's directory is there and was not made by Winnow."""
    return directory.is_dir() and not is_ours(directory)


def _check_alias(name: str, wanted: str) -> None:
    """Raise JobError for an alias RELION refuses or trips over."""
    job = split_job_name(name)
    folder, _, word = wanted.rstrip("/").partition("/")
    if job is None or folder != job[0]:
        raise JobError(f"alias {wanted}: it must lie in the folder of its job, {name}")
    if len(word) < 2 or word.startswith("job") or _FORBIDDEN_IN_ALIAS.search(word):
        raise JobError(f"alias {wanted}: RELION wants at least two characters, none of * ? ( ) / and no 'job' in front")
