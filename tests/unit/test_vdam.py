"""VDAM's step, formula by formula, on moments and references that are drawn."""

from dataclasses import replace

import numpy as np
import pytest

from synthetic import shape_image
from winnow2d.engine import vdam
from winnow2d.engine.gradient_step import Step, _centre, _relocate, first_moments
from winnow2d.engine.maximisation import moved
from winnow2d.engine.vdam_schedule import phases
from winnow2d.numerics import fourier
from winnow2d.numerics.kernels import gradient
from winnow2d.numerics.masks import positive_centre_of_mass
from winnow2d.numerics.projector import grid_shells, padded_spectra, signal_to_noise
from winnow2d.numerics.rotation import padded_shape

BOX, RADIUS = 16, 6
WIDE = padded_shape(BOX)  # of spectra and sums
SHAPE = (WIDE[0], WIDE[1] - 1)  # of moments
SQUARED, SHELL = (part.reshape(WIDE) for part in grid_shells(BOX)[:2])
REACH = 2 * RADIUS
INSIDE = SQUARED[:, :-1] < REACH**2
STEP = Step(
    number=50, phases=phases(100), size=0.5, tau2_fudge=2.0, image_size_px=2 * RADIUS, centre_limit_px=5.0,
    least_move_px=2.0, copies_half=False,
)  # fmt: skip


def draw(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def drawn_moments(rng, *classes):
    """Return first and second moments as records keep them."""
    first, second = draw(rng, 2, *classes, *SHAPE), rng.uniform(0.5, 2, (*classes, *SHAPE))
    return first.astype(np.complex64), second.astype(np.float32)


# Gradients and moments


def gradients(rng):
    """Return residuals and weights of both halves, and data over weight where that is more than one."""
    data, weight = draw(rng, 2, *WIDE), rng.uniform(0, 3, (2, *WIDE))
    assert (weight > 1).any()
    assert (weight < 1).any()
    return data, weight, np.where(weight > 1, data / weight, data)[:, :, :-1]


def after(data, weight, first, second):
    """Return the moments after a step; nothing that is given is changed."""
    first, second = first.copy(), second.copy()
    vdam.move_moments(data, weight, first, second, BOX, RADIUS)
    return first, second


def test_moments_keep_nine_tenths_and_all_but_a_thousandth(rng):
    (data, weight, gradient_), (first, second) = gradients(rng), drawn_moments(rng)
    found_first, found_second = after(data, weight, first, second)
    assert found_first.dtype == np.complex64
    assert found_second.dtype == np.float32
    expected = 0.9 * first + 0.1 * gradient_
    np.testing.assert_allclose(found_first[:, INSIDE], expected[:, INSIDE], rtol=1e-5, atol=1e-6)
    difference = np.abs(gradient_[1] - gradient_[0]) ** 2
    mean = np.abs((gradient_[0] + gradient_[1]) / 2) ** 2
    np.testing.assert_allclose(found_second[INSIDE], (0.999 * second + 0.001 * difference / mean)[INSIDE], rtol=1e-5)


def test_moments_beyond_the_radius_stay_what_they_were(rng):
    (data, weight, _), (first, second) = gradients(rng), drawn_moments(rng)
    found_first, found_second = after(data, weight, first, second)
    assert not INSIDE.all()
    np.testing.assert_array_equal(found_first[:, ~INSIDE], first[:, ~INSIDE])
    np.testing.assert_array_equal(found_second[~INSIDE], second[~INSIDE])
    assert (found_first[:, INSIDE] != first[:, INSIDE]).all()
    assert not INSIDE[0, REACH]  # the ring at the radius itself is not reached
    assert INSIDE[0, REACH - 1]


def test_halves_that_agree_leave_no_variance(rng):
    data, weight = np.tile(draw(rng, *WIDE), (2, 1, 1)), np.ones((2, *WIDE))
    _, second = after(data, weight, drawn_moments(rng)[0], np.ones(SHAPE, np.float32))
    np.testing.assert_allclose(second[INSIDE], 0.999)


def test_no_gradient_at_all_leaves_no_nan(rng):
    first, second = drawn_moments(rng)
    found_first, found_second = after(np.zeros((2, *WIDE), complex), np.zeros((2, *WIDE)), first, second)
    np.testing.assert_allclose(found_first[:, INSIDE], 0.9 * first[:, INSIDE], rtol=1e-6)
    np.testing.assert_allclose(found_second[INSIDE], 0.999 * second[INSIDE], rtol=1e-6)


def test_a_half_without_a_moment_takes_its_first_gradient_whole(rng):
    data, weight, gradient_ = gradients(rng)
    for is_new in ((True, True), (True, False), (False, True)):
        first, second = drawn_moments(rng)
        first *= ~np.array(is_new)[:, None, None]
        found, _ = after(data, weight, first, second)
        for half in (0, 1):
            expected = gradient_[half] if is_new[half] else 0.9 * first[half] + 0.1 * gradient_[half]
            np.testing.assert_allclose(found[half][INSIDE], expected[INSIDE], rtol=1e-5, atol=1e-6)


def test_a_new_pixel_of_an_old_moment_gets_a_tenth(rng):
    (data, weight, gradient_), (first, second) = gradients(rng), drawn_moments(rng)
    first[:, 5:] = 0
    found, _ = after(data, weight, first, second)
    new = INSIDE & (np.arange(SHAPE[0]) >= 5)[:, None]
    np.testing.assert_allclose(found[:, new], 0.1 * gradient_[:, new], rtol=1e-5, atol=1e-7)


def test_liveliness_is_the_mean_square_of_the_direction(rng):
    """The mean over a grid with one more column, which is empty."""
    first, second = drawn_moments(rng)
    direction = first.astype(complex).mean(axis=0) / np.sqrt(second.astype(float))
    expected = (np.abs(direction) ** 2).sum() / np.prod(WIDE)
    assert gradient.liveliness((first[0], first[1]), second) == pytest.approx(expected, rel=1e-9)
    assert gradient.liveliness((0 * first[0], 0 * first[1]), second) == 0


# How far a shell follows


def trust(first, spectrum, tau2_fudge=2.0):
    """Return how far each pixel of the grid of moments follows the gradient."""
    halves = (first[0].astype(np.complex64), first[1].astype(np.complex64))
    wide = np.pad(spectrum, [(0, 0), (0, 1)])
    follow = gradient.trust(halves, wide, tau2_fudge, SQUARED, SHELL, REACH, int(SHELL.max()) + 1)
    return follow[SHELL[:, :-1]]


def test_trust_lies_between_nothing_and_one(rng):
    for noise in (1e-5, 1e-3, 1.0, 1e3):
        first = draw(rng, 2, *SHAPE)
        first[1] = first[0] + noise * draw(rng, *SHAPE)
        found = trust(first, draw(rng, *SHAPE))
        assert found.min() >= 0
        assert found.max() <= 1
        assert (found[INSIDE] > 0).all()


def test_trust_is_the_signal_over_the_difference_of_the_halves():
    first = np.zeros((2, *SHAPE), complex)
    first[0], first[1] = 3.0, 1.0j
    found = trust(first, np.full(SHAPE, 5j))
    ratio = 2 * 2.0 * 5 / np.sqrt(10)
    np.testing.assert_allclose(found[INSIDE], ratio / (1 + ratio), rtol=1e-6)


def test_trust_is_one_of_shells(rng):
    """Means over a shell within the radius, not over the corners beyond it; the halves differ in single precision."""
    first, spectrum = draw(rng, 2, *SHAPE).astype(np.complex64), draw(rng, *SHAPE)
    found, here = trust(first, spectrum), SQUARED[:, :-1] <= REACH**2
    for s in range(RADIUS + 1):
        mine = here & (SHELL[:, :-1] == s)
        noise = np.abs(first[0].astype(complex) - first[1])[mine].mean()
        ratio = 4 * np.abs(spectrum)[mine].mean() / noise
        np.testing.assert_allclose(found[mine], ratio / (1 + ratio), rtol=1e-7)
    assert not found[SHELL[:, :-1] > RADIUS].any()


def test_trust_rises_with_t_and_falls_with_noise(rng):
    first, spectrum = draw(rng, 2, *SHAPE), draw(rng, *SHAPE)
    usual = trust(first, spectrum)[INSIDE]
    assert (trust(first, spectrum, 4.0)[INSIDE] > usual).all()
    assert (trust(3 * first, spectrum)[INSIDE] < usual).all()


def test_halves_that_are_the_same_are_not_trusted_at_all(rng):
    """As in the formula: no noise, no ratio. RELION's copied moments are trusted only through their next gradients."""
    first = np.tile(draw(rng, *SHAPE), (2, 1, 1))
    assert not trust(first, draw(rng, *SHAPE)).any()


# Evidence


def test_evidence_is_that_of_the_projector(rng):
    weight, tau2 = rng.uniform(0, 3, WIDE), rng.uniform(0, 0.2, BOX // 2 + 1)
    tau2[3] = 0
    weight[SHELL == 2] = 0  # a shell that was never seen
    found = vdam.evidence(weight, 2.0 * tau2, BOX, RADIUS)
    expected = signal_to_noise(weight.reshape(1, -1), tau2[None], 2.0, BOX, RADIUS)
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, other[0], rtol=1e-12)
        assert not mine[RADIUS + 1 :].any()
    assert found[0][2] == found[1][2] == found[1][3] == 0
    assert 0 < found[2][1:].max() <= 1


# The step


def test_a_class_with_few_particles_goes_slowly():
    assert vdam.class_step_size(0.9, 10, 0.1) == pytest.approx(0.9 * (1 - np.exp(-4)))
    assert vdam.class_step_size(0.9, 10, 0.001) == pytest.approx(0.9 * 0.04, rel=0.03)
    assert vdam.class_step_size(0.9, 10, 0.0) == 0


def spectrum_of(image, radius=RADIUS):
    """Return the padded spectrum of an image on the grid of moments."""
    return padded_spectra(image[None], radius, correct_gridding=False)[0].reshape(WIDE)[:, :-1]


def test_a_step_is_the_one_of_the_formula(rng):
    """Written out with the whole padded transform, phase origin in the centre."""
    image = shape_image(0, BOX)
    signs = fourier.centre_signs(2 * BOX)
    noise = [4 * fourier.forward(fourier.pad(rng.normal(size=(BOX, BOX)), 2 * BOX)) * signs for _ in range(2)]
    first, second = np.stack(noise).astype(np.complex64), np.full(SHAPE, 1.5, np.float32)
    found = vdam.stepped(image, first, second, 0.3, 2.0, RADIUS)
    spectrum = spectrum_of(image)
    follow = trust(first, spectrum)
    expected = spectrum + 0.3 * (follow * first.astype(complex).mean(axis=0) / np.sqrt(1.5) - (1 - follow) * spectrum)
    expected[SQUARED[:, :-1] > REACH**2] = 0
    large = np.fft.irfft2(expected * signs, s=(2 * BOX, 2 * BOX), norm="forward") / 4
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    clear = np.hypot(x, y) < BOX / 2  # the soft mask leaves this alone
    np.testing.assert_allclose(found[clear], large[8:24, 8:24][clear], atol=1e-12)


def test_a_step_follows_its_direction_pixel_by_pixel(rng):
    """Second moments differ from pixel to pixel here; nothing is left beyond the radius or in the empty column."""
    (first, second), spectrum = drawn_moments(rng), draw(rng, *WIDE)
    follow, before = rng.random(int(SHELL.max()) + 1), spectrum.copy()
    gradient.step_spectrum(spectrum, (first[0], first[1]), second, follow, 0.4, SQUARED, SHELL, REACH)
    direction = first.astype(complex).mean(axis=0) / np.sqrt(second.astype(float))
    phi, old = follow[SHELL[:, :-1]], before[:, :-1]
    expected = old + 0.4 * (phi * direction - (1 - phi) * old)
    within = SQUARED[:, :-1] <= REACH**2
    np.testing.assert_allclose(spectrum[:, :-1][within], expected[within], rtol=1e-9)
    assert not spectrum[:, :-1][~within].any()
    assert not spectrum[:, -1].any()


def test_a_step_of_no_length_keeps_the_image_up_to_its_radius():
    image = shape_image(1, BOX)
    first = np.zeros((2, *SHAPE), np.complex64)
    found = vdam.stepped(image, first, np.ones(SHAPE, np.float32), 0.0, 2.0, BOX // 2 - 1)
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    clear = np.hypot(x, y) < BOX / 2
    np.testing.assert_allclose(found[clear], image[clear], atol=0.02 * image.max())
    assert np.corrcoef(found[clear], image[clear])[0, 1] > 0.999


def test_a_step_along_the_gradient_approaches_the_image_the_gradient_points_to():
    """Halves that differ little, so that the gradient is trusted; their mean is target less reference."""
    reference, target = 0.2 * shape_image(0, BOX), shape_image(0, BOX)
    pull, second = spectrum_of(target - reference), np.ones(SHAPE, np.float32)
    first = np.stack([pull * (1 - 1e-6), pull * (1 + 1e-6)]).astype(np.complex64)
    goal = vdam.stepped(target, 0 * first, second, 0.0, 2.0, RADIUS)
    left = [
        np.linalg.norm(vdam.stepped(reference, first, second, length, 2.0, RADIUS) - goal) for length in (0, 0.5, 1)
    ]
    assert left[1] == pytest.approx(left[0] / 2, rel=1e-3)
    assert left[2] < 1e-3 * left[0]


# Moves


def test_a_moved_moment_is_the_spectrum_of_the_moved_image():
    image = np.zeros((BOX, BOX))
    image[6:9, 5:9] = np.arange(12).reshape(3, 4)
    for shift in ([0, 0], [3, 0], [0, -2], [-1, 4]):
        image_there = np.roll(image, shift[::-1], axis=(0, 1))
        before, there = spectrum_of(image, 2 * BOX), spectrum_of(image_there, 2 * BOX)
        found = vdam.shifted_moments(np.stack([before, 2 * before]), np.array(shift), BOX)
        # the last frequency of an even grid has no sign; it lies beyond every radius that is used
        inside = SQUARED[:, :-1] < BOX**2
        np.testing.assert_allclose(found[0][inside], there[inside], atol=1e-12)
        np.testing.assert_allclose(found[1][inside], 2 * there[inside], atol=1e-12)


def off_centre(shift):
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    return np.exp(-((x - shift[0]) ** 2 + (y - shift[1]) ** 2) / 4)


@pytest.mark.parametrize("copies_half", [False, True])
def test_centring_moves_the_moments_of_both_halves(rng, copies_half):
    """RELION's quirk is to keep half 0 twice; without it both are moved, and come half-way to their mean."""
    images = np.stack([off_centre((3, -1)), off_centre((0.5, 0))])
    first, before = drawn_moments(rng, 2)[0], images.copy()
    unmoved = first.copy()
    moves_px = _centre(images, first, replace(STEP, copies_half=copies_half))
    shift = -positive_centre_of_mass(before[0])
    assert shift == pytest.approx([-3, 1], abs=0.01)
    np.testing.assert_array_equal(moves_px, [shift, [0, 0]])
    np.testing.assert_array_equal(images[0], moved(before[0], shift))
    assert np.abs(positive_centre_of_mass(images[0])).max() < 0.01
    expected = vdam.shifted_moments(unmoved[:, 0], shift, BOX)
    assert np.abs(expected - unmoved[:, 0]).max() > 0.5
    mean = expected.mean(axis=0)
    both = expected[[0, 0]] if copies_half else (expected + mean) / 2
    np.testing.assert_allclose(first[:, 0], both, rtol=1e-5, atol=1e-6)
    # the class that stands well enough
    np.testing.assert_array_equal(images[1], before[1])
    np.testing.assert_array_equal(first[:, 1], unmoved[:, 1])


@pytest.mark.parametrize("changes", [{"number": 80}, {"centre_limit_px": 0.0}, {"least_move_px": 4.0}], ids=str)
def test_when_nothing_is_centred(rng, changes):
    images, first = off_centre((3, -1))[None], drawn_moments(rng, 1)[0]
    before = images.copy(), first.copy()
    assert not _centre(images, first, replace(STEP, **changes)).any()
    np.testing.assert_array_equal(images, before[0])
    np.testing.assert_array_equal(first, before[1])


def test_no_reference_is_moved_further_than_the_limit(rng):
    images, first = off_centre((5, 0))[None], drawn_moments(rng, 1)[0]
    start = positive_centre_of_mass(images[0])
    _centre(images, first, replace(STEP, centre_limit_px=2.0))
    assert start - positive_centre_of_mass(images[0]) == pytest.approx([2, 0], abs=0.1)


# Relocation


def classes(rng, pdf_class):
    n = len(pdf_class)
    first, second = drawn_moments(rng, n)
    return rng.normal(size=(n, BOX, BOX)), first, second, np.array(pdf_class)


def test_a_dying_class_becomes_a_copy_of_the_one_that_changes_most(rng, caplog):
    caplog.set_level("INFO")
    images, first, second, pdf_class = classes(rng, [0.4, 0.02, 0.3, 0.28])
    first[:, 2] *= 10  # the liveliest, though not the largest
    before = [array.copy() for array in (images, first, second)]
    assert _relocate(images, first, second, pdf_class, STEP) == 1
    np.testing.assert_array_equal(images[1], before[0][2])
    np.testing.assert_allclose(first[0, 1], 0.9 * before[1][0, 2], rtol=1e-6)
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


def test_moments_before_the_first_iteration():
    moments = first_moments(3, BOX)
    assert moments.first.shape == (2, 3, 32, 17)
    assert moments.first.dtype == np.complex64
    assert moments.second.dtype == np.float32
    assert not moments.first.any()
    assert (moments.second == 1).all()
