"""RELION reads and continues the iteration files we write."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from winnow2d.formats.particles import read_particle_table
from winnow2d.formats.refinement import read_iteration, write_iteration
from winnow2d.options import Class2DOptions, OwnOptions

pytestmark = pytest.mark.relion

RELION5 = Path(__file__).parents[1] / "golden" / "relion5"
OPTIMISER = "Class2D/job011/run_it002_optimiser.star"


@pytest.fixture
def job(project):
    """Return the iteration RELION 5 wrote, written again by us in a project of its own."""
    shutil.copytree(RELION5 / "Extract", project / "Extract")
    source = RELION5 / "Class2D" / "job002"
    iteration = read_iteration(source / "run_it002_optimiser.star")
    iteration.model.centring_ang = np.full((5, 2), 1.5)  # columns that RELION does not know
    options = Class2DOptions(do_em=True, do_grad=False, nr_classes=5, particle_diameter=190.0, do_center=False)
    table = read_particle_table(source / "run_it002_data.star")
    write_iteration("Class2D/job011/run", iteration, table, options, OwnOptions(random_seed=42), "class2d")
    Path("tmp").mkdir()
    return iteration


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


def test_relion_continues_from_our_files(job):
    said = run("relion_refine", "--continue", OPTIMISER, "--o", "tmp/run", "--iter", "3", "--j", "1")
    after = read_iteration("tmp/run_it003_optimiser.star")
    assert after.number == 3
    assert "ERROR" not in said
    assert after.model.average_max_probability > 0
    # the noise of our tables arrived: a table that is missing or misread stops RELION or changes it by far
    noise_ratio = after.model.sigma2_noise[0, 1:] / job.model.sigma2_noise[0, 1:]
    assert np.median(noise_ratio) == pytest.approx(1, abs=0.1)
    theirs = read_iteration(RELION5 / "Class2D" / "job002" / "run_it003_optimiser.star")
    # RELION 5 on its own files and RELION 3.1 on ours go the same way, up to their own differences
    same_class = np.mean(after.particles.class_index == theirs.particles.class_index)
    assert same_class > 0.65  # 0.80 with RELION 3.1.3
    assert after.model.average_max_probability == pytest.approx(theirs.model.average_max_probability, rel=0.2)


def test_relion_tools_read_our_particles_and_classes(job):
    data, out = "Class2D/job011/run_it002_data.star", "tmp/out.star"
    run("relion_star_handler", "--i", data, "--select", "rlnClassNumber", "--minval", "1", "--maxval", "2", "--o", out)
    kept = int((job.particles.class_index < 2).sum())
    assert len(read_particle_table(out).particles) == kept
    assert "angpix" in run("relion_image_handler", "--i", "Class2D/job011/run_it002_classes.mrcs", "--stats").lower()
