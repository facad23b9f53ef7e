"""Shells: RELION's rounding, sums over rings, and the resolution they tell."""

from pathlib import Path

import numpy as np
import pytest

from winnow2d.formats.refinement import read_class_table, read_iteration
from winnow2d.numerics.shells import (
    estimated_resolution_ang,
    resolution_shell,
    round_half_away,
    shell_means,
    shell_sums,
)

JOB = Path(__file__).parents[1] / "golden" / "relion5" / "Class2D" / "job002"


def test_halves_are_rounded_away_from_zero():
    rounded = round_half_away([0.5, 1.5, 2.5, -0.5, -1.5, 0.49, -0.49, 2.0])
    np.testing.assert_array_equal(rounded, [1, 2, 3, -1, -2, 0, 0, 2])
    assert isinstance(round_half_away(2.5), int)
    assert round_half_away(2.5) == 3


def test_sums_and_means_of_rings(rng):
    values = rng.normal(size=(2, 3, 40)).astype(np.float32)
    shell = rng.integers(-1, 8, 40)
    sums = shell_sums(values, shell, 6)
    means = shell_means(values, shell, 9)
    for r in range(6):
        np.testing.assert_allclose(sums[..., r], values[..., shell == r].sum(axis=-1, dtype=float), rtol=1e-6)
    assert sums.dtype == np.float64
    assert sums.shape == (2, 3, 6)
    np.testing.assert_allclose(means[..., 2], values[..., shell == 2].mean(axis=-1, dtype=float), rtol=1e-6)
    assert not means[..., 8].any()  # an empty shell


@pytest.mark.parametrize(
    ("data_vs_prior", "from_zero", "from_one"),
    [
        ([9, 9, 5, 0.9, 7, 0], 2, 2),  # the first drop counts, not a later rise
        ([0.5, 9, 5, 0.9, 0, 0], 0, 2),  # the origin counts only for the resolution of a class
        ([9, 0.9, 9, 9, 9, 9], 0, 0),
        ([9, 9, 9, 9, 9, 1], 5, 5),  # 1 itself is not below
    ],
)
def test_resolution_is_the_last_shell_before_the_prior_wins(data_vs_prior, from_zero, from_one):
    spectrum = np.array([data_vs_prior], dtype=float)
    assert resolution_shell(spectrum, first=0)[0] == from_zero
    assert resolution_shell(spectrum, first=1)[0] == from_one


def test_estimated_resolution_stays_finite():
    nothing = np.zeros((1, 13))
    assert estimated_resolution_ang(nothing, 24, 4.0)[0] == 96.0


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_estimated_resolution_is_relions(number):
    model = read_iteration(JOB / f"run_it{number:03d}_optimiser.star").model
    told = read_class_table(JOB / f"run_it{number:03d}_model.star")["rlnEstimatedResolution"].astype(float)
    ours = estimated_resolution_ang(model.data_vs_prior, model.box_px, model.pixel_size_ang)
    np.testing.assert_allclose(ours, told, rtol=1e-6)
