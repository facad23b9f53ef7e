"""Compiled loops and plain array operations are the same mathematics; the plain ones on a GPU too."""

from types import SimpleNamespace

import numpy as np
import pytest

from winnow2d.numerics import arrays
from winnow2d.numerics.arrays import to_host
from winnow2d.numerics.fourier import shift_phases
from winnow2d.numerics.grids import half_plane
from winnow2d.numerics.kernels import in_order, loops, plain
from winnow2d.numerics.rotation import RotationTable, padded_shape, rotation_table

BOX, N, N_K, N_H, N_T = 16, 7, 3, 5, 4
PLANE = half_plane(BOX)
N_COARSE, N_FINE, N_PX = PLANE.n_within(4), PLANE.n_within(6), PLANE.n_within(7)
TOLERANCE = {"float64": dict(rtol=1e-9, atol=1e-10), "float32": dict(rtol=2e-3, atol=1e-4)}


def serially(function, classes):
    for k in classes:
        function(k)


def chunk(dtype, signal, seed=1):
    """Return the arguments of weigh_chunk up to the rule; `signal` says how sharp the posteriors are."""
    rng, n_f = np.random.default_rng(seed), 2 * N_H

    def draws(*shape):
        return rng.normal(size=shape).astype(dtype)

    images = [signal * draws(N, N_PX), signal * draws(N, N_PX), 0.3 * rng.random((N, N_PX)).astype(dtype)]
    images += [draws(N, N_PX), draws(N, N_PX), draws(N, N_PX)]
    images += [rng.uniform(0.8, 1.2, N).astype(dtype), rng.integers(-3, 4, (N, 2)).astype(np.float64)]
    refs = draws(2, N_K, n_f, N_PX)
    shifts_px = rng.uniform(-4, 4, (4 * N_T, 2))
    phases = shift_phases(PLANE.kx[:N_PX], PLANE.ky[:N_PX], shifts_px, BOX)
    scale_mask = (rng.random((N_K, N_PX)) < 0.7).astype(dtype)
    n_scale_px = np.array([N_PX - mask[::-1].argmax() for mask in scale_mask])
    scale_mask[0], n_scale_px[0] = 0, 0
    grids = [*refs, phases.real.astype(dtype), phases.imag.astype(dtype), PLANE.shell[:N_PX], scale_mask, n_scale_px]
    # coarse products as the dense ones would be, from every other reference and every fourth shift
    turned = phases[::4, :N_COARSE]
    rows = (images[0][:, :N_COARSE] + 1j * images[1][:, :N_COARSE])[:, None] * turned
    s1 = np.einsum("khp,ntp->khnt", refs[0][:, ::2, :N_COARSE], rows.real).astype(dtype)
    s2 = np.einsum("khp,ntp->khnt", refs[1][:, ::2, :N_COARSE], rows.imag).astype(dtype)
    power = (refs[:, :, ::2, :N_COARSE] ** 2).sum(axis=0) / 2
    norm = np.einsum("khp,np->khn", power, images[2][:, :N_COARSE]).astype(dtype)
    log_prior = rng.normal(size=(N, N_K, N_T))
    search = [shifts_px, rng.normal(size=(N_K, 2))]
    return [(s1, s2), norm, log_prior, images, grids, search, (N_FINE, N_PX, PLANE.n_shells)]


def moved(xp, arguments):
    """Return the arguments with their arrays on the module's device; the shells stay on the host."""
    products, norm, log_prior, images, grids, search, sizes = arguments
    there = [part if i == 4 else xp.asarray(part) for i, part in enumerate(grids)]
    images, search = [xp.asarray(part) for part in images], [xp.asarray(part) for part in search]
    products = [xp.asarray(part) for part in products]
    return [products, xp.asarray(norm), xp.asarray(log_prior), images, there, search, sizes]


def compiled(arguments, *rule):
    products, norm, log_prior, images, grids, search, sizes = arguments
    return loops.weigh_chunk(products, norm, log_prior, tuple(images), tuple(grids), tuple(search), sizes, *rule)


def assert_same(ours, theirs, dtype):
    poses, values, residual, scale_sums, class_sums, groups, start, shift, weight = ours
    names = ("values", "residual", "scale_sums", "class_sums")
    for name, mine, other in zip(names, (values, residual, scale_sums, class_sums), theirs[1:5], strict=True):
        scale = np.abs(other).max() + 1e-30
        np.testing.assert_allclose(to_host(mine) / scale, other / scale, err_msg=name, **TOLERANCE[dtype])
    np.testing.assert_array_equal(to_host(poses), theirs[0])
    for mine, other in zip((*groups, start, shift), (*theirs[5], theirs[6], theirs[7]), strict=True):
        np.testing.assert_array_equal(to_host(mine), other)
    assert to_host(weight).dtype == dtype
    np.testing.assert_allclose(to_host(weight), theirs[8], **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("two_fold", [True, False], ids=["two-fold", "every angle"])
@pytest.mark.parametrize("signal", [0.05, 0.5, 4.0], ids=["flat", "middling", "sharp"])
@pytest.mark.parametrize("max_count", [0, 6])
def test_weighing_a_chunk(xp, dtype, two_fold, signal, max_count):
    arguments, rule = chunk(dtype, signal), (two_fold, 0.999, max_count, 25.0)
    theirs = compiled(arguments, *rule)
    assert (theirs[0][:, 4] > 0).all()
    assert theirs[5][3].any() == two_fold
    if max_count:
        assert theirs[0][:, 4].max() <= max_count
    assert_same(plain.weigh_chunk(*moved(xp, arguments), *rule), theirs, dtype)


def test_memory_is_bounded_and_changes_nothing(xp, monkeypatch):
    arguments, rule = chunk("float64", 0.3), (True, 0.999, 0, 25.0)
    theirs = compiled(arguments, *rule)
    monkeypatch.setattr(arrays, "BLOCK_VALUES", 16 * N_K * N_H * N_T * 2)
    assert len(list(arrays.blocks(N, 16 * N_K * N_H * N_T))) == 4
    assert_same(plain.weigh_chunk(*moved(xp, arguments), *rule), theirs, "float64")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_particle_without_a_finite_weight_leaves_nothing(xp, value):
    arguments = chunk("float64", 0.3)
    for part in arguments[0]:
        part[:, :, 2] = value
    for part in arguments[3][:2] + arguments[3][3:5]:
        part[2] = np.nan
    theirs = compiled(arguments, True, 0.999, 0, 25.0)
    assert theirs[0][2].tolist() == [0] * 5
    assert not (theirs[5][0] == 2).any()
    assert_same(plain.weigh_chunk(*moved(xp, arguments), True, 0.999, 0, 25.0), theirs, "float64")


def test_nobody_has_a_finite_weight(xp):
    arguments = chunk("float64", 0.3)
    arguments[2][:] = -np.inf
    theirs = compiled(arguments, True, 0.999, 0, 25.0)
    ours = plain.weigh_chunk(*moved(xp, arguments), True, 0.999, 0, 25.0)
    assert_same(ours, theirs, "float64")
    assert len(ours[8]) == 0


def test_a_class_that_never_is(xp):
    arguments = chunk("float64", 0.05)
    arguments[2][:, 1] = -np.inf
    theirs = compiled(arguments, True, 0.999, 0, 25.0)
    assert set(theirs[5][1]) == {0, 2}
    assert_same(plain.weigh_chunk(*moved(xp, arguments), True, 0.999, 0, 25.0), theirs, "float64")


@pytest.fixture(params=["float64", "float32"])
def batch(request, xp):
    """Return two chunks' groups and images, on the host and on the device."""
    parts = []
    for seed in (1, 2):
        arguments = chunk(request.param, 0.2, seed)
        *_, groups, start, shift, weight = compiled(arguments, True, 0.999, 0, 25.0)
        parts.append(((*groups, start, shift, weight), tuple(arguments[3][:3])))
    nothing = np.zeros(0, np.int64)
    empty = (nothing, nothing, nothing, nothing, np.zeros(1, np.int64), nothing, weight[:0])
    parts.insert(1, (empty, parts[0][1]))
    there = [tuple(tuple(xp.asarray(part) for part in some) for some in pair) for pair in parts]
    phases = tuple(arguments[4][2:4])
    return SimpleNamespace(host=parts, device=there, phases=phases, dtype=request.param)


def test_adding_groups(xp, batch):
    theirs, ours = ([m.zeros((N_K, 2 * N_H, N_PX)) for _ in range(3)] for m in (np, xp))
    loops.add_groups(batch.host, batch.phases, theirs, serially)
    plain.add_groups(batch.device, [xp.asarray(part) for part in batch.phases], ours, serially)
    for mine, other in zip(ours, theirs, strict=True):
        assert np.abs(other).max() > 0
        np.testing.assert_allclose(to_host(mine), other, **TOLERANCE[batch.dtype])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rotation_and_its_adjoint(xp, dtype, rng):
    rows, columns = padded_shape(BOX)
    table = rotation_table(PLANE, N_PX, np.arange(0, 180, 18.0), np.dtype(dtype))
    there = RotationTable(xp.asarray(table.index), xp.asarray(table.fraction), xp.asarray(table.sign))
    spectra = rng.normal(size=(N_K, rows * columns)) + 1j * rng.normal(size=(N_K, rows * columns))
    spectra = spectra.astype(np.result_type(dtype, np.complex64))
    theirs = loops.rotate(spectra, table, serially)
    ours = plain.rotate(xp.asarray(spectra), there, serially)
    tolerance = dict(rtol=1e-12) if dtype == "float64" else dict(rtol=1e-5, atol=1e-6)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == dtype
        np.testing.assert_allclose(to_host(mine), other, **tolerance)
    sums = [rng.normal(size=(N_K, len(table.sign), N_PX)) for _ in range(3)]
    theirs = loops.rotate_back(sums, table, rows * columns, serially)
    ours = plain.rotate_back([xp.asarray(part) for part in sums], there, rows * columns, serially)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(to_host(mine), other, rtol=tolerance["rtol"], atol=tolerance["rtol"])


def test_rounds_name_every_place_once_and_in_order(xp):
    target = xp.asarray(np.array([3, 1, 3, 3, 0, 1]))
    found = [(to_host(targets).tolist(), to_host(sources).tolist()) for targets, sources in in_order.rounds(target)]
    assert found == [([0, 1, 3], [4, 1, 0]), ([1, 3], [5, 2]), ([3], [3])]
    assert list(in_order.rounds(target[:0])) == []
