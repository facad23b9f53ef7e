"""The transfer function against its physics."""

import numpy as np
import pytest

from winnow2d.numerics.ctf import ctf_values, electron_wavelength_ang

AXIS = np.linspace(0, 0.25, 2001)


def ctf(kx, ky, defocus_u=10000.0, defocus_v=10000.0, angle=0.0, kv=300.0, cs=2.7, q0=0.1, **others):
    return ctf_values(np.atleast_1d(kx), np.atleast_1d(ky), defocus_u, defocus_v, angle, kv, cs, q0, **others)


def first_zero(values):
    return AXIS[np.flatnonzero(np.sign(values[1:]) != np.sign(values[:-1]))[0]]


@pytest.mark.parametrize(("kv", "angstrom"), [(300.0, 0.0196876), (200.0, 0.0250793), (100.0, 0.0370144)])
def test_wavelength(kv, angstrom):
    assert electron_wavelength_ang(kv) == pytest.approx(angstrom, rel=1e-5)


@pytest.mark.parametrize("q0", [0.07, 0.1, 0.2])
def test_at_the_origin_it_is_the_amplitude_contrast(q0):
    """Positive: particles are white."""
    assert ctf(0.0, 0.0, q0=q0)[0] == pytest.approx(q0)


def test_first_zero_of_pure_defocus():
    """sin(pi lambda dz k^2) vanishes first at k = 1 / sqrt(lambda dz)."""
    values = ctf(AXIS, 0 * AXIS, cs=0.0, q0=0.0)
    assert (values[1:100] > 0).all()
    assert first_zero(values) == pytest.approx(1 / np.sqrt(0.0196876 * 10000), abs=2e-4)


@pytest.mark.parametrize("n", [1, 3, 5])
def test_spherical_aberration_holds_the_phase_back(n):
    """Zero n is where pi lambda dz k^2 - pi/2 Cs lambda^3 k^4 = n pi."""
    wavelength = electron_wavelength_ang(300.0)
    quartic, square = np.pi / 2 * 2.7e7 * wavelength**3, np.pi * wavelength * 10000
    k = np.sqrt((square - np.sqrt(square**2 - 4 * quartic * n * np.pi)) / (2 * quartic))
    assert abs(ctf(k, 0.0, q0=0.0)[0]) < 1e-6
    assert abs(ctf(k, 0.0, q0=0.0, cs=0.0)[0]) > 1e-3


@pytest.mark.parametrize("angle", [0.0, 35.0, 90.0, -50.0])
def test_astigmatism_has_its_larger_defocus_along_the_angle(angle):
    """The angle counts from x to y; larger defocus, earlier zero."""
    direction = np.deg2rad(angle)
    along = ctf(AXIS * np.cos(direction), AXIS * np.sin(direction), 14000.0, 8000.0, angle, cs=0.0, q0=0.0)
    across = ctf(-AXIS * np.sin(direction), AXIS * np.cos(direction), 14000.0, 8000.0, angle, cs=0.0, q0=0.0)
    assert first_zero(along) == pytest.approx(1 / np.sqrt(0.0196876 * 14000), abs=2e-4)
    assert first_zero(across) == pytest.approx(1 / np.sqrt(0.0196876 * 8000), abs=2e-4)


def test_a_phase_plate_of_ninety_degrees_swaps_sine_and_cosine():
    assert ctf(0.0, 0.0, q0=0.1, phase_shift_deg=90.0)[0] == pytest.approx(np.sqrt(1 - 0.1**2))


def test_envelope_and_factor():
    plain, damped = ctf(AXIS, 0 * AXIS), ctf(AXIS, 0 * AXIS, bfactor_ang2=80.0, scale=0.5)
    np.testing.assert_allclose(damped, 0.5 * plain * np.exp(-80.0 * AXIS**2 / 4), atol=1e-7)


def test_intact_first_peak():
    plain, intact = ctf(AXIS, 0 * AXIS), ctf(AXIS, 0 * AXIS, intact_first_peak=True)
    peak = np.flatnonzero(np.diff(plain) < 0)[0]
    np.testing.assert_array_equal(intact[:peak], 1)
    np.testing.assert_array_equal(intact[peak + 1 :], plain[peak + 1 :])
    assert (plain[:peak] < 1).all()


def test_it_never_divides_by_zero():
    values = ctf(np.array([1 / np.sqrt(electron_wavelength_ang(300.0) * 10000)]), 0.0, cs=0.0, q0=0.0)
    assert np.abs(values).min() >= 1e-8


def test_parameters_of_many_particles_broadcast():
    defocus = np.array([[9000.0], [12000.0]])
    many = ctf(AXIS, 0 * AXIS, defocus, defocus, np.zeros((2, 1)))
    assert many.shape == (2, len(AXIS))
    np.testing.assert_array_equal(many[1], ctf(AXIS, 0 * AXIS, 12000.0, 12000.0))
