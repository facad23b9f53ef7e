"""How small an error of angle or shift the noise lets one see."""

import numpy as np
import pytest

from synthetic import shape_image
from winnow2d.engine.accuracy import ANGLE_ERRORS_DEG, NOT_ESTIMATED, SHIFT_ERRORS_PX, Probe, expected_accuracies
from winnow2d.numerics.grids import half_plane
from winnow2d.numerics.kernels.backproject import rotate_one
from winnow2d.numerics.projector import padded_spectra
from winnow2d.numerics.rotation import GridView, rotation_table

BOX = 32
PLANE = half_plane(BOX)
N_PX = PLANE.n_within(12)
SPECTRA = padded_spectra(np.stack([shape_image(k, BOX) for k in range(3)]), 12)
WEIGHT = np.where(PLANE.kx[:N_PX] + np.abs(PLANE.ky[:N_PX]) > 0, 4e3, 0.0)
DECISIVE = 4.60517


def estimate(spectra=SPECTRA, weight=WEIGHT, usable=None, psi=(10.0, 75.0), n_threads=1):
    usable = np.ones(len(spectra), bool) if usable is None else np.array(usable)
    return expected_accuracies(
        spectra, usable, probes(psi, weight), PLANE.n_shells, np.random.default_rng(1), n_threads
    )


def probes(psi, weight=WEIGHT):
    return [Probe(angle, weight, PLANE, None, PLANE.shell[:N_PX], 1.0) for angle in psi]


def reference_at(k, psi):
    table = rotation_table(PLANE, N_PX, np.array([psi]), np.dtype(np.float64))
    re, im = np.empty((1, N_PX)), np.empty((1, N_PX))
    rotate_one(SPECTRA[k], table.index, table.fraction, table.sign, re, im)
    return (re + 1j * im)[0]


def test_errors_are_tried_in_growing_steps():
    assert ANGLE_ERRORS_DEG[0] == pytest.approx(0.05)
    assert SHIFT_ERRORS_PX[0] == pytest.approx(0.1)
    for errors, fine, last in ((ANGLE_ERRORS_DEG, 0.05, 30), (SHIFT_ERRORS_PX, 0.1, 10)):
        steps = np.diff(errors)
        assert steps.min() == pytest.approx(fine)
        assert (np.diff(steps) > -1e-9).all()
        assert last < errors[-1] < last + steps[-1] + 1e-9


def test_the_angle_is_the_first_that_the_evidence_decides():
    rotation, _, _ = estimate(psi=(10.0,))
    for k in range(3):
        turned = np.stack([reference_at(k, 10.0 + error) for error in ANGLE_ERRORS_DEG])
        evidence = (np.abs(turned - reference_at(k, 10.0)) ** 2 * WEIGHT / 2).sum(axis=1)
        assert rotation[k] == pytest.approx(ANGLE_ERRORS_DEG[np.argmax(evidence > DECISIVE)])
    assert 0.05 < rotation.min()
    assert rotation.max() < 30


def test_the_shift_is_the_first_that_the_evidence_decides_along_x_or_y():
    _, offset, _ = estimate(psi=(10.0,))
    for k in range(3):
        power = np.abs(reference_at(k, 10.0)) ** 2 * WEIGHT / 2
        first = []
        for axis in (PLANE.kx[:N_PX], PLANE.ky[:N_PX]):
            turns = np.outer(SHIFT_ERRORS_PX, axis) / BOX
            evidence = (power * np.abs(1 - np.exp(-2j * np.pi * turns)) ** 2).sum(axis=1)
            first.append(SHIFT_ERRORS_PX[np.argmax(evidence > DECISIVE)])
        assert min(abs(offset[k] - value) for value in first) < 1e-9


def test_means_over_the_particles():
    both, one, other = (estimate(psi=psi)[0] for psi in ((10.0, 75.0), (10.0,), (75.0,)))
    np.testing.assert_allclose(both, (one + other) / 2)


def test_less_noise_sees_smaller_errors():
    for worse, better in zip(estimate()[:2], estimate(weight=16 * WEIGHT)[:2], strict=True):
        assert (better < worse / 2).all()


def test_a_round_reference_has_no_angle():
    r = np.hypot(*(np.mgrid[:BOX, :BOX] - BOX // 2))
    rotation, offset, _ = estimate(padded_spectra(np.exp(-((r / 5) ** 2))[None], 12))
    assert rotation[0] == ANGLE_ERRORS_DEG[-1] > 30
    assert offset[0] < 3


def test_orientability_is_a_share_of_each_shell():
    _, _, orientability = estimate()
    np.testing.assert_allclose(orientability.sum(axis=1), 1)
    assert orientability.min() >= 0
    assert not orientability[:, 0].any()
    assert not orientability[:, 13:].any()


def test_unusable_classes_and_missing_particles_are_not_estimated():
    rotation, offset, orientability = estimate(usable=[True, False, True])
    assert (rotation[1], offset[1]) == (NOT_ESTIMATED, NOT_ESTIMATED)
    assert not orientability[1].any()
    np.testing.assert_allclose(rotation[[0, 2]], estimate()[0][[0, 2]])
    none = estimate(usable=[False] * 3)
    assert (none[0] == NOT_ESTIMATED).all()


def test_threads_change_nothing():
    one, two = (estimate(n_threads=n) for n in (1, 2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_pixels_that_a_geometry_does_not_see_are_read_nowhere():
    """Compiled loops check no index: what lies beyond the grid of the model is moved to its origin, without weight."""
    plane, view = half_plane(16), GridView(16, (1.1, 0.0, 0.0, 1.1), 8, 8)
    probe = Probe(0.0, np.ones(len(plane.kx)), plane, view, plane.shell, 1.0)
    kx, ky, weight = probe.seen()
    assert (weight == 0).any()
    assert np.hypot(kx, ky).max() < 8.5  # one cell of the padded grid is to spare
    assert not kx[weight == 0].any()
