"""Kernels that keep one contract are the same mathematics: sums over poses and rotations."""

from types import SimpleNamespace

import numpy as np
import pytest

from kernel_problems import BOX, N_H, N_K, N_PX, PLANE, chunk, on, score, select, serially
from winnow2d.numerics import arrays
from winnow2d.numerics.arrays import to_host
from winnow2d.numerics.kernels import loops
from winnow2d.numerics.rotation import RotationTable, padded_shape, rotation_table

TOLERANCE = {"float64": dict(rtol=1e-9, atol=1e-10), "float32": dict(rtol=2e-3, atol=1e-4)}
N_CELLS = int(np.prod(padded_shape(BOX)))


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.fixture
def batch(dtype):
    """Return groups and images of three chunks, one of them without a pose."""
    parts = []
    for seed in (1, 2):
        c = chunk(dtype, 0.2, seed)
        _, _, groups, start, shift, weight = score(loops, c, select(loops, c), thin=0.02 * (seed - 1))
        parts.append(((*groups, start, shift, weight), c.weighted))
    nothing = np.zeros(0, np.int64)
    parts.insert(1, ((*(nothing,) * 4, np.zeros(1, np.int64), nothing, weight[:0]), parts[0][1]))
    return SimpleNamespace(parts=parts, phases=c.phases)


def sums(xp):
    return tuple(xp.zeros((N_K, 2 * N_H, N_PX)) for _ in range(3))


@pytest.mark.parametrize("n_blocks", ["one", "many"])
def test_adding_groups(twin, dtype, batch, monkeypatch, n_blocks):
    theirs, ours = sums(np), sums(twin.xp)
    loops.add_groups(batch.parts, batch.phases, theirs, serially)
    if n_blocks == "many":
        monkeypatch.setattr(arrays, "BLOCK_VALUES", 40 * N_PX)
    twin.kernels.add_groups([on(twin.xp, pair) for pair in batch.parts], on(twin.xp, batch.phases), ours, serially)
    for mine, other in zip(ours, theirs, strict=True):
        assert np.abs(other).max() > 0
        np.testing.assert_allclose(to_host(mine), other, **TOLERANCE[dtype])


def table(xp, dtype):
    made = rotation_table(PLANE, N_PX, np.arange(0, 180, 18.0), np.dtype(dtype))
    return RotationTable(xp.asarray(made.index), xp.asarray(made.fraction), xp.asarray(made.sign))


def test_rotating_references(twin, dtype, rng):
    spectra = rng.normal(size=(N_K, N_CELLS)) + 1j * rng.normal(size=(N_K, N_CELLS))
    spectra = spectra.astype(np.result_type(dtype, np.complex64))
    theirs = loops.rotate(spectra, table(np, dtype), serially)
    ours = twin.kernels.rotate(twin.xp.asarray(spectra), table(twin.xp, dtype), serially)
    tolerance = dict(rtol=1e-12) if dtype == "float64" else dict(rtol=1e-5, atol=1e-6)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == dtype
        np.testing.assert_allclose(to_host(mine), other, **tolerance)


def test_rotating_sums_back(twin, dtype, rng):
    parts = rng.normal(size=(3, N_K, 2 * N_H, N_PX))
    parts[:, 1, 3] = 0  # an angle that no image was put at
    theirs = loops.rotate_back(tuple(parts), table(np, dtype), N_CELLS, serially)
    ours = twin.kernels.rotate_back(on(twin.xp, list(parts)), table(twin.xp, dtype), N_CELLS, serially)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(to_host(mine), other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("halves", [1, 2])
def test_subtracting_models(twin, dtype, rng, halves):
    """Each half-set's classes have the same references; an angle without an image stays as it is."""
    parts = rng.normal(size=(3, halves * N_K, 2 * N_H, N_PX))
    parts[2, 0, 3] = 0
    refs = on(np, list(rng.normal(size=(2, N_K, 2 * N_H, N_PX)).astype(dtype)))
    theirs, ours = on(np, list(parts.copy())), on(twin.xp, list(parts.copy()))
    loops.subtract_models(theirs, refs, serially)
    twin.kernels.subtract_models(ours, on(twin.xp, refs), serially)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(to_host(mine), other, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(theirs[2], parts[2])
    np.testing.assert_array_equal(theirs[0][0, 3], parts[0, 0, 3])
    for half in range(halves):
        k = half * N_K + 1
        np.testing.assert_allclose(theirs[1][k], parts[1, k] - parts[2, k] * refs[1][1], rtol=1e-12, atol=1e-12)
