"""The loop on particles with known truth: what it finds, and what may change nothing."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from classified import N_PARTICLES, OPTIONS, classifier, differences, is_finite, run
from synthetic import PIXEL_SIZE_ANG, ParticleSet, make_particles, purity
from winnow2d.engine.classify import Classifier
from winnow2d.engine.iteration import iterate
from winnow2d.errors import ImageError
from winnow2d.formats.state import load_state, save_state
from winnow2d.numerics.kernels.fine import score_fine
from winnow2d.numerics.kernels.model_image import compare_models
from winnow2d.numerics.kernels.significance import select_coarse
from winnow2d.numerics.masks import soft_circle
from winnow2d.options import OwnOptions


@pytest.fixture(scope="module")
def particles():
    return make_particles(k=3, n=N_PARTICLES, box=32, snr=0.3, seed=1)


@pytest.fixture(scope="module")
def finished(particles):
    started = classifier(particles)
    while not started.done:
        started.update()
    return started.iteration


@pytest.fixture(scope="module")
def early(particles):
    """Return the iteration after the second: a state from which one more tells what an option does."""
    return run(particles, 2)


# What it finds


def test_classes_are_recovered(particles, finished):
    assert finished.number == finished.total == 12
    assert purity(finished.particles.class_index, particles.truth.class_index) >= 0.9
    assert finished.model.pdf_class.sum() == pytest.approx(1)
    assert finished.model.average_max_probability > 0.5
    assert finished.n_left_out == 0


def test_angles_and_offsets_are_recovered_up_to_one_pose_per_class(particles, finished):
    found, truth = finished.particles, particles.truth
    for k in np.unique(found.class_index):
        mine = found.class_index == k
        turn = np.exp(1j * np.deg2rad(found.psi_deg[mine] - truth.psi_deg[mine]))
        assert (np.abs(np.angle(turn / turn.mean(), deg=True)) < 10).mean() >= 0.9
        # o' = o + R(psi')^T d, with one d for the class
        psi = np.deg2rad(found.psi_deg[mine])
        cos, sin = np.cos(psi), np.sin(psi)
        design = np.concatenate([np.stack([cos, sin], axis=1), np.stack([-sin, cos], axis=1)])
        moved = (found.offset_ang - truth.offset_ang)[mine] / PIXEL_SIZE_ANG
        target = np.concatenate([moved[:, 0], moved[:, 1]])
        centre = np.linalg.lstsq(design, target, rcond=None)[0]
        assert np.sqrt(np.mean((design @ centre - target) ** 2)) < 0.75  # px; steps of 1 px


def test_the_noise_is_recovered(finished):
    """White noise of variance 1 has 1 / (2 N^2) per component, and the mask leaves the mean of its square."""
    left = (soft_circle(32, 12.5, 5.0) ** 2).mean()  # 100 A of 4 A pixels, and RELION's edge of 5 px
    outer = finished.model.sigma2_noise[0, 12:] * 2 * 32**2
    np.testing.assert_allclose(outer, left, rtol=0.1)
    circle = np.pi * 16.5**2 / 32**2  # the norm adds up shells 0 to N / 2, not the corners beyond
    assert finished.model.norm_correction_average == pytest.approx(np.sqrt(left * circle), rel=0.02)


def test_inputs_are_left_alone(particles):
    before = dataclasses.replace(particles.particles)
    copies = {f.name: np.copy(getattr(before, f.name)) for f in dataclasses.fields(before) if f.name != "group_names"}
    images = particles.images.copy()
    run(particles, 2)
    for name, copy in copies.items():
        np.testing.assert_array_equal(getattr(particles.particles, name), copy, err_msg=name)
    np.testing.assert_array_equal(particles.images, images)


def test_class_numbers_of_the_input_are_another_jobs(particles):
    numbered = replace(particles.particles, class_index=np.full(N_PARTICLES, 41))
    started = Classifier(particles, numbered, particles.optics, OPTIONS, OwnOptions())
    assert (started.iteration.particles.class_index == -1).all()
    assert started.iteration.number == 0
    assert started.update().changes.class_fraction == 1


def test_progress_is_told_in_particles(particles, monkeypatch):
    monkeypatch.setattr("winnow2d.engine.parallel.CHUNKS_PER_BATCH", 2)
    told = []
    classifier(particles).update(lambda done, total: told.append((done, total)))
    assert told == [(128, N_PARTICLES), (N_PARTICLES, N_PARTICLES)]  # four chunks a thread


# What changes nothing


@pytest.mark.parametrize("precision", ["single", "double"])
def test_threads_change_no_byte(particles, precision):
    own = OwnOptions(random_seed=7, precision=precision)
    assert differences(run(particles, 3, own=own), run(particles, 3, own=own, n_threads=2)) == []


def test_loops_are_compiled_for_rows_in_memory_order(particles):
    """Another layout is another compilation of some ten seconds, and strides in the innermost loops."""
    run(particles, 1)
    for kernel in (select_coarse, score_fine, compare_models):
        layouts = [str(argument) for signature in kernel.signatures for argument in signature]
        assert layouts
        assert not [words for words in layouts if ", F)" in words or ", A)" in words]


@pytest.mark.parametrize("n_chunks", [1, 4])
def test_the_size_of_a_batch_changes_no_byte(particles, monkeypatch, n_chunks):
    expected = run(particles, 3)
    monkeypatch.setattr("winnow2d.engine.parallel.CHUNKS_PER_BATCH", n_chunks)
    assert differences(run(particles, 3), expected) == []


def test_the_seed_changes_the_run(particles):
    other = run(particles, 2, own=OwnOptions(random_seed=8))
    assert "iteration.model.references" in differences(run(particles, 2), other)


@pytest.mark.parametrize("do_zero_mask", [True, False])
def test_an_interrupted_run_goes_on_to_the_same_bytes(particles, tmp_path, do_zero_mask):
    expected = run(particles, 6, do_zero_mask=do_zero_mask)
    save_state(tmp_path, run(particles, 3, do_zero_mask=do_zero_mask), "mark")
    state, reason = load_state(tmp_path, "mark")
    assert reason == ""
    going_on = classifier(particles, iteration=state, do_zero_mask=do_zero_mask)
    for _ in range(3):
        going_on.update()
    assert differences(going_on.iteration, expected) == []


def test_a_state_of_something_else_is_refused(particles, early, tmp_path):
    save_state(tmp_path, early, "mark")
    assert load_state(tmp_path, "another")[0] is None
    assert load_state(tmp_path / "nowhere", "mark") == (None, "")


@pytest.mark.parametrize("is_thinned", [False, True])
def test_the_order_of_particles_changes_no_assignment(particles, early, monkeypatch, is_thinned):
    """Sums are added in another order, so the averages differ in their last digits only.

    Thinning draws by row, so another order keeps other small posteriors: averages differ within its noise.
    """
    if not is_thinned:
        monkeypatch.setattr("winnow2d.engine.iteration.THIN_BELOW", 0.0)
    started = classifier(particles, iteration=early)
    expected = iterate(started, early, early.sampling)
    order = np.random.default_rng(1).permutation(N_PARTICLES)

    def ordered(record):
        values = {f.name: getattr(record, f.name) for f in dataclasses.fields(record) if f.name != "group_names"}
        return replace(record, **{name: value[order] for name, value in values.items() if value is not None})

    shuffled = ParticleSet(
        particles.images[order], ordered(particles.particles), particles.optics, particles.truth, particles.references
    )
    state = replace(early, particles=ordered(early.particles))
    found = iterate(classifier(shuffled, iteration=state), state, early.sampling)
    np.testing.assert_array_equal(found.particles.class_index, expected.particles.class_index[order])
    np.testing.assert_array_equal(found.particles.psi_deg, expected.particles.psi_deg[order])
    difference = np.abs(found.model.references - expected.model.references)
    if is_thinned:
        assert 0 < np.linalg.norm(difference) < 0.01 * np.linalg.norm(expected.model.references)
    else:
        assert difference.max() < 1e-5


# Images and classes that are no use


def test_an_image_of_nan_is_left_out_and_the_run_goes_on(particles):
    images = particles.images.copy()
    images[5, 3, 3], images[100] = np.nan, np.nan
    spoilt = replace(particles, images=images)
    found = run(spoilt, 3)
    assert found.n_left_out == 2
    assert is_finite(found.model)
    assert is_finite(found.particles)
    assert list(np.flatnonzero(found.particles.max_probability == 0)) == [5, 100]
    assert found.particles.class_index[5] == -1
    assert found.particles.norm_correction[5] == 1
    others = np.setdiff1d(np.arange(N_PARTICLES), [5, 100])
    assert (found.particles.class_index[others] >= 0).all()
    assert (found.particles.n_significant[others] > 0).all()


@pytest.mark.parametrize("compatibility", ["none", "relion"])
def test_a_class_without_particles_stays_finite(particles, early, compatibility):
    references = early.model.references.copy()
    references[1] = 0
    pdf_class = np.array([0.5, 0.0, 0.5])
    empty = replace(early, model=replace(early.model, references=references, pdf_class=pdf_class))
    started = classifier(particles, iteration=empty, own=OwnOptions(random_seed=7, compatibility=compatibility))
    for _ in range(2):
        found = started.update()
        assert is_finite(found.model)
        assert found.model.pdf_class.sum() == pytest.approx(1)
    if compatibility == "relion":  # once empty, always empty
        assert found.model.pdf_class[1] == 0
        assert not found.model.references[1].any()
        assert (found.particles.class_index != 1).all()


def test_more_classes_than_kinds_stay_finite(particles):
    found = run(particles, 4, nr_classes=20)
    assert is_finite(found.model)
    assert found.model.references.shape == (20, 32, 32)


def test_first_images_that_cannot_be_used_are_passed_over(particles):
    """A whole first chunk of them, too."""
    images = particles.images.copy()
    images[:32] = 1.0
    started = classifier(replace(particles, images=images))
    with pytest.raises(ImageError, match="32 of"):  # too many of them end the run, in words
        started.update()
    assert is_finite(started.iteration.model)


def test_every_class_has_a_first_image(particles, monkeypatch):
    """More classes than images that the noise is estimated from."""
    monkeypatch.setattr("winnow2d.engine.classify.IMAGES_PER_OPTICS_GROUP", 10)
    first = classifier(particles, nr_classes=50).iteration
    assert (np.abs(first.model.references).max(axis=(1, 2)) > 0).all()
