"""Drawn arguments of the kernels, their calls with any module that keeps the contract, and comparisons of results."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from winnow2d.numerics.arrays import to_host
from winnow2d.numerics.fourier import shift_phases
from winnow2d.numerics.grids import half_plane

BOX, N, N_K, N_H, N_T = 16, 7, 3, 5, 4
PLANE = half_plane(BOX)
N_COARSE, N_FINE, N_PX = PLANE.n_within(4), PLANE.n_within(6), PLANE.n_within(7)
FRACTION, LOG_SPAN = 0.999, 25.0
TOLERANCE = {"float64": dict(rtol=1e-7, atol=1e-9), "float32": dict(rtol=2e-3, atol=1e-4)}


@dataclass(frozen=True)
class Chunk:
    """What the E-step's kernels take of a chunk of particles; `shell` is always numpy's."""

    products: tuple[Any, Any]  # (n, t, k, h) each
    norm: Any  # (n, k, h)
    log_prior: Any  # (n, k, t)
    weighted: tuple[Any, Any, Any]  # y_re, y_im, power, (n, p) each
    images: tuple[Any, Any, Any]  # x_re, x_im, ctf, (n, p) each
    scale: Any
    offset_px: Any
    draws: Any
    refs: tuple[Any, Any]  # (k, 2 h, p) each
    phases: tuple[Any, Any]  # (4 t, p) each
    scale_pixels: tuple[Any, Any]
    search: tuple[Any, Any]
    shell: np.ndarray

    @property
    def dtype(self):
        return self.refs[0].dtype


def chunk(dtype, signal, seed=1, n=N, n_h=N_H, n_t=N_T):
    """Return the arguments of a chunk; `signal` says how sharp the posteriors are."""
    rng = np.random.default_rng(seed)

    def draws(*shape):
        return rng.normal(size=shape).astype(dtype)

    refs = draws(2, N_K, 2 * n_h, N_PX)
    weighted = (signal * draws(n, N_PX), signal * draws(n, N_PX), 0.3 * rng.random((n, N_PX)).astype(dtype))
    shifts_px = rng.uniform(-4, 4, (4 * n_t, 2))
    phases = shift_phases(PLANE.kx[:N_PX], PLANE.ky[:N_PX], shifts_px, BOX)
    mask = (rng.random((N_K, N_PX)) < 0.7).astype(dtype)
    n_scale_px = np.array([N_PX - row[::-1].argmax() for row in mask])
    mask[0], n_scale_px[0] = 0, 0
    # coarse products as the dense ones would be, from every other reference and every fourth shift
    rows = (weighted[0][:, :N_COARSE] + 1j * weighted[1][:, :N_COARSE])[:, None] * phases[::4, :N_COARSE]
    products = tuple(
        np.ascontiguousarray(np.einsum("khp,ntp->ntkh", ref[:, ::2, :N_COARSE], part).astype(dtype))
        for ref, part in zip(refs, (rows.real, rows.imag), strict=True)
    )
    power = (refs[:, :, ::2, :N_COARSE] ** 2).sum(axis=0) / 2
    norm = np.ascontiguousarray(np.einsum("khp,np->nkh", power, weighted[2][:, :N_COARSE]).astype(dtype))
    return Chunk(
        products=products,
        norm=norm,
        log_prior=rng.normal(size=(n, N_K, n_t)),
        weighted=weighted,
        images=(draws(n, N_PX), draws(n, N_PX), draws(n, N_PX)),
        scale=rng.uniform(0.8, 1.2, n).astype(dtype),
        offset_px=rng.integers(-3, 4, (n, 2)).astype(np.float64),
        draws=rng.random(n),
        refs=(refs[0], refs[1]),
        phases=(phases.real.astype(dtype), phases.imag.astype(dtype)),
        scale_pixels=(mask, n_scale_px),
        search=(shifts_px, rng.normal(size=(N_K, 2))),
        shell=PLANE.shell[:N_PX],
    )


def on(xp, some):
    """Return arrays, or tuples and chunks of them, on the module's device; shells stay numpy's."""
    if isinstance(some, Chunk):
        moved = {field.name: on(xp, getattr(some, field.name)) for field in fields(some) if field.name != "shell"}
        return replace(some, **moved)
    return tuple(on(xp, part) for part in some) if isinstance(some, (tuple, list)) else xp.asarray(some)


def select(kernels, c, two_fold=True, max_count=0, fraction=FRACTION, log_span=LOG_SPAN):
    """Return the significant coarse poses: ids, where a particle's begin, how many."""
    return kernels.select_coarse(
        c.products, c.norm, c.log_prior, c.weighted[:2], c.scale, two_fold, fraction, max_count, log_span
    )


def score(kernels, c, selected, thin=0.0, fraction=FRACTION):
    """Return poses, values, groups, start, shift and weight."""
    _, n_t, _, n_h = c.products[0].shape
    return kernels.score_fine(
        *selected, (n_h, n_t), c.weighted, c.scale, c.refs, c.phases, c.log_prior, N_FINE, fraction, LOG_SPAN, thin,
        c.draws,
    )  # fmt: skip


def compare(kernels, c, scored):
    """Return residuals, scale sums and moments."""
    return kernels.compare_models(
        *scored[2:], c.images, c.scale, c.offset_px, c.refs, c.phases, c.scale_pixels, c.search, c.shell,
        PLANE.n_shells,
    )  # fmt: skip


def serially(function, classes):
    for k in classes:
        function(k)


def assert_same_selection(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == other.dtype == np.int64
        np.testing.assert_array_equal(to_host(mine), other)


def assert_same_scores(ours, theirs, dtype):
    poses, values, groups, start, shift, weight = ours
    np.testing.assert_array_equal(to_host(poses), theirs[0])
    np.testing.assert_allclose(to_host(values), theirs[1], **TOLERANCE[dtype])
    for mine, other in zip((*groups, start, shift), (*theirs[2], *theirs[3:5]), strict=True):
        np.testing.assert_array_equal(to_host(mine), other)
    assert to_host(weight).dtype == theirs[5].dtype == dtype
    np.testing.assert_allclose(to_host(weight), theirs[5], **TOLERANCE[dtype])


def assert_same_models(ours, theirs, dtype):
    for name, mine, other in zip(("residual", "scale sums", "moments"), ours, theirs, strict=True):
        assert to_host(mine).dtype == other.dtype == np.float64
        scale = np.abs(other).max(initial=0) + 1e-30
        assert to_host(mine).shape == other.shape
        np.testing.assert_allclose(to_host(mine) / scale, other / scale, err_msg=name, **TOLERANCE[dtype])
