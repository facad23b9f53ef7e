"""A class that is about to be lost, and in VDAM one of few particles, takes half of the largest one's particles."""

from functools import partial

import numpy as np
import pytest

from classified import OPTIONS, classifier
from synthetic import make_particles, purity
from winnow2d.engine.recovery import DYING_FRACTION, halves, split_largest, split_overfull
from winnow2d.numerics.masks import soft_circle
from winnow2d.options import OwnOptions

MASK = soft_circle(32, 10.0, 3.0)


@pytest.fixture
def references(rng):
    return rng.normal(size=(3, 32, 32)) * MASK


def test_a_dying_class_becomes_half_of_the_largest(references, rng):
    share = np.array([0.3, 0.01, 0.69])
    found, shares, n_split = split_largest(references, share, MASK, 6, rng)
    assert n_split == 1
    np.testing.assert_allclose((found[1] + found[2]) / 2, references[2])
    assert np.abs(found[1] - found[2]).max() > 0
    np.testing.assert_array_equal(found[0], references[0])
    np.testing.assert_allclose(shares, [0.3, 0.35, 0.35])
    assert share.tolist() == [0.3, 0.01, 0.69]


def test_the_halves_differ_by_a_share_of_the_class_and_only_inside_the_mask(references, rng):
    found, _, _ = split_largest(references, np.array([0.3, 0.01, 0.69]), MASK, 6, rng)
    half = (found[2] - found[1]) / 2
    assert np.sqrt((half**2).mean() / ((references[2] * MASK) ** 2).mean()) == pytest.approx(0.3)
    assert not half[MASK == 0].any()


def test_live_classes_are_left_alone(references, rng):
    share = np.array([DYING_FRACTION / 3, 0.4, 0.6 - DYING_FRACTION / 3])
    found, shares, n_split = split_largest(references, share, MASK, 6, rng)
    assert n_split == 0
    np.testing.assert_array_equal(found, references)
    np.testing.assert_array_equal(shares, share)


# VDAM


def overfull(rng, share):
    """Return references, moments and shares of classes of 32 px, what halves a class, and copies of the arrays."""
    n = len(share)
    first = (rng.normal(size=(2, n, 64, 33)) + 1j * rng.normal(size=(2, n, 64, 33))).astype(np.complex64)
    second = rng.uniform(0.5, 2, (n, 64, 33)).astype(np.float32)
    arrays = rng.normal(size=(n, 32, 32)) * MASK, first, second, np.array(share)
    return arrays, partial(halves, mask=MASK, shell=6, rng=rng), [array.copy() for array in arrays]


def test_a_sparse_class_becomes_half_of_the_overfull_one(rng, caplog):
    arrays, halved, before = overfull(rng, [0.2, 0.05, 0.55, 0.2])
    caplog.set_level("INFO")
    assert split_overfull(*arrays, halved) == 1
    images, first, second, share = arrays
    np.testing.assert_allclose(share, [0.2, 0.3, 0.3, 0.2])
    np.testing.assert_allclose((images[1] + images[2]) / 2, before[0][2])
    apart = (images[2] - images[1]) / 2
    assert np.sqrt((apart**2).mean() / ((before[0][2] * MASK) ** 2).mean()) == pytest.approx(0.3)
    for k in (1, 2):
        np.testing.assert_array_equal(first[:, k], before[1][:, 2])
        np.testing.assert_array_equal(second[k], before[2][2])
    for k in (0, 3):
        np.testing.assert_array_equal(images[k], before[0][k])
        np.testing.assert_array_equal(first[:, k], before[1][:, k])
    assert "Class 2" in caplog.text
    assert "class 3" in caplog.text


@pytest.mark.parametrize("share", [[0.27, 0.05, 0.48, 0.2], [0.13, 0.08, 0.57, 0.22], [0.25] * 4])
def test_no_class_is_split_for_nothing(rng, share):
    """A half would hold less than a mean share, or no class is sparse."""
    arrays, halved, before = overfull(rng, share)
    assert split_overfull(*arrays, halved) == 0
    for after, array in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(after, array)


def test_of_many_classes_one_in_twenty_is_split_at_once(rng):
    share = np.array([*np.full(20, 0.0001), *np.full(15, 0.015), *np.full(5, 0.1546)])
    arrays, halved, _ = overfull(rng, share / share.sum())
    assert split_overfull(*arrays, halved) == 2
    assert (arrays[3] > 0.14).sum() == 3


def test_a_lost_class_comes_back_in_em(caplog, monkeypatch):
    """One class starts as an image of nothing; RELION's rules keep it dead to the end."""
    particles = make_particles(k=3, n=240, box=32, snr=0.3, seed=1)
    monkeypatch.setattr("winnow2d.engine.model_update.SPLITTING_ITERATIONS", range(1, 9))
    live = {}
    for rules in ("none", "relion"):
        run = classifier(particles, own=OwnOptions(random_seed=7, compatibility=rules), nr_classes=3)
        first = run.iteration
        first.model.references[1] = 0
        first.model.pdf_class[:] = [0.5, 0, 0.5]
        with caplog.at_level("INFO", "winnow2d"):
            while not run.done:
                run.update()
        found = run.iteration.particles.class_index
        live[rules] = len(np.unique(found))
        if rules == "none":
            assert "was dying" in caplog.text
            assert purity(found, particles.truth.class_index) > 0.9
    assert live == {"none": 3, "relion": 2}
    assert OPTIONS.n_iterations == run.iteration.number


def test_the_total_decides_nothing():
    """A run that is continued is the unbroken one: classes are split by the iteration's number, not by what is left."""
    particles = make_particles(k=3, n=240, box=32, snr=0.3, seed=1)

    def after(total, until, first=None):
        run = classifier(particles, own=OwnOptions(random_seed=7), iteration=first, nr_classes=3, nr_iter_em=total)
        if first is None:
            run.iteration.model.references[1] = 0
        while run.iteration.number < until:
            run.update()
        return run.iteration

    continued, unbroken = after(8, 8, after(4, 4)), after(8, 8)
    assert continued.model.references.tobytes() == unbroken.model.references.tobytes()
    np.testing.assert_array_equal(continued.particles.class_index, unbroken.particles.class_index)
