"""The rule's script, run from a job.star on the command line as after a real run."""

import json
import os
import subprocess
import sys

import pytest

from particle_sets import make_particle_set
from winnow2d.formats.jobs import PROGRAM, PROVENANCE, JobFile, write_job_star
from winnow2d.formats.particles import read_particle_table
from winnow2d.options import ExtractOptions, OwnOptions

OUT = "Extract/job001/particles.star"


@pytest.fixture
def run(project, repository):
    """Return a function that runs the script on the given STAR files in the project."""

    def run_script(*sources):
        job = JobFile(
            label="relion.extract",
            type_number=5,
            options=ExtractOptions(),
            own=OwnOptions(),
            inputs={"particles": [str(source) for source in sources]},
            outputs={"particles": OUT},
            params={"do_ctf_correction": True},
        )
        (project / "Extract/job001").mkdir(parents=True)
        write_job_star(project / "Extract/job001/job.star", job)
        # an earlier run leaves this beside its job.star; without it the directory counts as somebody else's
        (project / "Extract/job001" / PROVENANCE).write_text(json.dumps({"program": PROGRAM}))
        script = repository / "scripts" / "extract.py"
        command = [sys.executable, str(script), "Extract/job001/job.star"]
        environment = os.environ | {"PYTHONPATH": str(script.parent)}
        return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)

    return run_script


def test_the_script_enters_particles_from_its_job_star(tmp_path_factory, project, run):
    source = make_particle_set(tmp_path_factory.mktemp("data"))
    done = run(source)
    assert done.returncode == 0, done.stderr
    assert len(read_particle_table(project / OUT).particles) == 20
    assert (project / "m0.mrcs").is_symlink()
    assert (project / "Extract/job001/RELION_JOB_EXIT_SUCCESS").exists()
    assert "20 particles from 2 stacks" in (project / "Extract/job001/run.out").read_text()


def test_a_broken_input_ends_the_script_with_every_problem_in_run_err(tmp_path_factory, project, run):
    folder = tmp_path_factory.mktemp("data")
    source = make_particle_set(folder, constant=range(10))
    (folder / "m1.mrcs").unlink()
    done = run(source)
    assert done.returncode == 1
    told = (project / "Extract/job001/run.err").read_text()
    assert "stacks are missing: m1.mrcs" in told
    assert "10 of 10 images looked at cannot be used" in told
    assert "Traceback" not in told
    assert (project / "Extract/job001/RELION_JOB_EXIT_FAILURE").exists()
    assert not (project / OUT).exists()


def test_several_files_are_refused_with_the_way_to_join_them(tmp_path_factory, run, project):
    source = make_particle_set(tmp_path_factory.mktemp("data"))
    done = run(source, source)
    assert done.returncode == 1
    assert (
        "2 particle files given, and each is entered by a job of its own"
        in (project / "Extract/job001/run.err").read_text()
    )
