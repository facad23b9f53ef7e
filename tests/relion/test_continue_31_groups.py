"""A job of RELION 3.1 with a noise spectrum per micrograph, under the names of a continued run: we go on from it.

RELION 3.1 keeps the noise of each micrograph apart, we that of each optics group, so numbers differ a little; without
perturbation of the search grid (`--perturb 0`) nothing is drawn, and nearly all particles go where RELION's go.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import class2d
from relion_layouts import GOLDEN, continue_as_ct
from replaying import iteration_of, psi_difference_deg
from winnow2d.formats import jobs
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table
from winnow2d.formats.refinement import read_iteration
from winnow2d.formats.star import read_star
from winnow2d.options import Class2DOptions, OwnOptions

pytestmark = pytest.mark.relion

COMMAND = (
    "relion_refine --i particles.star --o Class2D/job002/run --iter 4 --flatten_solvent --zero_mask --oversampling 1 "
    "--norm --scale --pad 2 --j 1 --random_seed 1 --skip_gridding --K 3 --particle_diameter 190 --ctf --psi_step 12 "
    "--offset_range 5 --offset_step 1.6 --tau2_fudge 2 --perturb 0"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a project in which RELION 3.1 has done four iterations, and we the fourth."""
    folder = tmp_path_factory.mktemp("groups31")
    (folder / "Extract").symlink_to(GOLDEN / "Extract")
    table = read_particle_table(GOLDEN / "Extract/job001/particles.star")
    (folder / "Class2D/job002").mkdir(parents=True)
    (folder / "Class2D/job021").mkdir()
    (folder / "Class2D/job021" / jobs.PROVENANCE).write_text('{"program": "winnow2d"}')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_particle_table("particles.star", ParticleTable(table.optics, table.particles.iloc[::2]))
        done = subprocess.run(COMMAND.split(), capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        shutil.copytree("Class2D/job002", "whole/Class2D/job002")
        for path in (folder / "Class2D/job002").glob("run_it004_*"):
            path.unlink()
        last = continue_as_ct(folder, "Class2D/job002", after=2)
        options = Class2DOptions(
            fn_cont=last, do_em=True, do_grad=False, nr_iter_em=4, particle_diameter=190.0, do_center=False,
            offset_step=0.8,
        )  # fmt: skip
        own = OwnOptions(compatibility="relion")
        jobs.write_job_star("Class2D/job021/job.star", jobs.JobFile("relion.class2d", 8, options, own))
        patch.setattr("sys.argv", ["class2d.py", "Class2D/job021/job.star", "--threads", "1"])
        class2d.main()
    return folder


def test_noise_is_the_mean_over_particles_of_that_of_their_micrographs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    path = "Class2D/job002/run_ct2_it003"
    blocks = read_star(f"{path}_model.star")
    assert "rlnNrOpticsGroups" not in blocks["model_general"]
    assert "model_optics_group_1" not in blocks
    spectra = np.stack([blocks[f"model_group_{g}"]["rlnSigma2Noise"].astype(float) for g in range(1, 11)])
    assert (spectra.std(axis=0) > 0.01 * spectra.mean(axis=0)).all()
    groups = read_particle_table(f"{path}_data.star").particles["rlnGroupNumber"].astype(int)
    iteration = read_iteration(f"{path}_optimiser.star")
    weights = np.bincount(groups - 1)
    np.testing.assert_allclose(iteration.model.sigma2_noise[0], weights @ spectra / weights.sum(), rtol=1e-6)
    assert iteration.batch_limits is None
    assert iteration.moments is None


def test_nearly_all_particles_go_where_relions_go(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert "Going on after iteration 3 of Class2D/job002/run_ct2_it003" in Path("Class2D/job021/run.out").read_text()
    ours = iteration_of("Class2D/job021/run", 4)
    theirs = iteration_of("whole/Class2D/job002/run", 4)
    is_same = ours.particles.class_index == theirs.particles.class_index
    assert is_same.mean() >= 0.9
    assert (psi_difference_deg(ours.particles, theirs.particles)[is_same] < 1e-3).mean() >= 0.8
    np.testing.assert_allclose(ours.model.pdf_class, theirs.model.pdf_class, atol=0.005)
    ours, theirs = (item.model.references.reshape(3, -1) for item in (ours, theirs))
    for a, b in zip(ours, theirs, strict=True):
        assert np.corrcoef(a, b)[0, 1] > 0.999
