"""Projects that RELION's own pipeliner makes and changes, and our scripts run in them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import REPOSITORY
from winnow2d.formats.star import read_star

EMPTY = "\n# version 30001\n\ndata_pipeline_general\n\n_rlnPipeLineJobCounter                       {counter}\n \n"


def make_project(root: Path, counter: int = 1) -> None:
    """Make an empty project, as RELION's window does (its pipeliner cannot)."""
    (root / ".gui_projectdir").touch()
    (root / "default_pipeline.star").write_text(EMPTY.format(counter=counter))


def pipeliner(root: Path, *arguments: str) -> str:
    """Return what relion_pipeliner says; it must succeed."""
    command = ["relion_pipeliner", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ERROR" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done.stdout


def add_job(root: Path, kind: str, **options: object) -> str:
    """Return the directory of a job that RELION's pipeliner plans, such as Class2D/job002."""
    before = set(root.glob(f"{kind}/job*"))
    pipeliner(root, "--addJob", kind, "--addJobOptions", ";".join(f"{name} == {v}" for name, v in options.items()))
    (made,) = set(root.glob(f"{kind}/job*")) - before
    return made.relative_to(root).as_posix()


def run_script(root: Path, script: str, job: str) -> subprocess.CompletedProcess[str]:
    """Return a finished run of one of our scripts on the job.star of a job."""
    path = REPOSITORY / "scripts" / script
    command = [sys.executable, str(path), f"{job}/job.star", "--threads", "1"]
    environment = os.environ | {"PYTHONPATH": str(path.parent)}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def form(path: Path) -> dict[str, str]:
    """Return variable -> value of a job.star."""
    table = read_star(path)["joboptions_values"]
    return dict(zip(table["rlnJobOptionVariable"], table["rlnJobOptionValue"], strict=True))


def jobs_of(root: Path) -> dict[str, dict[str, str]]:
    """Return name -> row of every job of a project."""
    rows = read_star(root / "default_pipeline.star")["pipeline_processes"].to_dict("records")
    return {row["rlnPipeLineProcessName"]: row for row in rows}
