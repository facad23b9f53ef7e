"""A class that is about to be lost takes half of the largest one's particles."""

import numpy as np
import pytest

from classified import OPTIONS, classifier
from synthetic import make_particles, purity
from winnow2d.engine.recovery import DYING_FRACTION, split_largest
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
