"""The classes that hold most of a particle's posterior: of the kernels, of whole runs, and in their file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classified import classifier
from kernel_problems import N_K, N, chunk, score, select
from synthetic import make_particles
from winnow2d.errors import StarError
from winnow2d.formats.particles import read_particle_table
from winnow2d.formats.refinement import read_iteration, write_iteration
from winnow2d.numerics.kernels import loops, plain
from winnow2d.numerics.kernels.top_classes import LEAST_POSTERIOR, N_TOP, ranked_classes, top_classes
from winnow2d.options import Class2DOptions, OwnOptions

RELION5 = Path(__file__).parents[1] / "golden" / "relion5" / "Class2D" / "job002"
kernels = pytest.mark.parametrize("kernels", [loops, plain], ids=["compiled", "plain"])


@pytest.fixture(scope="module")
def particles():
    return make_particles(k=3, n=120, box=26, snr=0.2, seed=2)


def class_posteriors(scored):
    """Return what the poses of each class hold, (n, k)."""
    (particle, k, *_), start, _, weight = scored[2:]
    out = np.zeros((N, N_K))
    group = np.repeat(np.arange(len(particle)), np.diff(start))
    np.add.at(out, (particle[group], k[group]), weight)
    return out


@kernels
@pytest.mark.parametrize("signal", [0.05, 0.15, 0.5])
@pytest.mark.parametrize("thin", [0.0, 0.3], ids=["all", "thinned"])
def test_they_hold_what_all_poses_hold_whatever_the_sums_leave_out(kernels, signal, thin):
    c = chunk("float64", signal)
    selected = select(kernels, c)
    expected = class_posteriors(score(kernels, c, selected, fraction=1.0))
    scored = score(kernels, c, selected, thin=thin, fraction=0.5)
    assert class_posteriors(scored).sum() != pytest.approx(expected.sum(), abs=1e-3)  # much is left out
    classes, held = scored[0][:, 5:], scored[1][:, 3:]
    for i in range(N):
        order = np.argsort(-expected[i])
        n_told = np.count_nonzero(expected[i] >= LEAST_POSTERIOR)
        assert classes[i].tolist() == [*order[:n_told], *[-1] * (N_TOP - n_told)]
        np.testing.assert_allclose(held[i, :n_told], expected[i][order][:n_told], rtol=1e-6)
        assert not held[i, n_told:].any()


def test_one_class_of_more_than_four_goes():
    posterior = np.array([0.1, 0.3, 0.05, 0.3, 0.2, 0.05])
    numbers = np.arange(6)
    classes, held = top_classes(np.zeros(6, np.int64), numbers, posterior[:, None], 1, 6)
    assert classes.tolist() == [[1, 3, 4, 0]]  # of equals the first
    np.testing.assert_allclose(held, [[0.3, 0.3, 0.2, 0.1]], atol=1e-9)


def test_the_rows_of_a_class_are_added_up_and_a_particle_without_rows_has_none():
    particle, k = np.array([0, 0, 0, 2]), np.array([1, 1, 4, 0])
    classes, held = top_classes(particle, k, np.array([[0.2, 0.1], [0.3, 0.0], [0.2, 0.2], [0.5, 0.5]]), 3, 5)
    assert classes.tolist() == [[1, 4, -1, -1], [-1] * 4, [0, -1, -1, -1]]
    np.testing.assert_allclose(held[:, 0], [0.6, 0, 1.0], atol=1e-9)


def test_what_rounding_could_reorder_is_not_told_of():
    unit = 2**40
    classes, _ = ranked_classes(np.array([[unit, int(unit * LEAST_POSTERIOR / 2), 0]]))
    assert classes.tolist() == [[0, -1, -1, -1]]


@pytest.mark.parametrize("changed", [{}, {"dont_skip_align": False}, {"do_em": False, "do_grad": True}])
def test_a_run_keeps_them_for_every_particle(particles, changed):
    run = classifier(particles, nr_iter_em=3, nr_iter_grad=3, **changed)
    for _ in range(3):
        found = run.update().particles
    classes, held = found.top_classes, found.top_posteriors
    assert (classes.dtype, held.dtype) == (np.int32, np.float32)
    assert (classes[:, 0] >= 0).all()
    assert (np.diff(held, axis=1) <= 0).all()
    np.testing.assert_allclose(held.sum(axis=1), 1, atol=1e-5)  # three classes, all of them told
    assert ((classes >= 0) == (held > 0)).all()
    for row in classes:
        told = row[row >= 0]
        assert len(set(told)) == len(told)
    # The best pose of all is nearly always one of the class that holds most.
    assert (classes[:, 0] == found.class_index).mean() > 0.8
    assert (held[:, 0] >= found.max_probability - 1e-6).all()


def test_a_particle_that_is_not_seen_again_keeps_its_last(particles, monkeypatch):
    monkeypatch.setattr("winnow2d.engine.classify.batch_limits", lambda n: (60, 60))
    run = classifier(particles, do_em=False, do_grad=True, nr_iter_grad=10)
    first = run.update().particles
    rows = run.batch(2)
    second = run.update().particles
    unseen = np.setdiff1d(np.arange(len(first)), rows)
    assert len(unseen) == 60
    np.testing.assert_array_equal(second.top_classes[unseen], first.top_classes[unseen])
    np.testing.assert_array_equal(second.top_posteriors[unseen], first.top_posteriors[unseen])
    assert (second.top_posteriors[rows] != first.top_posteriors[rows]).any()


def test_a_particle_without_a_finite_weight_has_none(particles):
    images = particles.images.copy()
    images[5] = np.nan
    found = classifier(replace(particles, images=images)).update().particles
    assert found.top_classes[5].tolist() == [-1] * 4
    assert not found.top_posteriors[5].any()
    assert (np.delete(found.top_classes[:, 0], 5) >= 0).all()


# Their file


@pytest.fixture
def iteration(tmp_path, monkeypatch):
    """Return a last iteration with drawn posteriors; the working directory is empty."""
    monkeypatch.chdir(tmp_path)
    found = read_iteration(RELION5 / "run_it004_optimiser.star")
    rng, n = np.random.default_rng(3), len(found.particles)
    found.particles.top_classes = rng.permuted(np.tile(np.arange(-1, 5), (n, 1)), axis=1)[:, :4].astype(np.int32)
    found.particles.top_posteriors = np.sort(rng.dirichlet(np.ones(4), n), axis=1)[:, ::-1].astype(np.float32)
    return found


def write(iteration):
    options = Class2DOptions(do_em=True, do_grad=False, nr_classes=5, particle_diameter=190.0)
    table = read_particle_table(RELION5 / "run_it004_data.star")
    write_iteration("job/run", iteration, table, options, OwnOptions(), "command")
    return Path(f"job/run_it{iteration.number:03d}_posteriors.npy")


def test_the_last_iteration_has_a_file_that_gives_them_back(iteration):
    path = write(iteration)
    found = read_iteration("job/run_it004_optimiser.star").particles
    np.testing.assert_array_equal(found.top_classes, iteration.particles.top_classes)
    np.testing.assert_array_equal(found.top_posteriors, iteration.particles.top_posteriors)
    assert found.top_classes.dtype == np.int32
    records = np.load(path)
    assert (records["class"].min(), records["class"].max()) == (0, 5)  # counted from 1, 0 is none
    before = path.read_bytes()
    assert write(iteration).read_bytes() == before


def test_an_earlier_iteration_has_none(iteration):
    assert not write(replace(iteration, total=5)).exists()
    assert read_iteration("job/run_it004_optimiser.star").particles.top_classes is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda records: records[:-1], "records of .*, not"),
        (lambda records: records["class"], "records of int32"),
        (lambda records: with_class(records, 6), "beyond 1 to 5"),
        (lambda records: with_class(records, -1), "beyond 1 to 5"),
    ],
)
def test_a_file_of_other_particles_or_classes_is_refused(iteration, change, said):
    path = write(iteration)
    np.save(path, change(np.load(path)))
    with pytest.raises(StarError, match=said):
        read_iteration("job/run_it004_optimiser.star")


def with_class(records, number):
    records["class"][3, 1] = number
    return records


def test_a_file_that_is_none_is_refused(iteration):
    write(iteration).write_bytes(b"none")
    with pytest.raises(StarError, match="not a NumPy file"):
        read_iteration("job/run_it004_optimiser.star")
