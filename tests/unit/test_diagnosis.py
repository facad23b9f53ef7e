"""Laws of the warnings about a run, on averages drawn to show one thing."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import selection_cases as cases
from synthetic import blank_particles
from winnow2d.formats.run_warnings import COLUMNS, read_run_warnings, write_run_warnings
from winnow2d.selection.diagnosis import KINDS, Finding, diagnose
from winnow2d.selection.diagnosis.averages import averages_of
from winnow2d.selection.diagnosis.groups import small_groups
from winnow2d.selection.diagnosis.mask import extents
from winnow2d.selection.diagnosis.regularisation import signal_to_noise

D = cases.DIAMETER_ANG
T = 2.0
SIGNAL = 400.0  # over noise at the first shell


def masked(picture, diameter_ang, box_px):
    """Return a picture as the engine would leave it: with a soft mask."""
    pixel = cases.BOX_ANG / box_px
    radius = np.hypot(*cases.grid(box_px)) / pixel
    fall = np.clip((radius - diameter_ang / 2 / pixel) / 5, 0, 1)
    return picture * (0.5 + 0.5 * np.cos(np.pi * fall))


def run_of(*pictures, diameter_ang=D, box_px=64, t=T, limit=1 / 12):
    """Return an iteration with these averages, whose spectra are those of a converged run with T."""
    x, y = cases.grid(box_px)
    images = np.array([masked(picture(x, y), diameter_ang, box_px) for picture in pictures])
    spectra = ((1.0, 1 / 10),) * len(pictures)
    iteration = cases.make_iteration(box_px, pictures, (50,) * len(pictures), spectra)
    frequency = np.arange(box_px // 2 + 1) / cases.BOX_ANG
    filled = np.pi / 4 * (diameter_ang / cases.BOX_ANG) ** 2
    unshrunk = filled * (1 + SIGNAL * np.exp(-np.log(SIGNAL) * frequency / limit))  # over the noise of the whole box
    power = np.where(frequency * cases.BOX_ANG < 5, unshrunk, fixed_point(unshrunk, t))
    model = dataclasses.replace(
        iteration.model, references=images.astype(np.float32), tau2=np.tile(power, (len(pictures), 1)),
        data_vs_prior=np.tile(t * power, (len(pictures), 1)), tau2_fudge=t,
        resolution_shell=int(max((t * power >= 1).nonzero()[0])),
    )  # fmt: skip
    return dataclasses.replace(iteration, model=model)


def fixed_point(unshrunk, t):
    """Return the power x of an average that its own prior keeps: x = w**2 unshrunk, w = T x / (1 + T x); or 0."""
    root = (t * unshrunk - 2) ** 2 - 4
    return np.where(t * unshrunk >= 4, (t * unshrunk - 2 + np.sqrt(np.maximum(root, 0))) / (2 * t), 0.0)


def wide(x, y):
    return cases.protein(0.5 * x, 0.5 * y)


def narrow(x, y):
    return cases.protein(1.8 * x, 1.8 * y)


def with_neighbours(x, y):
    ring = np.exp(-(((np.hypot(x, y) - 95) / 18) ** 2))
    return cases.protein(1.5 * x, 1.5 * y) + 0.5 * ring


def streaked(x, y):
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    return 0.6 * cases.protein(x, y) + 0.3 * np.clip(radius / 40 - 0.5, 0, 1) * np.cos(24 * angle)


def rings(x, y):
    radius = np.hypot(x, y)
    return 0.6 * cases.protein(x, y) + 0.3 * np.clip(radius / 40 - 0.5, 0, 1) * np.cos(2 * np.pi * radius / 18)


def grainy(x, y):
    """Noise of one colour all over, that was not aligned."""
    noise = np.random.default_rng(5).normal(size=x.shape)
    step = abs(x[0, 1] - x[0, 0])
    k = np.hypot(np.fft.fftfreq(len(x), step)[:, None], np.fft.rfftfreq(len(x), step)[None, :])
    return 0.6 * cases.protein(x, y) + 3 * np.fft.irfft2(np.fft.rfft2(noise) * np.exp(-(((k - 0.05) / 0.02) ** 2)))


def kinds(iteration, diameter_ang=D, **more):
    return [found.kind for found in diagnose(iteration, diameter_ang, **more)]


def test_a_run_with_nothing_wrong_is_not_warned_of():
    assert kinds(run_of(cases.protein, cases.protein)) == []


@pytest.mark.parametrize("box_px", [48, 96, 128])
def test_streaks_are_radial_and_neither_rings_nor_grain(box_px):
    found = {picture: kinds(run_of(picture, picture, box_px=box_px)) for picture in (streaked, rings, grainy)}
    assert found[streaked] == ["streaks"]
    assert "streaks" not in found[rings] + found[grainy]


def test_streaks_lead_to_a_limit_coarser_than_one_that_did_not_help():
    limits = [
        diagnose(run_of(streaked), D, highres_limit_ang=limit)[0].numbers["suggested_highres_limit"]
        for limit in (-1.0, 60.0)
    ]
    assert cases.BOX_ANG / 20 < limits[0] < 60 < limits[1]


@pytest.mark.parametrize("t", [1.0, 2.0, 4.0])
def test_usual_t_is_right(t):
    assert kinds(run_of(cases.protein, t=t)) == []


def test_t_too_high_and_too_low_are_told_with_the_other_direction():
    (noisy,), (coarse,) = (diagnose(run_of(cases.protein, t=t), D) for t in (40.0, 0.1))
    assert noisy.kind == "noisy_averages"
    assert noisy.numbers["suggested_tau_fudge"] < 40
    assert coarse.kind == "coarse_averages"
    assert coarse.numbers["suggested_tau_fudge"] > 0.1


def test_an_average_that_ends_with_the_box_is_not_too_coarse():
    iteration = run_of(cases.protein, t=0.1)
    ends = dataclasses.replace(iteration.model, image_size_px=2 * iteration.model.resolution_shell)
    assert kinds(dataclasses.replace(iteration, model=ends)) == []


@settings(max_examples=20)
@given(st.floats(2, 60), st.floats(0.3, 0.7))
def test_signal_to_noise_does_not_depend_on_t(t, filled):
    found = []
    unshrunk = filled * (1 + np.array([[90.0, 70.0, 50.0, 40.0, 30.0, 20.0, 15.0, 10.0]]))
    for each in (t, 3 * t):
        power = np.where(np.arange(8) < 5, unshrunk, fixed_point(unshrunk, each))
        model = dataclasses.replace(
            cases.make_iteration().model, tau2=power, data_vs_prior=each * power, sigma2_reference=np.ones((1, 8))
        )
        found.append(signal_to_noise(model, filled))
    np.testing.assert_allclose(found[0], unshrunk / filled - 1, rtol=1e-6)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


@pytest.mark.parametrize("box_px", [48, 64, 128])
def test_the_mask_is_judged_by_what_is_at_its_rim(box_px):
    def told(picture, diameter):
        (found,) = diagnose(run_of(picture, picture, diameter_ang=diameter, box_px=box_px), diameter)
        return found.kind, found.numbers["suggested_particle_diameter"] / diameter

    for picture, diameter, kind in (
        (wide, 110.0, "mask_clips"), (narrow, 200.0, "mask_too_large"), (with_neighbours, 190.0, "neighbours_in_mask"),
    ):  # fmt: skip
        found, ratio = told(picture, diameter)
        assert found == kind
        assert (ratio > 1) == (kind == "mask_clips")


def test_a_clipping_mask_is_enlarged_to_what_averages_show_beyond_it():
    iteration = run_of(wide, diameter_ang=110.0)
    unmasked = wide(*cases.grid(64))[None]
    seen = dataclasses.replace(iteration, model=dataclasses.replace(iteration.model, unmasked_references=unmasked))
    (found,) = diagnose(seen, 110.0)
    assert 170 <= found.numbers["suggested_particle_diameter"] <= 240  # the box


def test_neighbours_lie_all_around_and_one_blob_is_none():
    def with_blob(x, y):
        return cases.protein(1.5 * x, 1.5 * y) + cases.gaussian(x, y, 90, 10, 12)

    assert "neighbours_in_mask" not in kinds(run_of(with_blob, with_blob, diameter_ang=190.0), 190.0)


def test_extent_grows_with_the_particle():
    iteration = run_of(narrow, cases.protein, diameter_ang=200.0)
    small, large = extents(averages_of(iteration, 200.0))
    assert large / small == pytest.approx(1.8, rel=0.25)


def test_junk_says_nothing_about_the_mask_where_classes_are_known_to_be_good():
    iteration = run_of(cases.edge, cases.protein)
    assert kinds(iteration, good_share=np.array([0.0, 0.9])) == []
    (found,) = diagnose(run_of(wide, cases.protein, diameter_ang=110.0), 110.0, np.array([0.9, 0.0]))
    assert found.classes.tolist() == [0]


@pytest.mark.parametrize(
    ("sizes", "warns"),
    [((40,) * 10, False), ((5,) * 10, True), ((15,) * 10, True), ((200,) * 500 + (3,), False), ((7,), False)],
)
def test_groups_are_small_where_a_part_of_the_particles_that_matters_is_in_small_ones(sizes, warns):
    particles = blank_particles(sum(sizes))
    particles.group_index = np.repeat(np.arange(len(sizes)), sizes)
    particles.group_names = [f"mic{m}" for m in range(len(sizes))]
    found = small_groups(particles)
    assert (found is not None) == warns
    if found:
        assert sum(sizes) / found.numbers["suggested_nr_groups"] >= 20
        assert f"the smallest has {min(sizes)}" in found.sentence


@pytest.mark.parametrize("factor", [1e-3, 50.0])
def test_brightness_does_not_matter(factor):
    for picture, diameter in ((streaked, D), (wide, 110.0), (narrow, 200.0)):
        iteration = run_of(picture, diameter_ang=diameter)
        assert kinds(cases.brightened(iteration, factor), diameter) == kinds(iteration, diameter) != []


def test_lost_and_empty_classes_do_not_stop_the_others():
    iteration = run_of(streaked, streaked, streaked)
    iteration.model.references[1] = np.nan
    iteration.model.data_vs_prior[1] = np.nan
    iteration.model.references[2] = 0
    iteration.model.tau2[2] = 0
    (found,) = diagnose(iteration, D)
    assert found.kind == "streaks"
    assert found.classes.tolist() == [0]
    iteration.particles.class_index[:] = -1
    assert kinds(iteration) == []


def test_each_kind_is_listed():
    assert len(set(KINDS)) == len(KINDS) == 7


def test_warnings_are_written_as_a_table_that_a_silent_run_has_too(tmp_path):
    one = Finding("streaks", "A sentence.", {"radial_excess": 0.25, "begin_ang": 20.0}, np.array([0, 4]))
    write_run_warnings(tmp_path / "some.tsv", [one])
    write_run_warnings(tmp_path / "none.tsv", [])
    assert (tmp_path / "none.tsv").read_text() == "\t".join(COLUMNS) + "\n"
    assert read_run_warnings(tmp_path / "some.tsv").to_numpy().tolist() == [
        ["streaks", "A sentence.", "1,5", "radial_excess=0.25,begin_ang=20"]
    ]
    assert len(read_run_warnings(tmp_path / "none.tsv")) == len(read_run_warnings(tmp_path / "missing.tsv")) == 0
