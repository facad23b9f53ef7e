"""The small finished project all tests of other programs start from."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from interop import small_project
from workflow.snakemake_runs import copy_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """Return the finished project, made once for all processes of a test run; nothing may be changed in it."""
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent  # the processes' own folders lie in it
    project, done = base / "small_project", base / "small_project.done"
    with (base / "small_project.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(project, ignore_errors=True)  # what another process failed to finish
            project.mkdir()
            small_project.make(project)
            done.touch()
    return project


@pytest.fixture
def ours(finished, tmp_path) -> Path:
    """Return a copy of the finished project, with an empty folder `out` in it."""
    project = copy_project(finished, tmp_path / "project")
    (project / "out").mkdir()
    return project
