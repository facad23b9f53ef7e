"""Images of another box, pixel size or magnification beside the model's grid."""

from dataclasses import replace

import numpy as np
import pytest

from synthetic import one_optics_group
from winnow2d.engine.geometry import geometries_of
from winnow2d.numerics.grids import half_plane
from winnow2d.numerics.kernels import kernels_of
from winnow2d.numerics.projector import padded_spectra
from winnow2d.numerics.rotation import GridView, padded_shape, rotation_table

BOX, RADIUS = 32, 12
PLANE = half_plane(BOX)
N_PX = PLANE.n_within(RADIUS)
MODEL = one_optics_group(BOX)
PSI = np.array([0.0, 17.0, 123.0, 251.0])
DOUBLE = np.dtype(np.float64)


def geometry(**changes):
    return geometries_of([MODEL, replace(MODEL, **changes)], 60.0)[0][-1]


def in_line(function, items):
    for item in items:
        function(item)


def rotated(reference, table):
    re, im = kernels_of(reference).rotate(padded_spectra(reference[None], RADIUS), table, in_line)
    return re[0] + 1j * im[0]


@pytest.fixture
def reference(rng):
    return rng.normal(size=(BOX, BOX))


def test_groups_of_one_geometry_share_it():
    optics = [MODEL, replace(MODEL, voltage_kv=200.0), replace(MODEL, box_px=24), replace(MODEL, box_px=24, name="b")]
    geometries, of_group = geometries_of(optics, 60.0)
    assert of_group.tolist() == [0, 0, 1, 1]
    assert [part.plane.box_px for part in geometries] == [BOX, 24]
    assert [part.mask.shape for part in geometries] == [(BOX, BOX), (24, 24)]


def test_nothing_is_converted_for_the_models_own_geometry(rng):
    own, values = geometry(), rng.normal(size=(2, PLANE.n_shells))
    assert own.is_models_own
    assert own.view(RADIUS) is None
    assert own.spectrum(values) is values
    assert own.in_model_units(chunk := object()) is chunk
    assert own.size_px(24) == 24


def test_windows_reach_as_far_in_angstrom():
    """RELION rounds half the width up, and never beyond the box."""
    small = geometry(box_px=24)
    assert small.extent == 0.75
    assert [small.size_px(size) for size in (16, 18, 32)] == [12, 14, 24]
    fine = geometry(box_px=64, pixel_size_ang=MODEL.pixel_size_ang / 2)
    assert [fine.size_px(size) for size in (16, 32)] == [16, 32]


def test_shells_of_the_model_and_of_the_images():
    small = geometry(box_px=24)  # shell r of the images is shell r / 0.75 of the model, rounded
    by_model = np.arange(17.0)
    assert small.spectrum(by_model)[:7].tolist() == [0, 1, 3, 4, 5, 7, 8]
    np.testing.assert_array_equal(small.summed(np.ones((2, 13)))[:, :9], [[1, 1, 0, 1, 1, 1, 0, 1, 1]] * 2)
    assert small.model_spectrum(np.arange(13.0))[[0, 4, 8, 16]].tolist() == [0, 3, 6, 12]
    large = geometry(box_px=48, pixel_size_ang=MODEL.pixel_size_ang / 2)
    assert large.summed(np.ones(25)).sum() < 25  # finer than the model's Nyquist: dropped
    assert large.model_spectrum(np.arange(25.0)).max() == 12


def test_a_view_of_the_same_pixels_sees_the_same(reference):
    view = GridView(BOX, (1.0, 0.0, 0.0, 1.0), RADIUS, RADIUS)
    plain, seen = rotation_table(PLANE, N_PX, PSI, DOUBLE), rotation_table(PLANE, N_PX, PSI, DOUBLE, view=view)
    np.testing.assert_array_equal(rotated(reference, seen), rotated(reference, plain))


def test_a_magnification_that_turns_is_an_angle(reference):
    angle = np.deg2rad(30)
    matrix = (np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle))
    seen = rotation_table(PLANE, N_PX, PSI, DOUBLE, view=GridView(BOX, matrix, RADIUS, RADIUS))
    plain = rotation_table(PLANE, N_PX, PSI + 30, DOUBLE)
    np.testing.assert_allclose(rotated(reference, seen), rotated(reference, plain), atol=1e-12)


def test_images_of_another_sampling_see_the_same_frequencies(reference):
    """Same length in Angstrom, other box: pixel k of either is the same frequency of the model."""
    other = geometry(box_px=40, pixel_size_ang=MODEL.pixel_size_ang * BOX / 40)
    n_px = other.plane.n_within(RADIUS)
    seen = rotated(reference, rotation_table(other.plane, n_px, PSI, DOUBLE, view=other.view(RADIUS)))
    plain = rotated(reference, rotation_table(PLANE, N_PX, PSI, DOUBLE))
    place = {k: at for at, k in enumerate(zip(PLANE.kx[:N_PX].tolist(), PLANE.ky[:N_PX].tolist(), strict=True))}
    for at, k in enumerate(zip(other.plane.kx[:n_px].tolist(), other.plane.ky[:n_px].tolist(), strict=True)):
        expected = plain[:, place[k]] if k in place else 0
        np.testing.assert_allclose(seen[:, at], expected, atol=1e-12)


def test_a_stretched_image_has_stretched_frequencies():
    """A Gaussian of the model seen through M is a Gaussian of M k."""
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    reference = np.exp(-(x**2 + y**2) / (2 * 3.0**2))
    matrix = (1.1, 0.05, -0.08, 0.9)
    seen = rotated(reference, rotation_table(PLANE, N_PX, PSI, DOUBLE, view=GridView(BOX, matrix, RADIUS, RADIUS)))
    k2 = (1.1 * PLANE.kx + 0.05 * PLANE.ky) ** 2 + (-0.08 * PLANE.kx + 0.9 * PLANE.ky) ** 2
    expected = 2 * np.pi * 9 / BOX**2 * np.exp(-2 * np.pi**2 * 9 * k2 / BOX**2)[:N_PX]
    near = k2[:N_PX] < 6**2
    np.testing.assert_allclose(seen[:, near], np.tile(expected[near], (len(PSI), 1)), rtol=0.05, atol=1e-4)


@pytest.mark.parametrize("matrix", [(1.0, 0.0, 0.0, 1.0), (1.3, 0.2, -0.1, 0.8), (2.0, 0.0, 0.0, 2.0)])
def test_what_is_not_seen_is_neither_read_nor_written(reference, rng, matrix):
    """Beyond the radius a reference reads zero and back-projection leaves nothing, wherever M may take a pixel."""
    view, plane = GridView(BOX, matrix, RADIUS, BOX // 2), half_plane(BOX)
    seen = view.sees(plane.kx, plane.ky, False)
    values = rotated(reference, rotation_table(plane, len(plane.kx), PSI, DOUBLE, view=view))
    assert not values[:, ~seen].any()
    assert values[:, seen].any()
    table = rotation_table(plane, len(plane.kx), PSI, DOUBLE, view=view, is_back=True)
    rows, columns = padded_shape(BOX)
    ones = np.ones((1, len(PSI), len(plane.kx)))
    _, weight = kernels_of(ones).rotate_back((ones, ones, ones), table, rows * columns, in_line)
    back = view.sees(plane.kx, plane.ky, True).sum() * len(PSI)
    assert weight.reshape(rows, columns)[:, :-1].sum() == pytest.approx(back)
