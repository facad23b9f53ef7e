"""The 24 numbers and the picture of a class are those RELION 5.0.1's own relion_class_ranker wrote."""

from pathlib import Path

import mrcfile
import numpy as np
import pytest

from winnow2d.formats.star import read_star
from winnow2d.selection import relion_features
from winnow2d.selection.relion_features import NAMES, in_units, on_grid, relion_pictures
from winnow2d.selection.relion_features import relion_features as features_of

RELION5 = Path(__file__).parents[1] / "golden" / "relion5"
DIAMETER_ANG, N_PARTICLES = 190.0, 400
JOBS = [("Class2D/job002/run_it004", "Select/job004"), ("Class2D/job003/run_it006", "Select/job005")]
X, Y = np.mgrid[:48, :48] - 24
DISC = 0.5 - 0.5 * np.tanh((np.hypot(X, Y) - 12) / 2)  # soft enough not to ring


def classified(stem):
    tables = read_star(RELION5 / f"{stem}_model.star")
    classes = tables["model_classes"]
    numbers = [classes[f"rln{name}"].to_numpy(float) for name in ("EstimatedResolution", "AccuracyRotations")]
    numbers.append(classes["rlnAccuracyTranslationsAngst"].to_numpy(float))
    n_particles = classes["rlnClassDistribution"].to_numpy(float) * N_PARTICLES
    averages = mrcfile.read(RELION5 / f"{stem}_classes.mrcs")
    return averages, float(tables["model_general"]["rlnPixelSize"].iloc[0]), n_particles, *numbers


def told(averages, pixel_size_ang=4.72, diameter_ang=190.0, n=100.0, accuracy=(3.0, 2.0)):
    k = len(averages)
    resolution, rotation, offset = (np.full(k, value) for value in (20.0, *accuracy))
    return features_of(averages, pixel_size_ang, diameter_ang, np.full(k, n), resolution, rotation, offset)


@pytest.mark.parametrize(("stem", "select"), JOBS)
def test_relions_numbers(stem, select):
    averages, pixel_size_ang, n_particles, resolution, rotation, offset = classified(stem)
    ours = features_of(averages, pixel_size_ang, DIAMETER_ANG, n_particles, resolution, rotation, offset)
    theirs = np.load(RELION5 / select / "features.npy")
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)  # single precision


@pytest.mark.parametrize(("stem", "select"), JOBS)
def test_relions_pictures(stem, select):
    averages, pixel_size_ang, *_ = classified(stem)
    theirs = np.load(RELION5 / select / "images.npy")
    ours = relion_pictures(averages, pixel_size_ang, DIAMETER_ANG)
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, atol=1e-6 * np.abs(theirs).max())


def test_units_come_back():
    averages, pixel_size_ang, n_particles, resolution, rotation, offset = classified(JOBS[1][0])
    features = features_of(averages, pixel_size_ang, DIAMETER_ANG, n_particles, resolution, rotation, offset)
    units = in_units(features)
    assert tuple(units) == NAMES
    assert len(NAMES) == 24
    np.testing.assert_allclose(units["relative_resolution"], resolution / (48 * pixel_size_ang), rtol=1e-5)
    np.testing.assert_allclose(units["weighted_resolution"], 1 / (resolution**2 * np.log(n_particles)), rtol=1e-3)
    np.testing.assert_allclose(units["accuracy_rotation_deg"], rotation, rtol=1e-5)
    np.testing.assert_array_equal(units["solvent_sum"], features[:, 22].astype(float))


def test_a_disc():
    """A disc of density 1 on nothing: its sums are its area, and it is all protein."""
    units = in_units(told(DISC[None]))
    area = DISC.sum() * (4.72 / 4) ** 2
    assert units["grain_1"][0] == pytest.approx(area, rel=0.1)
    assert units["ring_sd"][0] == pytest.approx(0, abs=0.05)
    assert units["scattered_signal"][0] == pytest.approx(0, abs=1e-6)
    assert units["edge_signal"][0] == pytest.approx(0, abs=1e-6)
    assert units["lowpass_max"][0] == pytest.approx(1, abs=0.2)


def test_density_at_the_rim():
    """A stripe through the whole mask covers part of its rim; a stripe short of it covers none."""
    through = 0.5 - 0.5 * np.tanh((np.abs(X) - 6) / 2)
    short = through * (0.5 - 0.5 * np.tanh((np.abs(Y) - 8) / 2))
    edge = in_units(told(np.stack([through, short]), diameter_ang=187.0))["edge_signal"]
    assert 0.1 < edge[0] < 0.4
    assert edge[1] == pytest.approx(0, abs=1e-6)


def test_classes_alike_are_at_the_mean():
    """The last three numbers compare classes of a job; nothing to compare is 0."""
    alike = told(np.stack([DISC, DISC]))
    np.testing.assert_array_equal(alike[:, 21:], 0)
    differing = told(np.stack([DISC, 2 * DISC]))
    np.testing.assert_allclose(differing[:, [21, 23]], [[-1, -1], [1, 1]], atol=1e-6)


@pytest.mark.parametrize("accuracy", [(999.0, 2.0), (3.0, 999.0)])
def test_accuracies_that_were_not_estimated(accuracy):
    units = in_units(told(DISC[None], accuracy=accuracy))
    assert units["accuracy_rotation_deg"][0] == pytest.approx(5)
    assert units["accuracy_offset_ang"][0] == pytest.approx(8)


def test_nothing_to_see():
    assert np.isfinite(told(np.zeros((2, 48, 48)))).all()


def test_no_class():
    assert told(np.zeros((0, 48, 48))).shape == (0, 24)
    assert relion_pictures(np.zeros((0, 48, 48)), 4.72, 190.0).shape == (0, 64, 64)


def test_a_picture_wider_than_the_box_is_filled_with_zeros():
    picture = relion_pictures(np.ones((1, 48, 48)), 4.72, 400.0)[0]  # 86 px wide
    assert np.abs(picture[:8]).max() < 0.2
    assert picture[24:40, 24:40] == pytest.approx(1, abs=0.1)


def test_the_grid_has_an_even_number_of_pixels():
    assert on_grid(np.zeros((1, 50, 50)), 4.72).shape == (1, 58, 58)  # 59 made even
    with pytest.raises(ValueError, match="fewer than 15 px of 4 A"):
        on_grid(np.zeros((1, 14, 14)), 4.0)


def test_constants_have_their_places():
    """A class of average numbers is all zeros, by the means RELION takes away."""
    zeros = relion_features.in_units(np.zeros((1, 24)))
    assert zeros["grain_6"][0] == pytest.approx(196.059)
    assert zeros["accuracy_offset_ang"][0] == pytest.approx(3.871)
    assert zeros["protein_sum"][0] == 0
