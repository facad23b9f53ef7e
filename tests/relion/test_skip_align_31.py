"""RELION 3.1 classifies without alignment (--skip_align) here, and our iterations from its states are its own.

Every particle has an angle and an offset with a fraction of a pixel, from RELION 5's fourth iteration. Although
poses are fixed, RELION weighs them by the offset prior, whose centre is each class's own.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from replaying import classifier, is_same_pose, iteration_of, next_after, options_of, relative_rms
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table

pytestmark = pytest.mark.relion

GOLDEN = Path(__file__).parents[1] / "golden" / "relion5"
COMMAND = (
    "relion_refine --i particles.star --o skip/run --iter 3 --flatten_solvent --zero_mask --oversampling 1 --norm "
    "--scale --pad 2 --j 1 --random_seed 1 --skip_gridding --K 3 --particle_diameter 190 --ctf --psi_step 12 "
    "--offset_range 5 --offset_step 2 --tau2_fudge 2 --skip_align"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("skip_align")
    shutil.copytree(GOLDEN / "Extract", folder / "Extract")
    (folder / "skip").mkdir()
    table = read_particle_table(GOLDEN / "Class2D" / "job002" / "run_it004_data.star")
    particles = table.particles.iloc[:200].assign(rlnMicrographName="Micrographs/all.mrc")
    write_particle_table(folder / "particles.star", ParticleTable(table.optics, particles))
    done = subprocess.run(COMMAND.split(), cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


@pytest.fixture(scope="module", params=[(2, "double"), (3, "double"), (3, "single")], ids=lambda p: f"{p[0]}-{p[1]}")
def step(request, folder):
    """Return RELION's state before, our iteration and RELION's."""
    number, precision = request.param
    old, theirs = iteration_of(folder / "skip/run", number - 1), iteration_of(folder / "skip/run", number)
    options = options_of(nr_classes=3, do_center=False, dont_skip_align=False)
    run = classifier(folder / "skip/run", folder, old, options, precision)
    return old, next_after(run, old, theirs.sampling), theirs


def test_particles(step):
    old, ours, theirs = step
    a, b = ours.particles, theirs.particles
    assert is_same_pose(a, b).all()
    np.testing.assert_array_equal(a.psi_deg, old.particles.psi_deg)
    np.testing.assert_array_equal(a.offset_ang, old.particles.offset_ang)
    np.testing.assert_array_equal(a.n_significant, b.n_significant)
    # offset and prior centre have six digits in the file, and stand in the exponent times p**2 / sigma**2
    np.testing.assert_allclose(a.max_probability, b.max_probability, rtol=0, atol=1e-4)
    np.testing.assert_allclose(a.norm_correction, b.norm_correction, rtol=0, atol=1e-5)
    np.testing.assert_allclose(a.log_likelihood, b.log_likelihood, rtol=0, atol=5e-3)


def test_model(step):
    _, ours, theirs = step
    a, b = ours.model, theirs.model
    np.testing.assert_allclose(a.sigma2_noise, b.sigma2_noise, rtol=1e-5)
    np.testing.assert_allclose(a.pdf_class, b.pdf_class, rtol=0, atol=1e-5)
    np.testing.assert_allclose(a.prior_offset_ang, b.prior_offset_ang, rtol=0, atol=1e-4)
    assert a.sigma_offset_ang == pytest.approx(b.sigma_offset_ang, abs=1e-4)
    assert a.norm_correction_average == pytest.approx(b.norm_correction_average, abs=1e-5)
    assert (a.image_size_px, a.resolution_shell) == (b.image_size_px, b.resolution_shell)
    edge = a.image_size_px // 2
    np.testing.assert_allclose(a.data_vs_prior[:, :edge], b.data_vs_prior[:, :edge], rtol=2e-3)
    np.testing.assert_allclose(a.tau2[:, :edge], b.tau2[:, :edge], rtol=1e-3)
    # RELION's outermost ring is another one; its share is larger here than with search, where refs are sharper
    assert relative_rms(a.references, b.references).max() < 1.5e-2  # measured: 0.010
    spectra = [np.fft.rfft2(model.references)[:, :4, :4] for model in (a, b)]
    assert np.linalg.norm(spectra[0] - spectra[1]) / np.linalg.norm(spectra[1]) < 1e-4  # measured: 2e-5


def test_nothing_is_drawn_or_estimated(step):
    _, ours, theirs = step
    assert ours.sampling.perturbation == theirs.sampling.perturbation == 0
    np.testing.assert_array_equal(ours.model.accuracy_rotation_deg, theirs.model.accuracy_rotation_deg)
    for name in ("psi_deg", "offset_ang", "class_fraction"):
        assert getattr(ours.changes, name) == pytest.approx(getattr(theirs.changes, name), abs=1e-6), name
