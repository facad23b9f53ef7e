"""Transfer functions of a run's particles: each by its own row and optics group, as the formula says."""

from dataclasses import replace

import numpy as np
import pytest

from synthetic import blank_particles, ctfs_of, one_optics_group
from winnow2d.engine.geometry import geometries_of
from winnow2d.engine.transfer import Transfer

BOX, N = 32, 40
PLAIN = one_optics_group(BOX)
LENSES = {
    "plain": PLAIN,
    "200 kV, other contrast": replace(PLAIN, voltage_kv=200.0, spherical_aberration_mm=1.2, amplitude_contrast=0.07),
    "even aberrations": replace(PLAIN, even_zernike=(0.3, 2.0, -1.5, 0.7, 40.0)),
    "magnified": replace(PLAIN, magnification=(1.03, 0.01, -0.02, 0.98)),
}


def drawn(rng, n_groups=1):
    """Return particles with astigmatism, phase plate, envelope and scale."""
    particles = blank_particles(N, rng)
    u = rng.uniform(-5e3, 4e4, N)
    more = {"defocus_u_ang": u, "defocus_v_ang": u - rng.uniform(0, 3e3, N)}
    more |= {"phase_shift_deg": rng.uniform(0, 180, N), "ctf_scale": rng.uniform(0.5, 1.5, N)}
    more |= {"ctf_bfactor_ang2": np.where(np.arange(N) % 2, 0.0, rng.uniform(0, 200, N))}
    return replace(particles, optics_group=np.arange(N) % n_groups, **more)


def transfer_of(optics, dtype=np.float64, is_intact=False):
    return Transfer(optics, *geometries_of(optics, 80.0), True, is_intact, np.dtype(dtype))


@pytest.mark.parametrize("is_intact", [False, True])
@pytest.mark.parametrize("lens", LENSES)
def test_it_is_the_formula(rng, lens, is_intact):
    optics, particles = [LENSES[lens]], drawn(rng)
    plane = geometries_of(optics, 80.0)[0][0].plane
    rows, n_px = np.array([2, 7, 4, 39]), plane.n_within(12)
    expected = ctfs_of(particles, rows, optics, plane, n_px, is_intact)
    double, single = (transfer_of(optics, dtype, is_intact).ctf(rows, particles, n_px) for dtype in "df")
    np.testing.assert_allclose(double, expected, rtol=0, atol=1e-12)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=0, atol=1e-7)


def test_fewer_pixels_are_the_first_of_all(rng):
    particles, rows = drawn(rng), np.arange(N)
    whole = transfer_of([PLAIN]).ctf(rows, particles)
    assert whole.shape == (N, len(geometries_of([PLAIN], 80.0)[0][0].plane.kx))
    np.testing.assert_allclose(transfer_of([PLAIN]).ctf(rows, particles, 77), whole[:, :77], rtol=0, atol=1e-13)


def test_optics_groups_keep_apart(rng):
    optics = [LENSES["plain"], LENSES["200 kV, other contrast"], LENSES["even aberrations"]]
    particles, rows = drawn(rng, 3), np.array([8, 1, 3, 2, 10])
    plane = geometries_of(optics, 80.0)[0][0].plane
    found = transfer_of(optics).ctf(rows, particles, 200)
    np.testing.assert_allclose(found, ctfs_of(particles, rows, optics, plane, 200), rtol=0, atol=1e-12)


def test_nothing_of_it_grows_with_the_particles(rng):
    """What is kept is per geometry and optics group."""
    made, particles = transfer_of([PLAIN]), drawn(rng)

    def n_bytes():
        parts = [made._quadratic, made._even, made._phases]
        return sum(array.nbytes for part in parts for array in _arrays(part))

    before = n_bytes()
    made.ctf(np.arange(N), particles)
    assert n_bytes() == before
    assert before == 3 * 8 * len(geometries_of([PLAIN], 80.0)[0][0].plane.kx)


def _arrays(some):
    return [some] if isinstance(some, np.ndarray) else [array for part in some or () for array in _arrays(part)]


def test_no_particles_have_none(rng):
    assert transfer_of([PLAIN]).ctf(np.empty(0, int), drawn(rng), 5).shape == (0, 5)
