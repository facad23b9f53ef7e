"""The prior of a pose: as it was meant, and as RELION has it."""

import numpy as np
import pytest

from winnow2d.engine.priors import class_log_prior, offset_log_prior, pose_log_prior
from winnow2d.numerics.kernels import priors as kernels

PIXEL = 3.54
OLD = np.array([[2, -1], [0, 0]])
SHIFTS = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, -4.0]])
CENTRES = np.array([[0.0, 0.0], [3.0, 1.0], [0.5, -2.0]])


def log_prior(mix_units, limit=np.inf, old=OLD):
    return offset_log_prior(old, SHIFTS, CENTRES, 6.0, PIXEL, mix_units, limit)


def test_the_prior_is_gaussian_in_angstrom():
    found = log_prior(False)
    assert found.shape == (2, 3, 3)
    for i, k, t in np.ndindex(*found.shape):
        distance2 = ((PIXEL * (OLD[i] + SHIFTS[t]) - CENTRES[k]) ** 2).sum()
        assert found[i, k, t] == pytest.approx(-distance2 / (2 * 6.0**2))


def test_relion_adds_pixels_to_angstrom():
    found = log_prior(True)
    for i, k, t in np.ndindex(*found.shape):
        distance2 = PIXEL**2 * ((OLD[i] + PIXEL * SHIFTS[t] - CENTRES[k]) ** 2).sum()
        assert found[i, k, t] == pytest.approx(-distance2 / (2 * 6.0**2))


def test_total_offsets_have_a_limit():
    found = log_prior(False, limit=4.0)
    total = np.hypot(*(OLD[:, None] + SHIFTS).transpose(2, 0, 1))
    for i, t in np.ndindex(*total.shape):
        assert np.isfinite(found[i, :, t]).all() == (total[i, t] <= 4.0)


def test_a_particle_beyond_the_limit_may_come_back():
    found = log_prior(False, limit=4.0, old=np.array([[20, 0]]))
    np.testing.assert_array_equal(np.isfinite(found[0]), np.tile([True, False, False], (3, 1)))


def test_priors_are_relative_to_their_means():
    """So the log-likelihood is the one RELION writes, and classes of probability 0 are never chosen."""
    offsets = log_prior(False)
    found = pose_log_prior(offsets, np.array([0.5, 0.0, 0.5]))
    assert (found[:, 1] == -np.inf).all()
    assert np.isfinite(found[:, [0, 2]]).all()
    pdf = np.exp(offsets)
    expected = pdf / pdf.mean(axis=(1, 2), keepdims=True) * np.array([1.5, 0, 1.5])[None, :, None]
    np.testing.assert_allclose(np.exp(found), expected)


@pytest.mark.parametrize("mix_units", [False, True])
@pytest.mark.parametrize("limit", [np.inf, 4.0])
def test_centres_that_are_all_nought_need_one_row(mix_units, limit):
    one = offset_log_prior(OLD, SHIFTS, np.zeros((3, 2)), 6.0, PIXEL, mix_units, limit)
    each = offset_log_prior(OLD, SHIFTS, np.full((3, 2), 1e-300), 6.0, PIXEL, mix_units, limit)
    assert (one.shape, each.shape) == ((2, 1, 3), (2, 3, 3))
    np.testing.assert_allclose(np.broadcast_to(one, each.shape), each, rtol=1e-12)
    pdf = np.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(pose_log_prior(one, pdf), pose_log_prior(each, pdf), rtol=1e-12)


def test_a_particle_far_from_its_pick_keeps_a_finite_prior():
    """Forty standard deviations away exp() of the log prior is 0: its logarithm must not be taken."""
    offset = np.array([[45.0, 0.0], [0.0, 0.0]])
    log = offset_log_prior(offset, np.array([[0.0, 0.0], [1.0, 0.0]]), np.zeros((2, 2)), 1.4, 4.0, False, 5.0)
    found = pose_log_prior(log, np.array([0.5, 0.5]))
    assert np.isfinite(found).any(axis=(1, 2)).all()
    assert not np.isnan(found).any()
    assert not np.isposinf(found).any()


@pytest.mark.parametrize("mix_units", [False, True])
@pytest.mark.parametrize("limit", [np.inf, 4.0, 0.1])
@pytest.mark.parametrize("centres", [CENTRES, 0 * CENTRES])
def test_the_compiled_prior_is_the_one_of_the_formulas(rng, mix_units, limit, centres):
    old = np.round(rng.normal(0, 2, (5, 2)))
    pdf = np.array([0.2, 0.0, 0.8])[: len(centres)]
    expected = pose_log_prior(offset_log_prior(old, SHIFTS, centres, 6.0, PIXEL, mix_units, limit), pdf)
    class_log = class_log_prior(pdf)
    found = kernels.pose_log_prior(old, SHIFTS, centres, 6.0, PIXEL, mix_units, limit, class_log)
    assert found.shape == (len(old), len(centres), len(SHIFTS))
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=1e-12, atol=1e-12)
