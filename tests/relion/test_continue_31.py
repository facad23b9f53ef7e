"""RELION 3.1 stops after two iterations, the class2d script does the third: it is the one RELION does.

Without perturbation of the search grid (`--perturb 0`, which its sampling file tells), so that nothing is drawn; then a
shift step of 2 px would leave offsets of half a pixel, of which six digits do not tell how they are rounded.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import class2d
from replaying import is_same_pose, iteration_of, relative_rms
from winnow2d.formats import jobs
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table
from winnow2d.options import Class2DOptions, OwnOptions

pytestmark = pytest.mark.relion

EXTRACT = Path(__file__).parents[1] / "golden" / "relion5" / "Extract"
COMMAND = (
    "relion_refine --i particles.star --o Class2D/job002/run --iter 3 --flatten_solvent --zero_mask --oversampling 1 "
    "--norm --scale --pad 2 --j 1 --random_seed 1 --skip_gridding --K 3 --particle_diameter 190 --ctf --psi_step 12 "
    "--offset_range 5 --offset_step 1.6 --tau2_fudge 2 --perturb 0"
)
# The number of classes is the file's; particles come from it, too, as fn_img is empty.
OPTIONS = Class2DOptions(
    fn_cont="Class2D/job002/run_it002_optimiser.star", do_em=True, do_grad=False, nr_iter_em=3,
    particle_diameter=190.0, do_center=False, offset_step=0.8,
)  # fmt: skip


@pytest.fixture(scope="module")
def third(tmp_path_factory):
    """Return our third iteration and RELION's."""
    folder = tmp_path_factory.mktemp("continue31")
    shutil.copytree(EXTRACT, folder / "Extract")
    table = read_particle_table(EXTRACT / "job001" / "particles.star")
    # one micrograph name: RELION 3.1 has one noise spectrum per micrograph, we have one per optics group
    particles = table.particles.iloc[:200].assign(rlnMicrographName="Micrographs/all.mrc")
    job = folder / "Class2D" / "job021"
    (folder / "Class2D" / "job002").mkdir(parents=True)
    job.mkdir()
    (job / jobs.PROVENANCE).write_text('{"program": "winnow2d"}')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_particle_table("particles.star", ParticleTable(table.optics, particles))
        done = subprocess.run(COMMAND.split(), capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        own = OwnOptions(compatibility="relion", precision="double")
        jobs.write_job_star("Class2D/job021/job.star", jobs.JobFile("relion.class2d", 8, OPTIONS, own))
        patch.setattr("sys.argv", ["class2d.py", "Class2D/job021/job.star", "--threads", "1"])
        class2d.main()
        return iteration_of("Class2D/job021/run", 3), iteration_of("Class2D/job002/run", 3)


def test_poses_and_numbers_of_each_particle(third):
    ours, theirs = (iteration.particles for iteration in third)
    assert is_same_pose(ours, theirs).all()
    np.testing.assert_array_equal(ours.n_significant, theirs.n_significant)
    np.testing.assert_allclose(ours.max_probability, theirs.max_probability, rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours.norm_correction, theirs.norm_correction, rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours.log_likelihood, theirs.log_likelihood, rtol=0, atol=3e-3)


def test_model(third):
    ours, theirs = (iteration.model for iteration in third)
    assert relative_rms(ours.references, theirs.references).max() < 3e-3  # as in test_replay_31.py
    np.testing.assert_allclose(ours.sigma2_noise, theirs.sigma2_noise, rtol=1e-5)
    np.testing.assert_allclose(ours.pdf_class, theirs.pdf_class, rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours.scale_correction, theirs.scale_correction, rtol=0, atol=1e-5)
    assert ours.sigma_offset_ang == pytest.approx(theirs.sigma_offset_ang, abs=1e-4)
    assert (ours.image_size_px, ours.resolution_shell) == (theirs.image_size_px, theirs.resolution_shell)


def test_sampling_and_changes(third):
    ours, theirs = third
    assert ours.sampling.psi_step_deg == theirs.sampling.psi_step_deg == 12.0
    assert ours.sampling.perturbation == theirs.sampling.perturbation == 0.0
    for name in ("psi_deg", "offset_ang", "class_fraction", "smallest_psi_deg", "smallest_offset_ang"):
        assert getattr(ours.changes, name) == pytest.approx(getattr(theirs.changes, name), abs=1e-3), name
    counters = ("iterations_without_resolution_gain", "iterations_without_assignment_change", "smallest_class_fraction")
    for name in counters:
        assert getattr(ours.changes, name) == getattr(theirs.changes, name), name
