"""Kernels that keep one contract are the same mathematics: transfer functions, also against NumPy's sine."""

import numpy as np
import pytest

from kernel_problems import PLANE, on
from winnow2d.numerics.arrays import to_host
from winnow2d.numerics.kernels import loops

N = 6
precisions = pytest.mark.parametrize("dtype", ["float64", "float32"])
QUADRATIC = (0.01 * PLANE.kx**2, 0.01 * PLANE.kx * PLANE.ky, 0.01 * PLANE.ky**2)


def parameters(rng, bfactor=0.0):
    turns = rng.normal(0, [30, 5, 30, 20, 0.3], (N, 5))
    return turns, np.stack([np.full(N, bfactor), rng.uniform(0.5, 1.5, N)], axis=1)


def filled(module, dtype, arguments, rows, n_px, xp=np):
    """Return an array whose rows (n) of 9 have been filled by a kernel, the others being 7."""
    out = xp.full((9, n_px), 7, dtype)
    module.transfer_functions(*arguments, rows, out)
    return to_host(out)


@precisions
@pytest.mark.parametrize("n_px", [len(PLANE.shell), PLANE.n_within(5)])
@pytest.mark.parametrize("bfactor", [0.0, 30.0])
@pytest.mark.parametrize("has_even", [False, True])
@pytest.mark.parametrize(("is_intact", "is_squared"), [(False, False), (True, False), (False, True)])
def test_transfer_functions(twin, rng, dtype, n_px, bfactor, has_even, is_intact, is_squared):
    even = rng.normal(size=len(PLANE.shell)) if has_even else np.empty(0)
    rows = np.array([3, 0, 8, 1, 4, 5])
    turns, envelope = parameters(rng, bfactor)
    theirs = filled(loops, dtype, (turns, envelope, QUADRATIC, even, is_intact, is_squared), rows, n_px)
    there = on(twin.xp, (QUADRATIC, even))
    ours = filled(twin.kernels, dtype, (turns, envelope, *there, is_intact, is_squared), rows, n_px, twin.xp)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 if dtype == "float64" else 2e-7)
    assert (ours[[2, 6, 7]] == 7).all()
    assert (np.abs(ours[rows]) <= 1.5**2).all()
    if is_intact:
        assert (ours[rows] == envelope[:, 1:].astype(dtype)).any()


def sines(module, gamma, dtype):
    """Return the sine of arguments (p,) by a kernel."""
    arguments = np.array([[-1 / np.pi, 0, 0, 0, 0]]), np.array([[0.0, 1.0]]), (gamma, 0 * gamma, 0 * gamma)
    out = np.empty((1, len(gamma)), dtype)
    module.transfer_functions(*arguments, np.empty(0), False, False, np.zeros(1, np.int64), out)
    return out[0]


@pytest.mark.parametrize("largest", [1.0, 10.0, 1e3, 1e4])
def test_the_sine_is_numpys(rng, largest):
    gamma = rng.uniform(-largest, largest, 100_001)
    expected = np.sin(gamma)
    assert np.abs(sines(loops, gamma, np.float64) - expected).max() < 4e-16 * (1 + largest)
    found, seen = sines(loops, gamma, np.float32), np.abs(expected) > 1e-4
    assert np.abs(found / expected - 1)[seen].max() < 1e-7


def test_the_sine_at_its_zeros_and_peaks(twin):
    """Where it is next to nothing it is 1e-8, so that nothing divides by zero."""
    for module in (loops, twin.kernels):
        if twin.xp is not np and module is not loops:
            continue
        at = sines(module, np.pi * np.arange(-6, 7) / 2, np.float64)
        np.testing.assert_allclose(at[1::2], [-1, 1] * 3, rtol=0, atol=1e-15)
        np.testing.assert_allclose(np.abs(at[::2]), 1e-8)
