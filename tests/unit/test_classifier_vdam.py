"""VDAM on particles with known truth: what it finds, and what may change nothing."""

from dataclasses import replace

import numpy as np
import pytest

from classified import differences, is_finite
from classified import run as run_em
from synthetic import make_particles, purity
from winnow2d.engine import vdam_schedule
from winnow2d.engine.classify import Classifier
from winnow2d.formats.state import load_state, save_state
from winnow2d.numerics.masks import positive_centre_of_mass
from winnow2d.options import Class2DOptions, OwnOptions

N_PARTICLES = 300  # batches of 200, then more, then all
N_ITERATIONS = 14
OPTIONS = Class2DOptions(do_em=False, do_grad=True, nr_classes=3, nr_iter_grad=N_ITERATIONS, particle_diameter=100.0)


@pytest.fixture(scope="module")
def particles():
    return make_particles(k=3, n=N_PARTICLES, box=32, snr=0.3, seed=1)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Let a small set have true mini-batches up to the last iteration."""
    monkeypatch.setattr("winnow2d.engine.classify.batch_limits", lambda n: (100, 200))


def classifier(particles, iteration=None, n_threads=1, own=None, **options):
    return Classifier(
        particles, particles.particles, particles.optics, replace(OPTIONS, **options), own or OwnOptions(random_seed=7),
        iteration, n_threads,
    )  # fmt: skip


def all_iterations(particles, n_iterations=N_ITERATIONS, **options):
    """Return every iteration from the first on."""
    started = classifier(particles, **options)
    return [started.update() for _ in range(n_iterations)]


@pytest.fixture(scope="module")
def history(particles):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("winnow2d.engine.classify.batch_limits", lambda n: (100, 200))
        return all_iterations(particles)


# What it finds


def test_classes_are_recovered(particles, history):
    last = history[-1]
    assert last.number == last.total == N_ITERATIONS
    assert purity(last.particles.class_index, particles.truth.class_index) >= 0.9
    assert last.model.pdf_class.sum() == pytest.approx(1)
    assert last.n_left_out == 0


def test_every_iteration_is_finite(history):
    for iteration in history:
        assert is_finite(iteration.model)
        assert is_finite(iteration.particles)
        assert is_finite(iteration.moments)
        assert (iteration.moments.second > 0).all()
        assert iteration.model.unmasked_references is None


def test_references_stay_in_the_middle_until_the_last_phase(history):
    centred = [it for it in history if not vdam_schedule.phases(N_ITERATIONS).is_final(it.number)]
    assert len(centred) > 8
    for iteration in centred:
        centres = [positive_centre_of_mass(image) for image in iteration.model.references]
        assert np.hypot(*np.transpose(centres)).max() < 3.0


def classifier_size(number):
    return vdam_schedule.batch_size(number, N_ITERATIONS, N_PARTICLES, OPTIONS.nr_classes, (100, 200))


def test_batches_steps_and_t_follow_the_schedule(history):
    sizes = [it.batch_size for it in history]
    assert sizes[:3] == [100] * 3
    n_em = 2  # a fifth: the last ones are EM's, and see all particles
    assert sizes == [*sorted(sizes[:-n_em]), *[-1] * n_em]
    assert sizes[:-n_em] == [classifier_size(n) for n in range(1, 15 - n_em)]
    assert [it.step_size for it in history] == [vdam_schedule.step_size(n, N_ITERATIONS) for n in range(1, 15)]
    expected = [vdam_schedule.tau2_fudge(n, N_ITERATIONS, OPTIONS.tau_fudge) for n in range(1, 15 - n_em)]
    assert [it.model.tau2_fudge for it in history] == [*expected, *[OPTIONS.tau_fudge] * n_em]


# Particles and batches


def test_a_batch_is_a_part_of_the_particles_in_their_order(particles):
    started = classifier(particles)
    batches = [started.batch(number) for number in (1, 2, N_ITERATIONS)]
    for rows in batches[:2]:
        assert len(rows) == 100
        assert (np.diff(rows) > 0).all()
        assert 0 <= rows[0] <= rows[-1] < N_PARTICLES
    assert not np.array_equal(batches[0], batches[1])
    np.testing.assert_array_equal(batches[2], np.arange(N_PARTICLES))
    np.testing.assert_array_equal(classifier(particles).batch(2), batches[1])
    assert not np.array_equal(classifier(particles, own=OwnOptions(random_seed=8)).batch(2), batches[1])


def test_a_particle_has_no_class_before_it_was_in_a_batch(particles, history):
    started, seen = classifier(particles), np.zeros(N_PARTICLES, bool)
    for iteration in history[:3]:
        seen[started.batch(iteration.number)] = True
        found = iteration.particles
        assert (found.class_index[~seen] == -1).all()
        assert (found.max_probability[~seen] == 0).all()
        assert (found.norm_correction[~seen] == 1).all()
        assert (found.class_index[seen] >= 0).all()
        assert (found.max_probability[seen] > 0).all()
    assert 0 < (~seen).sum() < N_PARTICLES - 100
    assert (history[-1].particles.class_index >= 0).all()
    assert (history[-1].particles.n_significant > 0).all()


def test_only_the_batch_changes(particles, history):
    rows = classifier(particles).batch(2)
    outside = np.setdiff1d(np.arange(N_PARTICLES), rows)
    for name in ("class_index", "psi_deg", "offset_ang", "norm_correction", "log_likelihood", "max_probability"):
        before, after = (getattr(it.particles, name) for it in history[:2])
        np.testing.assert_array_equal(after[outside], before[outside], err_msg=name)
    assert (history[1].particles.log_likelihood[rows] != history[0].particles.log_likelihood[rows]).all()


def test_parameters_move_by_a_tenth_of_what_a_batch_tells(particles, history):
    """The same particles as a batch and as everything: the first iteration of both starts from the same state."""
    started = classifier(particles)
    zero = started.iteration.model
    one = history[0].model
    norm = history[0].particles.norm_correction[started.batch(1)].mean()
    expected = 0.9 * zero.norm_correction_average + 0.1 * norm
    assert one.norm_correction_average == pytest.approx(expected, rel=1e-3)
    last = history[-1]
    assert last.model.norm_correction_average == pytest.approx(last.particles.norm_correction.mean(), rel=1e-3)


def test_an_image_of_nan_is_left_out_and_the_run_goes_on(particles):
    images = particles.images.copy()
    images[::60] = np.nan
    found = all_iterations(replace(particles, images=images), 3, nr_iter_grad=3)
    assert found[-1].n_left_out == 5
    assert is_finite(found[-1].model)
    assert is_finite(found[-1].moments)
    assert (found[-1].particles.class_index[::60] == -1).all()


@pytest.mark.parametrize("n_iterations", [1, 2, 3])
def test_the_shortest_runs(particles, n_iterations):
    found = all_iterations(particles, n_iterations, nr_iter_grad=n_iterations)[-1]
    assert is_finite(found.model)
    assert found.batch_size == -1
    assert (found.particles.class_index >= 0).all()


def test_a_dying_class_is_relocated(particles, history, caplog):
    """A class with hardly a particle, in the middle phase, goes on as another one."""
    caplog.set_level("INFO")
    state = history[5]
    dying = replace(state, model=replace(state.model, pdf_class=np.array([0.49, 0.01, 0.5])))
    found = classifier(particles, iteration=dying).update()
    assert "Class 2 was dying" in caplog.text
    assert is_finite(found.model)
    assert found.model.pdf_class.sum() == pytest.approx(1)
    assert found.model.pdf_class[1] > 0.2
    # a copy of what another class was: it makes no step of its own
    steps = np.linalg.norm(found.model.references[1] - state.model.references[[0, 2]], axis=(1, 2))
    assert steps.min() < 0.01 * np.linalg.norm(found.model.references[1])
    usual = classifier(particles, iteration=state).update()
    assert relative_distance(found, 1) < 0.8 * relative_distance(usual, 1)


@pytest.mark.parametrize(
    ("compatibility", "at", "is_split"), [("none", 6, True), ("relion", 6, False), ("none", 8, False)]
)
def test_an_overfull_class_is_split(particles, history, caplog, compatibility, at, is_split):
    """Two classes share the particles of the full one; not with RELION's rules, and not late."""
    caplog.set_level("INFO")
    state = history[at - 2]
    full = replace(state, model=replace(state.model, pdf_class=np.array([0.12, 0.08, 0.8])))
    found = classifier(particles, iteration=full, own=OwnOptions(random_seed=7, compatibility=compatibility)).update()
    assert ("Class 2 was sparse" in caplog.text) == is_split
    assert (found.model.pdf_class[1] > 0.35) == is_split


def test_a_lost_class_comes_back_where_every_batch_is_the_whole_set(particles, history, caplog, monkeypatch):
    """Its share is that of what it was made into, not what the particles gave it before."""
    monkeypatch.setattr("winnow2d.engine.classify.batch_limits", lambda n: (n, n))
    caplog.set_level("INFO")
    state = history[4]
    lost = replace(state, batch_limits=None, model=replace(state.model, pdf_class=np.array([0.1, 0.0, 0.9])))
    run = classifier(particles, iteration=lost)
    shares = [run.update().model.pdf_class for _ in range(2)]
    assert caplog.text.count("Class 2 was sparse") == 1
    assert shares[0][1] > 0.2
    assert shares[1][1] > 0  # no prior of 0, with which no particle could choose it again


def test_a_run_continued_between_two_splits_is_the_unbroken_one(particles, caplog, monkeypatch, tmp_path):
    monkeypatch.setattr("winnow2d.engine.recovery.OVERFULL", 1.0)
    monkeypatch.setattr("winnow2d.engine.recovery.SPARSE", 1.0)
    caplog.set_level("INFO")
    unbroken = all_iterations(particles, 7)
    assert caplog.text.count("was sparse") >= 2
    save_state(tmp_path, unbroken[4], "mark")
    continued = classifier(particles, iteration=load_state(tmp_path, "mark")[0])
    while continued.iteration.number < 7:
        continued.update()
    assert differences(continued.iteration, unbroken[-1]) == []


def relative_distance(iteration, k):
    """Return how far a reference is from the nearest other one, over its own length."""
    references = iteration.model.references
    others = [np.linalg.norm(references[k] - references[j]) for j in range(len(references)) if j != k]
    return min(others) / np.linalg.norm(references[k])


# What changes nothing


@pytest.mark.parametrize("precision", ["single", "double"])
def test_threads_change_no_byte(particles, precision):
    own = OwnOptions(random_seed=7, precision=precision)
    one, two = (all_iterations(particles, 4, own=own, n_threads=n)[-1] for n in (1, 2))
    assert differences(one, two) == []
    assert one.moments.first.any()


def test_an_interrupted_run_goes_on_to_the_same_bytes(particles, history, tmp_path):
    save_state(tmp_path, history[4], "mark")
    state, reason = load_state(tmp_path, "mark")
    assert reason == ""
    assert differences(state, history[4]) == []
    going_on = classifier(particles, iteration=state)
    while not going_on.done:
        going_on.update()
    assert differences(going_on.iteration, history[-1]) == []


def test_a_state_is_left_alone_by_the_next_iteration(particles, history, tmp_path):
    save_state(tmp_path, history[4], "mark")
    classifier(particles, iteration=history[4]).update()
    assert differences(load_state(tmp_path, "mark")[0], history[4]) == []


def test_the_seed_changes_the_run(particles, history):
    other = all_iterations(particles, 1, own=OwnOptions(random_seed=8))[0]
    assert "iteration.moments.first" in differences(other, history[0])


def test_the_quirks_change_the_run(particles, history):
    other = all_iterations(particles, 2, own=OwnOptions(random_seed=7, compatibility="relion"))[-1]
    assert "iteration.particles.class_index" in differences(other, history[1])


def test_em_keeps_no_moments(particles):
    found = run_em(particles, 1)
    assert found.moments is None
    assert (found.batch_size, found.step_size) == (-1, 0.0)
