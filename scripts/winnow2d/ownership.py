"""What others made in places a run would write to: refused before anything runs.

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
