"""Run a script of ours from a job.star in the working directory, as after a real run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from conftest import REPOSITORY
from winnow2d.formats.jobs import PROGRAM, PROVENANCE, JobFile, write_job_star
from winnow2d.options import OwnOptions, SelectOptions


def run_from_job_star(script: str, directory: str, job: JobFile) -> subprocess.CompletedProcess[str]:
    """Return the finished process; the project is the working directory."""
    Path(directory).mkdir(parents=True, exist_ok=True)
    write_job_star(f"{directory}/job.star", job)
    # an earlier run leaves this beside its job.star; without it the directory counts as somebody else's
    Path(directory, PROVENANCE).write_text(json.dumps({"program": PROGRAM}))
    path = REPOSITORY / "scripts" / script
    environment = os.environ | {"PYTHONPATH": str(path.parent)}
    command = [sys.executable, str(path), f"{directory}/job.star"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def run_map_particles(extraction: str | Path, **own) -> subprocess.CompletedProcess[str]:
    """Map Select/job022/particles.star onto another extraction, into Select/job008."""
    job = JobFile(
        label="relion.select",
        type_number=7,
        options=SelectOptions(do_class_ranker=False, rank_threshold=0.5),
        own=OwnOptions(**own),
        inputs={"particles": "Select/job022/particles.star", "extraction": str(extraction)},
        outputs={"particles": "Select/job008/particles.star"},
    )
    return run_from_job_star("map_particles.py", "Select/job008", job)
