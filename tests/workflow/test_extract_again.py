"""An extraction from micrographs runs again from its job.star alone, and from one that was edited."""

from __future__ import annotations

from pathlib import Path

import pytest

from relion_projects import form, run_script
from winnow2d.formats.star import read_star
from workflow.snakemake_runs import DEMO, fingerprints, finished

pytestmark = pytest.mark.workflow

JOB = "Extract/job001"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Return a project with particles cut from simulated micrographs."""
    project = tmp_path_factory.mktemp("extract_again") / "project"
    project.mkdir()
    demo = {"particles": 60, "pixel_size": 7.08, "micrographs": 3, "seed": 1, "width": 512, "height": 512}
    config = DEMO | {"input": {"demo_micrographs": demo}, "extract": {"extract_size": 32}}
    finished(project, config, "--until", "extract_micrographs")
    return project


def test_the_same_again_and_another_box(project):
    before = fingerprints(project, JOB)
    results = [name for name in before if name.endswith((".mrcs", "/particles.star", "/truth.star"))]
    assert len(results) >= 5
    told = form(project / JOB / "job.star")
    assert told["star_mics"].endswith(".star")
    assert told["coords_suffix"]
    for name in results:
        (project / name).unlink()
    done = run_script(project, "extract_micrographs.py", JOB)
    assert done.returncode == 0, done.stderr
    after = fingerprints(project, JOB)
    assert {name: after[name][0] for name in results} == {name: before[name][0] for name in results}

    text = (project / JOB / "job.star").read_text()
    (project / JOB / "job.star").write_text(text.replace("extract_size         32", "extract_size         40"))
    done = run_script(project, "extract_micrographs.py", JOB)
    assert done.returncode == 0, done.stderr
    assert read_star(project / JOB / "particles.star")["optics"]["rlnImageSize"].tolist() == ["40"]


def test_the_script_that_enters_ready_particles_refuses_it(project):
    before = fingerprints(project, JOB)
    done = run_script(project, "extract.py", JOB)
    assert "extract.py is not the script that runs it" in done.stderr
    assert fingerprints(project, JOB) == before
