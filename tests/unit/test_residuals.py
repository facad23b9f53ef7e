"""Residuals of a class on its padded grid: the compiled way against the one for arrays anywhere."""

from types import SimpleNamespace

import numpy as np
import pytest

from winnow2d.engine import gradient_step
from winnow2d.engine.gradient_step import residuals_of_classes
from winnow2d.numerics.grids import half_plane
from winnow2d.numerics.projector import grid_shells
from winnow2d.numerics.rotation import padded_shape, rotation_table

BOX, N_K, ANGLES = 14, 3, np.arange(0, 180, 25.0)
WITHIN = grid_shells(BOX)[0].reshape(padded_shape(BOX))


def drawn_part(rng, size_px, dtype=np.float32):
    """Return sums and projections of one geometry; some angles of some classes got nothing."""
    plane = half_plane(BOX)
    n_px = plane.n_within(size_px / 2)
    table = rotation_table(plane, n_px, ANGLES, np.dtype(dtype))
    data_re, data_im = rng.normal(size=(2, 2 * N_K, len(ANGLES), n_px))
    weight = rng.uniform(0, 3, data_re.shape) * (rng.random((2 * N_K, len(ANGLES), 1)) < 0.6)
    seen = weight.any(axis=-1, keepdims=True)
    sums = SimpleNamespace(data_re=data_re * seen, data_im=data_im * seen, weight=weight)
    fine_re, fine_im = rng.normal(size=(2, N_K, len(ANGLES), n_px)).astype(dtype)
    return sums, SimpleNamespace(fine_table=table, fine_re=fine_re, fine_im=fine_im)


@pytest.mark.parametrize("size_px", [8, BOX])
@pytest.mark.parametrize("n_parts", [1, 2])
def test_both_ways_give_the_same_residuals(rng, size_px, n_parts):
    parts = [drawn_part(rng, size_px) for _ in range(n_parts)]
    compiled = residuals_of_classes(parts, BOX, size_px, 1)
    found = [tuple(part.copy() for part in compiled(k)) for k in (2, 0, 1)]  # one after another in one workspace
    data, weight = (part.reshape(2, N_K, *padded_shape(BOX)) for part in gradient_step._residual_sums(parts, BOX, 1))
    inside = np.broadcast_to(size_px**2 >= WITHIN, (2, *WITHIN.shape))
    for k, (own_data, own_weight) in zip((2, 0, 1), found, strict=True):
        np.testing.assert_allclose(own_data[inside], data[:, k][inside], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(own_weight[inside], weight[:, k][inside], rtol=1e-9, atol=1e-12)
    assert weight.any()
