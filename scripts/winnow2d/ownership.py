"""What others made in places a run would write to: refused before anything runs.

For the Snakefile: Snakemake removes declared outputs before a script could refuse.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from winnow2d.errors import JobError, WinnowError
from winnow2d.formats import jobs, project


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


def check_project(directories: Iterable[str | Path], alias: str, pages: Iterable[str]) -> None:
    """Raise JobError for job directories, an alias or a page in our place that Winnow did not make.

    Parameters
    ----------
    directories : the planned job directories
    alias : the name the final particles will have, "Select/clean"
    pages : the report and other files that will be written outside of jobs; ours has our provenance.json in the
        folder below the project that it lies in
    """

    def check_pages() -> None:
        for page in map(Path, pages):
            if page.exists() and not jobs.is_ours(Path(page.parts[0])):
                raise JobError(f"{page} was not made by Winnow and would be overwritten; rename it or its folder.")

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
