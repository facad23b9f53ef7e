"""Kernels that keep one contract are the same mathematics: the preparation of images."""

import numpy as np
import pytest

from kernel_problems import BOX, PLANE, on
from winnow2d.numerics.arrays import to_host
from winnow2d.numerics.kernels import loops
from winnow2d.numerics.masks import soft_circle

N = 5
TOLERANCE = {"float64": dict(rtol=1e-12, atol=1e-12), "float32": dict(rtol=2e-5, atol=1e-5)}
precisions = pytest.mark.parametrize("dtype", ["float64", "float32"])


def assert_same(ours, theirs, dtype=None):
    ours, theirs = ((part,) if not isinstance(part, tuple) else part for part in (ours, theirs))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(to_host(mine), other, **TOLERANCE[dtype or "float64"])


@precisions
@pytest.mark.parametrize("outside", ["a mask", "nothing", "everything"])
@pytest.mark.parametrize("box", [BOX, BOX + 1])
def test_centring_images(twin, rng, dtype, outside, box):
    images, factor = rng.normal(3, 1, (N, box, box)).astype(dtype), rng.uniform(0.5, 2, N).astype(dtype)
    shift = np.array([[0, 0], [3, -2], [-4, 5], [box, 0], [1, -box - 3]])
    mask = {
        "a mask": 1 - soft_circle(box, 5.0, 2.0),
        "nothing": np.zeros((box, box)),
        "everything": np.ones((box, box)),
    }
    cut = mask[outside].astype(dtype)
    theirs = loops.centre_images(images, factor, shift, cut)
    assert_same(
        twin.kernels.centre_images(twin.xp.asarray(images), twin.xp.asarray(factor), shift, twin.xp.asarray(cut)),
        theirs,
        dtype,
    )
    assert not theirs[1, 3:].any()
    if outside == "nothing":
        np.testing.assert_array_equal(theirs[0], theirs[1])


def spectra(rng, dtype, *shape):
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.result_type(dtype, np.complex64))


@precisions
def test_gathering_half_planes(twin, rng, dtype):
    transforms = spectra(rng, dtype, N, BOX * (BOX // 2 + 1))
    index, sign = PLANE.flat_index, PLANE.sign.astype(dtype)
    theirs = loops.gather(transforms, index, sign)
    assert theirs.shape == (N, len(index))
    assert theirs.dtype == transforms.dtype
    assert_same(twin.kernels.gather(*on(twin.xp, (transforms, index, sign))), theirs, dtype)


@precisions
def test_power_per_shell(twin, rng, dtype):
    half_planes = spectra(rng, dtype, N, len(PLANE.shell))
    theirs = loops.shell_power(half_planes, PLANE.shell, PLANE.n_shells)
    assert theirs.dtype == np.float64
    assert_same(twin.kernels.shell_power(twin.xp.asarray(half_planes), PLANE.shell, PLANE.n_shells), theirs)


@precisions
@pytest.mark.parametrize("n_px", [len(PLANE.shell), PLANE.n_within(5)])
def test_weighted_images(twin, rng, dtype, n_px):
    """Model and data may be weighted apart: every factor is one of its own here."""
    masked, unmasked = spectra(rng, dtype, N, len(PLANE.shell)), spectra(rng, dtype, N, n_px)
    model, data, power = rng.normal(size=(3, N, len(PLANE.shell))).astype(dtype)
    inverse = rng.uniform(0.5, 2, (N, PLANE.n_shells)).astype(dtype)
    scale = rng.uniform(0.8, 1.2, N).astype(dtype)
    arguments = (masked, unmasked, model, data, power, inverse, scale)
    theirs = loops.weighted_images(*arguments, PLANE.shell, n_px)
    assert all(part.shape == (N, n_px) for part in theirs)
    assert not any(part[:, 0].any() for part in theirs[:3])
    assert all(part[:, 0].all() for part in theirs[3:])
    assert_same(twin.kernels.weighted_images(*on(twin.xp, arguments), PLANE.shell, n_px), theirs, dtype)


@precisions
def test_shifted_rows(twin, rng, dtype):
    n_px, n_t = PLANE.n_within(5), 3
    images, phases = rng.normal(size=(2, N, n_px + 4)).astype(dtype), rng.normal(size=(2, n_t, n_px + 2)).astype(dtype)
    theirs = loops.shifted_rows(*images, *phases, n_px)
    assert theirs[0].shape == (N * n_t, n_px)
    assert_same(twin.kernels.shifted_rows(*on(twin.xp, (*images, *phases)), n_px), theirs, dtype)
