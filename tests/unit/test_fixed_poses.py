"""Classification without alignment: poses stay, classes are found, and the sums are those of the images."""

from dataclasses import replace

import numpy as np
import pytest

from classified import differences, is_finite
from synthetic import ctfs_of, make_particles
from winnow2d.engine.classify import Classifier
from winnow2d.engine.fixed_poses import _posteriors, compare_at_fixed_poses, expect_at_fixed_poses, table_of
from winnow2d.engine.gridded_sums import add_to_grids, empty_gridded_sums
from winnow2d.engine.images import prepare
from winnow2d.engine.projections import reference_spectra
from winnow2d.numerics.grids import half_plane
from winnow2d.numerics.kernels import kernels_of
from winnow2d.options import Class2DOptions, OwnOptions

EM = Class2DOptions(
    do_em=True, do_grad=False, nr_classes=3, nr_iter_em=12, particle_diameter=100.0, dont_skip_align=False
)
VDAM = replace(EM, do_em=False, do_grad=True, nr_iter_grad=30)


@pytest.fixture(scope="module")
def particles():
    """Return 180 particles of three shapes that know their angle and offset."""
    found = make_particles(k=3, n=180, box=32, snr=1.0, seed=3)
    known = replace(found.particles, psi_deg=found.truth.psi_deg, offset_ang=found.truth.offset_ang)
    return replace(found, particles=known)


def classifier(particles, options, own=None, n_threads=1):
    own = own or OwnOptions(random_seed=7)
    return Classifier(particles, particles.particles, particles.optics, options, own, n_threads=n_threads)


def run(particles, options, n_iterations=None, **more):
    started = classifier(particles, options, **more)
    for _ in range(n_iterations or options.n_iterations):
        started.update()
    return started.iteration


# VDAM's few steps on so few particles leave two of the shapes in one class
@pytest.mark.parametrize(("options", "purity"), [(EM, 0.95), (VDAM, 0.65)], ids=["em", "vdam"])
def test_classes_are_found_and_poses_stay(particles, options, purity):
    found = run(particles, options)
    np.testing.assert_array_equal(found.particles.psi_deg, particles.particles.psi_deg)
    np.testing.assert_array_equal(found.particles.offset_ang, particles.particles.offset_ang)
    pairs = np.zeros((3, 3))
    np.add.at(pairs, (found.particles.class_index, particles.truth.class_index), 1)
    assert pairs.max(axis=1).sum() / len(particles.images) > purity
    assert is_finite(found.model)
    assert is_finite(found.particles)
    assert (found.changes.psi_deg, found.changes.offset_ang) == (0, 0)
    assert found.sampling.perturbation == 0
    assert (found.moments is None) == options.do_em


@pytest.mark.parametrize("options", [EM, VDAM], ids=["em", "vdam"])
def test_threads_change_no_byte(particles, options):
    one, other = (run(particles, options, 3, n_threads=n) for n in (1, 3))
    assert not differences(one, other)


def test_single_precision_agrees_with_double(particles):
    one, other = (run(particles, EM, own=OwnOptions(precision=precision)) for precision in ("single", "double"))
    assert np.mean(one.particles.class_index == other.particles.class_index) > 0.99
    np.testing.assert_allclose(one.model.references, other.model.references, atol=2e-3 * other.model.references.max())


def test_unusable_images_are_left_out(particles):
    images = particles.images.copy()
    images[5] = np.nan
    found = run(replace(particles, images=images), EM, 2)
    assert found.n_left_out == 1
    assert found.particles.class_index[5] == -1
    assert is_finite(found.model)


def test_accuracies_are_estimated_but_in_relions_mode(particles):
    assert (run(particles, EM, 2).model.accuracy_rotation_deg > 0).all()
    assert not run(particles, EM, 2, own=OwnOptions(compatibility="relion")).model.accuracy_rotation_deg.any()


@pytest.mark.parametrize("options", [EM, VDAM], ids=["em", "vdam"])
def test_a_second_geometry_that_is_all_but_the_first_changes_nearly_nothing(particles, options):
    """Half the particles of another optics group, with a pixel size that differs by a ten millionth."""
    group = particles.optics[0]
    other = replace(group, name="two", pixel_size_ang=group.pixel_size_ang * (1 + 1e-7))
    halves = replace(particles.particles, optics_group=np.arange(180) % 2)
    one = run(particles, options, 3)
    two = run(replace(particles, particles=halves, optics=[group, other]), options, 3)
    assert np.mean(one.particles.class_index == two.particles.class_index) > 0.95
    # beyond the outermost ring, which such images see in whole shells, the averages are the same
    spectra = [np.fft.rfft2(found.model.references)[:, :6, :6] for found in (one, two)]
    assert np.linalg.norm(spectra[0] - spectra[1]) / np.linalg.norm(spectra[0]) < 0.1  # noise is two spectra then


# The sums by hand


@pytest.fixture(scope="module")
def chunk(particles):
    """Return the constants of a comparison, the sums of 20 particles, and what they are made of."""
    plane, rows = half_plane(32), np.arange(20)
    references = particles.references[:3] + np.random.default_rng(1).normal(0, 0.01, (3, 32, 32))
    compared = compare_at_fixed_poses(
        reference_spectra(references, 32, np.dtype(np.float64)), plane, (32, 32),
        np.full((1, plane.n_shells), 2e-4), np.full((3, plane.n_shells), 5.0), np.zeros((3, 2)), np.dtype(np.float64),
    )  # fmt: skip
    truth = particles.truth
    offset_px = truth.offset_ang[rows] / particles.optics[0].pixel_size_ang
    mask = np.ones((32, 32))
    shift = np.floor(np.abs(offset_px) + 0.5).astype(int) * np.sign(offset_px).astype(int)
    spectra = prepare(particles.images[rows].astype(float), np.ones(20), shift, mask, plane)
    ctf = ctfs_of(particles.particles, rows, particles.optics, plane, len(plane.kx))
    pose = truth.psi_deg[rows], offset_px
    prior = np.log(np.tile([0.5, 0.3, 0.2], (20, 1)))
    sums = expect_at_fixed_poses(compared, spectra, ctf, np.full(20, 1.1), np.zeros(20, int), pose, prior, rows % 2)
    return compared, sums, truth.class_index[rows]


def test_the_true_class_is_the_likeliest(chunk):
    _, sums, truth = chunk
    assert np.mean(sums.class_index == truth) > 0.9


def test_residuals_are_images_less_models(chunk):
    """What VDAM adds is what EM adds, less what EM would add of the model's own images."""
    compared, sums, _ = chunk
    whole, halves = empty_gridded_sums(compared, 1, 1), empty_gridded_sums(compared, 1, 1, n_halves=2)
    one_set = replace(sums, groups=(*sums.groups[:2], np.zeros(20, int)))
    add_to_grids(whole, [one_set], compared, 1)
    add_to_grids(halves, [sums], compared, 1)
    np.testing.assert_allclose(halves.grid_weight.reshape(2, 3, -1).sum(axis=0), whole.grid_weight, rtol=1e-12)
    table = table_of(compared, sums.groups[1])
    model_re, model_im = kernels_of(sums.power).rotate(compared.projections.spectra, table, map_all)
    expected = whole.grid_data.copy()
    for k in range(3):
        own = replace(one_set, data_re=sums.power * model_re[k], data_im=sums.power * model_im[k])
        of_models = empty_gridded_sums(compared, 1, 1)
        add_to_grids(of_models, [own], compared, 1)
        expected[k] -= of_models.grid_data[k]
    scale = np.abs(whole.grid_data).max()
    np.testing.assert_allclose(halves.grid_data.reshape(2, 3, -1).sum(axis=0), expected, atol=1e-12 * scale)


def map_all(function, items):
    for item in items:
        function(item)


def test_the_noise_is_the_power_of_what_is_left(chunk):
    """Over all shells: power of image less scale * CTF * model, weighted with the posteriors that are kept."""
    _, sums, _ = chunk
    assert np.all(sums.noise.sum(axis=1) > 0)
    np.testing.assert_allclose(np.sqrt(2 * sums.noise.sum(axis=1)), sums.residual_norm, rtol=1e-6)


def test_small_posteriors_are_left_out_and_the_rest_is_not_stretched():
    logs = np.log(np.array([[0.6, 0.3995, 0.0005], [0.5, 0.499, 0.001], [1.0, 0.0, 0.0]]) + 1e-300)
    kept, values, (classes, held) = _posteriors(logs)
    np.testing.assert_allclose(kept[0], [0.6, 0.3995, 0], atol=1e-12)
    np.testing.assert_allclose(kept[2], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(values[0], [0.6, 0.0, 0.9995], atol=1e-12)
    assert classes.tolist() == [[0, 1, 2, -1], [0, 1, 2, -1], [0, -1, -1, -1]]
    np.testing.assert_allclose(held[:2], [[0.6, 0.3995, 0.0005, 0], [0.5, 0.499, 0.001, 0]], atol=1e-9)
    kept, values, (classes, held) = _posteriors(np.array([[-np.inf, -np.inf], [np.nan, -3.0]]))
    assert classes.tolist() == [[-1] * 4, [1, -1, -1, -1]]
    assert held[:, 0].tolist() == [0, 1]
    np.testing.assert_array_equal(kept, [[0, 0], [0, 1]])
    np.testing.assert_array_equal(values[0], [0, 0, 0])
    assert values[1, 1] == pytest.approx(-3.0)
