"""Our iterations from RELION 5.0.1's states are RELION's iterations (tests/golden/relion5, six digits in its files)."""

from pathlib import Path

import numpy as np
import pytest

from replaying import (
    classifier,
    is_same_pose,
    iteration_of,
    next_after,
    options_of,
    psi_difference_deg,
    relative_rms,
)
from winnow2d.engine.classify import Classifier

RELION5 = Path(__file__).parents[1] / "golden" / "relion5"
STEM = RELION5 / "Class2D" / "job002" / "run"
OPTIONS = options_of(nr_classes=5)
STEPS = [1, 2, 3, 4]


@pytest.fixture(
    scope="module", params=[(p, n) for p in ("double", "single") for n in STEPS], ids=lambda p: f"{p[0]}-{p[1]}"
)
def step(request):
    """Return (precision, our iteration, RELION's iteration)."""
    precision, number = request.param
    old, theirs = iteration_of(STEM, number - 1), iteration_of(STEM, number)
    run = classifier(STEM, RELION5, old, OPTIONS, precision)
    return precision, next_after(run, old, theirs.sampling), theirs


def test_poses(step):
    precision, ours, theirs = step
    same = is_same_pose(ours.particles, theirs.particles)
    counted = ours.particles.n_significant == theirs.particles.n_significant
    assert same.mean() > 0.99
    if precision == "double":
        assert same.all()
        assert counted.all()


def test_numbers_of_each_particle(step):
    _, ours, theirs = step
    a, b = ours.particles, theirs.particles
    same = is_same_pose(a, b)
    np.testing.assert_allclose(a.max_probability[same], b.max_probability[same], rtol=0, atol=1e-5)
    np.testing.assert_allclose(a.norm_correction[same], b.norm_correction[same], rtol=0, atol=1e-5)
    # sums of some 350 terms over sigma2, of which the file has six digits; measured at most 1e-3 of 2200
    np.testing.assert_allclose(a.log_likelihood[same], b.log_likelihood[same], rtol=0, atol=3e-3)


def test_class_averages(step):
    _, ours, theirs = step
    assert relative_rms(ours.model.references, theirs.model.references).max() < 1e-3


def test_noise(step):
    _, ours, theirs = step
    np.testing.assert_allclose(ours.model.sigma2_noise, theirs.model.sigma2_noise, rtol=1e-5)


def test_spectra(step):
    """The outermost shell of means over the padded grid is RELION's up to a tenth: its ring ends elsewhere."""
    _, ours, theirs = step
    a, b = ours.model, theirs.model
    edge = a.image_size_px // 2
    np.testing.assert_allclose(a.tau2[:, : edge + 1], b.tau2[:, : edge + 1], rtol=1e-3)
    np.testing.assert_allclose(a.data_vs_prior[:, :edge], b.data_vs_prior[:, :edge], rtol=1e-3)
    np.testing.assert_allclose(a.sigma2_reference[:, :edge], b.sigma2_reference[:, :edge], rtol=1e-3)
    np.testing.assert_allclose(a.data_vs_prior[:, edge], b.data_vs_prior[:, edge], rtol=0.1)
    np.testing.assert_allclose(a.fourier_coverage, b.fourier_coverage, atol=1e-5)
    for spectrum in (a.tau2, a.data_vs_prior, a.sigma2_reference):
        assert not spectrum[:, edge + 1 :].any()


def test_parameters(step):
    _, ours, theirs = step
    a, b = ours.model, theirs.model
    assert (a.image_size_px, a.resolution_shell) == (b.image_size_px, b.resolution_shell)
    np.testing.assert_allclose(a.pdf_class, b.pdf_class, rtol=0, atol=1e-5)
    np.testing.assert_allclose(a.scale_correction, b.scale_correction, rtol=0, atol=1e-5)
    np.testing.assert_allclose(a.prior_offset_ang, b.prior_offset_ang, rtol=0, atol=1e-4)
    assert a.sigma_offset_ang == pytest.approx(b.sigma_offset_ang, abs=1e-4)
    assert a.norm_correction_average == pytest.approx(b.norm_correction_average, abs=1e-5)
    assert a.average_max_probability == pytest.approx(b.average_max_probability, abs=1e-5)
    assert a.log_likelihood == pytest.approx(b.log_likelihood, rel=2e-6)  # seven digits in the file


def test_changes(step):
    """The mean change of angle is not compared: RELION averages it without taking 350 degrees for 10."""
    _, ours, theirs = step
    assert ours.changes.offset_ang == pytest.approx(theirs.changes.offset_ang, abs=1e-4)
    assert ours.changes.class_fraction == pytest.approx(theirs.changes.class_fraction, abs=1e-6)
    assert ours.changes.best_resolution_per_ang == pytest.approx(theirs.changes.best_resolution_per_ang, abs=1e-6)


def test_rules_of_our_own_are_not_relions():
    """The replay would notice the offset prior: with our rules a tenth of the particles and more go elsewhere."""
    old, theirs = iteration_of(STEM, 1), iteration_of(STEM, 2)
    run = classifier(STEM, RELION5, old, OPTIONS, "single", compatibility="none")
    ours = next_after(run, old, theirs.sampling)
    assert is_same_pose(ours.particles, theirs.particles).mean() < 0.9


@pytest.mark.parametrize("precision", ["double", "single"])
def test_four_iterations_from_the_first_state(precision):
    """Nothing is lost between iterations that a file would have rounded away or brought back.

    Measured after four: 399 of 400 classes, 0.98 of the angles, 0.0015 rms in the averages; differences
    grow because a particle between two poses falls to either side.
    """
    ours = iteration_of(STEM, 0)
    run = classifier(STEM, RELION5, ours, OPTIONS, precision)
    for number in STEPS:
        theirs = iteration_of(STEM, number)
        ours = next_after(run, ours, theirs.sampling)
    assert (ours.particles.class_index == theirs.particles.class_index).mean() > 0.98
    assert (psi_difference_deg(ours.particles, theirs.particles) < 0.1).mean() > 0.95
    assert relative_rms(ours.model.references, theirs.model.references).max() < 0.01
    assert ours.model.average_max_probability == pytest.approx(theirs.model.average_max_probability, rel=2e-3)
    assert ours.changes.iterations_without_resolution_gain == theirs.changes.iterations_without_resolution_gain


def test_first_noise_estimate_is_relions():
    theirs = iteration_of(STEM, 0)
    like = classifier(STEM, RELION5, theirs, OPTIONS, "double")
    run = Classifier(like.images, theirs.particles, theirs.optics, OPTIONS, like.own)
    np.testing.assert_allclose(run.iteration.model.sigma2_noise, theirs.model.sigma2_noise, rtol=1e-5)
    assert run.iteration.model.resolution_shell == theirs.model.resolution_shell == 3  # ROUND(0.07 * 48)
