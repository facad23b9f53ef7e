"""Options of a classification: refused together where they do not fit, and seen to act where they do."""

from dataclasses import replace

import numpy as np
import pytest

from classified import N_PARTICLES, OPTIONS, classifier, differences, is_finite, run
from synthetic import PIXEL_SIZE_ANG, make_particles
from winnow2d.engine.classify import Classifier
from winnow2d.engine.iteration import iterate
from winnow2d.engine.schedule import expectation_sizes_px
from winnow2d.errors import ConfigError
from winnow2d.numerics.masks import positive_centre_of_mass
from winnow2d.options import OwnOptions


@pytest.fixture(scope="module")
def particles():
    return make_particles(k=3, n=N_PARTICLES, box=32, snr=0.3, seed=1)


@pytest.fixture(scope="module")
def early(particles):
    """Return the iteration after the second: a state from which one more tells what an option does."""
    return run(particles, 2)


# Options that do not fit


def problems_of(particles, optics=None, **options):
    with pytest.raises(ConfigError) as caught:
        Classifier(
            particles, particles.particles, optics or particles.optics, replace(OPTIONS, **options), OwnOptions()
        )
    return caught.value.problems


def test_all_reasons_are_told_at_once(particles):
    small = replace(particles.optics[0], box_px=24, magnification=(0.0, 0.0, 0.0, 0.0))
    problems = problems_of(particles, [particles.optics[0], small], particle_diameter=129.0, nr_classes=N_PARTICLES + 1)
    assert len(problems) == 4
    for words in ("(32 px of 4 A", "(24 px of 4 A", "matrix of a magnification", f"{N_PARTICLES + 1} classes"):
        assert sum(words in problem for problem in problems) == 1


def test_a_mask_as_large_as_the_box_is_allowed(particles):
    classifier(particles, particle_diameter=128.0)
    assert "128.5" in problems_of(particles, particle_diameter=128.5)[0]


# Options that have an effect, seen after one more iteration


def after(particles, early, **options):
    """Return the Classifier and the iteration after `early` under other options, on the same search grid."""
    started = classifier(particles, iteration=early, **options)
    found = iterate(started, early, early.sampling)
    assert is_finite(found.model)
    return started, found


@pytest.fixture(scope="module")
def usual(particles, early):
    return after(particles, early)


def test_intact_first_peak(particles, early, usual):
    started, found = after(particles, early, ctf_intact_first_peak=True)
    rows = np.arange(3)
    intact, plain = (
        started.transfer.ctf(rows, particles.particles),
        usual[0].transfer.ctf(rows, particles.particles),
    )
    assert (intact[:, 0] == 1).all()
    assert (plain[:, 0] < 0.2).all()
    assert (intact != plain).mean() < 0.5
    low = found.model.unmasked_references.sum(axis=(1, 2))
    assert np.abs(low).max() < np.abs(usual[1].model.unmasked_references.sum(axis=(1, 2))).max()


def test_no_ctf_correction(particles, early, usual):
    started, found = after(particles, early, do_ctf_correction=False)
    assert (started.transfer.ctf(np.arange(3), particles.particles) == 1).all()
    # at the origin nothing is divided by the amplitude contrast of 0.1
    sums = [np.abs(it.model.unmasked_references.sum(axis=(1, 2))).max() for it in (found, usual[1])]
    assert sums[0] < 0.5 * sums[1]


def test_noise_instead_of_a_flat_solvent(particles, early, usual):
    """The power of noise no longer lacks what the mask took away."""
    _, found = after(particles, early, do_zero_mask=False)
    ratio = found.model.sigma2_noise[0, 6:] / usual[1].model.sigma2_noise[0, 6:]
    assert ratio.mean() > 1.1
    assert differences(found, after(particles, early, do_zero_mask=False)[1]) == []


def test_a_resolution_limit_makes_poses_less_sure(particles, early, usual):
    _, found = after(particles, early, highres_limit=40.0)
    limit = 2 * round(32 * PIXEL_SIZE_ANG / 40.0)
    sizes = expectation_sizes_px(replace(OPTIONS, highres_limit=40.0), 32, PIXEL_SIZE_ANG, 12.0, 30)
    assert sizes == (limit, limit)
    assert found.model.average_max_probability < 0.8 * usual[1].model.average_max_probability
    assert found.model.image_size_px == usual[1].model.image_size_px  # the averages keep all they can


def test_centring(particles, early, usual):
    _, found = after(particles, early, do_center=False)
    centred = np.array([positive_centre_of_mass(image) for image in usual[1].model.unmasked_references])
    free = np.array([positive_centre_of_mass(image) for image in found.model.unmasked_references])
    assert np.abs(centred).max() < 0.1
    assert np.abs(free).max() > 3 * np.abs(centred).max()


def test_coarser_sampling_where_the_accuracy_allows(particles):
    """The first iteration has blobs to compare with: angles are worth nothing, so the second looks at few."""
    usual, found = run(particles, 2), run(particles, 2, allow_coarser=True)
    assert usual.sampling.psi_step_deg == 12
    assert found.sampling.psi_step_deg > 12
    assert found.sampling.original_psi_step_deg == 12
    assert found.sampling.offset_step_ang <= 0.95 * found.sampling.offset_range_ang
    assert found.particles.n_significant.mean() < usual.particles.n_significant.mean()


def test_one_class_and_one_group_run(particles):
    alone = replace(particles.particles, group_index=np.zeros(N_PARTICLES, int), group_names=["all"])
    started = Classifier(particles, alone, particles.optics, replace(OPTIONS, nr_classes=1), OwnOptions())
    found = started.update()
    np.testing.assert_array_equal(found.model.scale_correction, [1.0])
    np.testing.assert_allclose(found.model.pdf_class, [1.0])


def test_regularisation_smooths(particles, early, usual):
    _, found = after(particles, early, tau_fudge=0.1)
    assert found.model.tau2_fudge == 0.1
    for smooth, sharp in zip(found.model.unmasked_references, usual[1].model.unmasked_references, strict=True):
        assert smooth.std() < sharp.std()
    assert found.model.resolution_shell <= usual[1].model.resolution_shell
