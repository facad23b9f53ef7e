"""VDAM's step, formula by formula, on moments and references that are drawn."""

from dataclasses import replace

import numpy as np
import pytest

from synthetic import shape_image
from winnow2d.engine import vdam
from winnow2d.engine.gradient_step import Step, _centre, _flat, _records, _relocate, first_moments
from winnow2d.engine.maximisation import moved
from winnow2d.engine.vdam_schedule import phases
from winnow2d.numerics import fourier
from winnow2d.numerics.masks import positive_centre_of_mass
from winnow2d.numerics.projector import grid_shells, padded_spectra
from winnow2d.numerics.rotation import padded_shape

BOX, RADIUS = 16, 6
N_PX = np.prod(padded_shape(BOX))
STEP = Step(
    number=50, phases=phases(100), size=0.5, tau2_fudge=2.0, image_size_px=2 * RADIUS, centre_limit_px=5.0,
    least_move_px=2.0, copies_half=False,
)  # fmt: skip


def draw(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def radius_squared():
    return grid_shells(BOX)[0]


# Gradients and moments


def test_gradient_is_data_over_weight_where_that_is_more_than_one(rng):
    data, weight = draw(rng, 2, 3, N_PX), rng.uniform(0, 3, (2, 3, N_PX))
    found = vdam.gradient(data, weight, BOX, RADIUS)
    inside = radius_squared() < (2 * RADIUS) ** 2
    many, few = inside & (weight > 1), inside & (weight <= 1)
    np.testing.assert_allclose(found[many], data[many] / weight[many])
    np.testing.assert_array_equal(found[few], data[few])


def test_gradient_is_zero_beyond_the_radius(rng):
    found = vdam.gradient(draw(rng, N_PX), np.ones(N_PX), BOX, RADIUS)
    beyond = radius_squared() > (2 * RADIUS) ** 2
    assert beyond.any()
    assert not found[beyond].any()
    assert found[radius_squared() < (2 * RADIUS) ** 2].all()


def test_moments_keep_nine_tenths_and_all_but_a_thousandth(rng):
    first, gradients, second = draw(rng, 2, 50), draw(rng, 2, 50), rng.uniform(0.5, 2, 50)
    moved_first, moved_second = vdam.updated(first, second, gradients)
    np.testing.assert_allclose(moved_first, 0.9 * first + 0.1 * gradients)
    difference = np.abs(gradients[1] - gradients[0]) ** 2
    mean = np.abs((gradients[0] + gradients[1]) / 2) ** 2
    np.testing.assert_allclose(moved_second, 0.999 * second + 0.001 * difference / mean)


def test_halves_that_agree_leave_no_variance(rng):
    gradients = np.tile(draw(rng, 50), (2, 1))
    _, second = vdam.updated(draw(rng, 2, 50), np.ones(50), gradients)
    np.testing.assert_allclose(second, 0.999)


def test_a_half_without_a_moment_takes_its_first_gradient_whole(rng):
    gradients = draw(rng, 2, 50)
    for is_new in ((True, True), (True, False), (False, True)):
        first = draw(rng, 2, 50) * ~np.array(is_new)[:, None]
        found, _ = vdam.updated(first, np.ones(50), gradients)
        for half in (0, 1):
            expected = gradients[half] if is_new[half] else 0.9 * first[half] + 0.1 * gradients[half]
            np.testing.assert_allclose(found[half], expected)


def test_a_new_pixel_of_an_old_moment_gets_a_tenth(rng):
    first = draw(rng, 2, 50)
    first[:, 40:] = 0
    gradients = draw(rng, 2, 50)
    found, _ = vdam.updated(first, np.ones(50), gradients)
    np.testing.assert_allclose(found[:, 40:], 0.1 * gradients[:, 40:])


def test_direction_is_the_mean_moment_in_units_of_its_deviation(rng):
    first, second = draw(rng, 2, 50), rng.uniform(0.5, 2, 50)
    np.testing.assert_allclose(vdam.direction(first, second), (first[0] + first[1]) / 2 / np.sqrt(second))
    assert not vdam.direction(0 * first, second).any()


# How far a pixel follows


def test_trust_lies_between_nothing_and_one(rng):
    for noise in (1e-9, 1e-3, 1.0, 1e3):
        first = draw(rng, 2, N_PX)
        first[1] = first[0] + noise * draw(rng, N_PX)
        found = vdam.trust(first, draw(rng, N_PX), 2.0, BOX, RADIUS)
        assert found.min() >= 0
        assert found.max() <= 1


def test_trust_is_the_signal_over_the_difference_of_the_halves():
    first = np.zeros((2, N_PX), complex)
    first[0], first[1] = 3.0, 1.0j
    spectrum = np.full(N_PX, 5j)
    found = vdam.trust(first, spectrum, 2.0, BOX, RADIUS)
    ratio = 2 * 2.0 * 5 / np.sqrt(10)
    np.testing.assert_allclose(found[radius_squared() < (2 * RADIUS) ** 2], ratio / (1 + ratio))


def test_trust_rises_with_t_and_falls_with_noise(rng):
    first, spectrum = draw(rng, 2, N_PX), draw(rng, N_PX)
    inside = radius_squared() < (2 * RADIUS) ** 2
    usual = vdam.trust(first, spectrum, 2.0, BOX, RADIUS)[inside]
    assert (vdam.trust(first, spectrum, 4.0, BOX, RADIUS)[inside] > usual).all()
    assert (vdam.trust(3 * first, spectrum, 2.0, BOX, RADIUS)[inside] < usual).all()


def test_halves_that_are_the_same_are_not_trusted_at_all(rng):
    """As in the formula: no noise, no ratio. RELION's copied moments are trusted only through their next gradients."""
    first = np.tile(draw(rng, N_PX), (2, 1))
    assert not vdam.trust(first, draw(rng, N_PX), 2.0, BOX, RADIUS).any()


# The step


def test_a_class_with_few_particles_goes_slowly():
    assert vdam.class_step_size(0.9, 10, 0.1) == pytest.approx(0.9 * (1 - np.exp(-4)))
    assert vdam.class_step_size(0.9, 10, 0.001) == pytest.approx(0.9 * 0.04, rel=0.03)
    assert vdam.class_step_size(0.9, 10, 0.0) == 0


def test_a_step_is_the_one_of_the_formula(rng):
    """Written out with the whole padded transform, phase origin in the centre."""
    image = shape_image(0, BOX)
    signs = fourier.centre_signs(2 * BOX)
    noise = [4 * fourier.forward(fourier.pad(rng.normal(size=(BOX, BOX)), 2 * BOX)) * signs for _ in range(2)]
    first = np.pad(np.stack(noise), [(0, 0), (0, 0), (0, 1)]).reshape(2, -1)
    second = np.full(N_PX, 1.5)
    found = vdam.stepped(image, first, second, 0.3, 2.0, RADIUS)
    spectrum = padded_spectra(image[None], RADIUS, correct_gridding=False)[0]
    follow = vdam.trust(first, spectrum, 2.0, BOX, RADIUS)
    expected = spectrum + 0.3 * (follow * first.mean(axis=0) / np.sqrt(1.5) - (1 - follow) * spectrum)
    expected[radius_squared() > (2 * RADIUS) ** 2] = 0
    half = expected.reshape(padded_shape(BOX))[:, :-1] * signs
    large = np.fft.irfft2(half, s=(2 * BOX, 2 * BOX), norm="forward") / 4
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    clear = np.hypot(x, y) < BOX / 2  # the soft mask leaves this alone
    np.testing.assert_allclose(found[clear], large[8:24, 8:24][clear], atol=1e-12)


def test_a_step_of_no_length_keeps_the_image_up_to_its_radius():
    image = shape_image(1, BOX)
    first = np.zeros((2, N_PX), complex)
    found = vdam.stepped(image, first, np.ones(N_PX), 0.0, 2.0, BOX // 2 - 1)
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    clear = np.hypot(x, y) < BOX / 2
    np.testing.assert_allclose(found[clear], image[clear], atol=0.02 * image.max())
    assert np.corrcoef(found[clear], image[clear])[0, 1] > 0.999


def test_a_step_along_the_gradient_approaches_the_image_the_gradient_points_to():
    """Halves that differ little, so that the gradient is trusted; their mean is target less reference."""
    reference, target = 0.2 * shape_image(0, BOX), shape_image(0, BOX)
    pull = padded_spectra((target - reference)[None], RADIUS, correct_gridding=False)[0]
    first = np.stack([pull * (1 - 1e-6), pull * (1 + 1e-6)])
    goal = vdam.stepped(target, 0 * first, np.ones(N_PX), 0.0, 2.0, RADIUS)
    left = [
        np.linalg.norm(vdam.stepped(reference, first, np.ones(N_PX), length, 2.0, RADIUS) - goal)
        for length in (0, 0.5, 1)
    ]
    assert left[1] == pytest.approx(left[0] / 2, rel=1e-3)
    assert left[2] < 1e-3 * left[0]


# Moves


def test_a_moved_moment_is_the_spectrum_of_the_moved_image():
    image = np.zeros((BOX, BOX))
    image[6:9, 5:9] = np.arange(12).reshape(3, 4)
    for shift in ([0, 0], [3, 0], [0, -2], [-1, 4]):
        image_there = np.roll(image, shift[::-1], axis=(0, 1))
        before, after = padded_spectra(np.stack([image, image_there]), 2 * BOX, correct_gridding=False)
        found = vdam.shifted_moments(np.stack([before, 2 * before]), np.array(shift), BOX)
        # the last frequency of an even grid has no sign; it lies beyond every radius that is used
        inside = radius_squared() < BOX**2
        np.testing.assert_allclose(found[0][inside], after[inside], atol=1e-12)
        np.testing.assert_allclose(found[1][inside], 2 * after[inside], atol=1e-12)


def off_centre(shift):
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    return np.exp(-((x - shift[0]) ** 2 + (y - shift[1]) ** 2) / 4)


@pytest.mark.parametrize("copies_half", [False, True])
def test_centring_moves_the_moments_of_both_halves(rng, copies_half):
    """RELION's quirk is to keep the half 0 twice; without it the other half is moved as well."""
    images = np.stack([off_centre((3, -1)), off_centre((0.5, 0))])
    first, before = draw(rng, 2, 2, N_PX), images.copy()
    unmoved = first.copy()
    _centre(images, first, replace(STEP, copies_half=copies_half))
    shift = -positive_centre_of_mass(before[0])
    assert shift == pytest.approx([-3, 1], abs=0.01)
    np.testing.assert_array_equal(images[0], moved(before[0], shift))
    assert np.abs(positive_centre_of_mass(images[0])).max() < 0.01
    expected = vdam.shifted_moments(unmoved[:, 0], shift, BOX)
    assert np.abs(expected - unmoved[:, 0]).max() > 0.5
    np.testing.assert_array_equal(first[0, 0], expected[0])
    np.testing.assert_array_equal(first[1, 0], expected[0 if copies_half else 1])
    # the class that stands well enough
    np.testing.assert_array_equal(images[1], before[1])
    np.testing.assert_array_equal(first[:, 1], unmoved[:, 1])


@pytest.mark.parametrize("changes", [{"number": 80}, {"centre_limit_px": 0.0}, {"least_move_px": 4.0}], ids=str)
def test_when_nothing_is_centred(rng, changes):
    images, first = off_centre((3, -1))[None], draw(rng, 2, 1, N_PX)
    before = images.copy(), first.copy()
    _centre(images, first, replace(STEP, **changes))
    np.testing.assert_array_equal(images, before[0])
    np.testing.assert_array_equal(first, before[1])


def test_no_reference_is_moved_further_than_the_limit(rng):
    images, first = off_centre((5, 0))[None], draw(rng, 2, 1, N_PX)
    start = positive_centre_of_mass(images[0])
    _centre(images, first, replace(STEP, centre_limit_px=2.0))
    assert start - positive_centre_of_mass(images[0]) == pytest.approx([2, 0], abs=0.1)


# Relocation


def classes(rng, pdf_class):
    n = len(pdf_class)
    first, second = draw(rng, 2, n, N_PX), rng.uniform(0.5, 2, (n, N_PX))
    return rng.normal(size=(n, BOX, BOX)), first, second, np.array(pdf_class)


def test_a_dying_class_becomes_a_copy_of_the_one_that_changes_most(rng, caplog):
    caplog.set_level("INFO")
    images, first, second, pdf_class = classes(rng, [0.4, 0.02, 0.3, 0.28])
    first[:, 2] *= 10  # the liveliest, though not the largest
    before = [array.copy() for array in (images, first, second)]
    assert _relocate(images, first, second, pdf_class, STEP) == 1
    np.testing.assert_array_equal(images[1], before[0][2])
    np.testing.assert_allclose(first[0, 1], 0.9 * before[1][0, 2])
    np.testing.assert_array_equal(first[1, 1], before[1][1, 2])
    np.testing.assert_array_equal(second[1], before[2][2])
    np.testing.assert_allclose(pdf_class, [0.4, 0.3, 0.3, 0.28])
    for k in (0, 2, 3):
        np.testing.assert_array_equal(images[k], before[0][k])
        np.testing.assert_array_equal(first[:, k], before[1][:, k])
        np.testing.assert_array_equal(second[k], before[2][k])
    assert "Class 2" in caplog.text
    assert "class 3" in caplog.text


@pytest.mark.parametrize(
    ("pdf_class", "number", "is_relocated"),
    [
        ([0.5, 0.02, 0.48], 50, True),
        ([0.5, 0.04, 0.46], 50, False),  # a tenth of a third is 0.033
        ([0.52, 0.0, 0.48], 50, True),  # of two that live: 0.05
        ([0.5, 0.02, 0.48], 30, False),  # the middle phase is from 31 to 79
        ([0.5, 0.02, 0.48], 31, True),
        ([0.5, 0.02, 0.48], 79, True),
        ([0.5, 0.02, 0.48], 80, False),
    ],
)
def test_when_a_class_is_relocated(rng, pdf_class, number, is_relocated):
    arrays = classes(rng, pdf_class)
    before = [array.copy() for array in arrays]
    found = _relocate(*arrays, replace(STEP, number=number))
    assert found == (1 if is_relocated else None)
    if not is_relocated:
        for after, array in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(after, array)


# Between the grids of files and of numerics


def test_moments_before_the_first_iteration():
    moments = first_moments(3, BOX)
    assert moments.first.shape == (2, 3, 32, 17)
    assert not moments.first.any()
    assert (moments.second == 1).all()


def test_the_column_that_only_numerics_have_is_lost_again(rng):
    moments = first_moments(3, BOX)
    moments.first[:] = draw(rng, 2, 3, 32, 17)
    moments.second[:] = rng.uniform(0.5, 2, (3, 32, 17))
    first, second = _flat(moments)
    assert first.shape == (2, 3, N_PX)
    assert second.shape == (3, N_PX)
    back = _records(first, second, BOX)
    np.testing.assert_array_equal(back.first, moments.first)
    np.testing.assert_array_equal(back.second, moments.second)
    assert back.first.dtype == np.complex64
    assert back.second.dtype == np.float32
