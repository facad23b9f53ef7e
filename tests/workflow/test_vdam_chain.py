"""A round by VDAM under the real Snakemake."""

from __future__ import annotations

import pytest

from winnow2d.formats.refinement import read_iteration
from workflow.snakemake_runs import DEMO, finished

pytestmark = pytest.mark.workflow

CONFIG = DEMO | {
    "class2d": {"nr_classes": 3, "nr_iter_grad": 25, "particle_diameter": 200, "psi_sampling": 12},
    "rounds": [{}],
}


def test_every_tenth_iteration_and_the_last_leave_files(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    finished(project, CONFIG)
    job = project / "Class2D/job011"
    written = sorted(path.name for path in job.glob("run_it*_optimiser.star"))
    assert written == [f"run_it{number:03d}_optimiser.star" for number in (0, 10, 20, 25)]
    assert (job / "run_it025_1moment.mrcs").is_file()
    assert not (job / "run_unmasked_classes.mrcs").exists()
    last = read_iteration(job / "run_it025_optimiser.star")
    assert (last.particles.class_index >= 0).all()
    assert last.moments is not None
    assert "25/25 resolution" in (job / "run.out").read_text()
    assert (project / "Select/clean/particles.star").is_file()
    other = CONFIG | {"own": {"grad_write_iter": 3}}
    assert "Nothing to be done" in finished(project, other, "--dry-run")
