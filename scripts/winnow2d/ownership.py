"""What others made in places a run would write to, and files that are not there: refused before anything runs.

For the Snakefile: Snakemake removes declared outputs before a script could refuse.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from winnow2d.errors import JobError, WinnowError
from winnow2d.formats import jobs, project

_LOGS = ("run.out", "run.err")  # of a job that starts: there before its provenance.json


def check_job_directories(directories: Iterable[str | Path]) -> None:
    """Raise JobError, one sentence each, for planned job directories that hold files Winnow did not make."""
    problems: list[str] = []
    for directory in directories:
        try:
            jobs.check_directory_is_free(Path(directory))
        except JobError as error:
            problems += error.problems
    if problems:
        raise JobError(*problems)


def check_named(named: Iterable[tuple[str, str, str]]) -> None:
    """Raise JobError for files that a config names and that are not there.

    Snakemake does without an input as long as the output is there: a mistyped name would pass, and the results of
    the former file for those of the new one. A file that went away after its job had read it is no fault.

    Parameters
    ----------
    named : (key of the config, path, directory of the job that reads it) of each file
    """
    problems = [
        f"{key}: {path} does not exist; paths are relative to the project directory."
        for key, path, directory in named
        if not Path(path).exists() and path not in _files_read_by(Path(directory))
    ]
    if problems:
        raise JobError(*problems)


def _files_read_by(directory: Path) -> list[str]:
    """Return the inputs of the last run of a job; none if it never ran."""
    try:
        inputs = jobs.read_job_star(directory / "job.star", None).inputs
    except (WinnowError, OSError):
        return []
    return [path for paths in inputs.values() for path in jobs.as_list(paths)]


def _faults_of_page(page: Path) -> list[str]:
    """Return what others made that writing a page would overwrite: itself, or the job.star of its folder."""
    folder = Path(page.parts[0])
    if jobs.is_ours(folder):
        return []
    taken = [path for path in (page, folder / "job.star") if path.exists()]
    return [f"{path} was not made by Winnow and would be overwritten; rename it or its folder." for path in taken]


def _faults_of_folder(folder: Path) -> list[str]:
    """Return what others made in a folder that files are made up in."""
    if jobs.is_ours(folder) or not folder.is_dir():
        return []
    found = sorted(path.name for path in folder.iterdir() if not path.name.startswith(".") and path.name not in _LOGS)
    told = f"{folder}/ was not made by Winnow (it holds {', '.join(found[:1])}), and simulated files would go there; "
    return [f"{told}simulate in a project of its own."] if found else []


def check_project(
    directories: Iterable[str | Path], alias: str, pages: Iterable[str], folders: Iterable[str] = ()
) -> None:
    """Raise JobError for job directories, an alias or a page in our place that Winnow did not make.

    Parameters
    ----------
    directories : the planned job directories
    alias : the name the final particles will have, "Select/clean"
    pages : the report and other files that will be written outside of jobs; ours has our provenance.json in the
        folder below the project that it lies in
    folders : those that will be filled with simulated files
    """

    def check_pages() -> None:
        faults = [_faults_of_page(Path(page)) for page in pages] + [_faults_of_folder(Path(name)) for name in folders]
        if told := dict.fromkeys(fault for each in faults for fault in each):
            raise JobError(*told)

    problems: list[str] = []
    for check in (
        lambda: check_job_directories(directories),
        lambda: project.check_alias_is_free(Path(), alias, project.read_project(Path())),
        check_pages,
    ):
        try:
            check()
        except WinnowError as error:
            problems += error.problems
    if problems:
        raise JobError(*problems)
