"""Which particles are duplicates: of a pair the earlier one goes, even for a neighbour that goes itself."""

from __future__ import annotations

import numpy as np
import pytest

from placed_particles import placed
from winnow2d.errors import StarError
from winnow2d.formats.particles import ParticleTable
from winnow2d.formats.positions import micrograph_pixel_sizes, read_positions
from winnow2d.selection.duplicates import later_duplicates


def test_of_a_pair_the_later_one_stays_and_a_chain_keeps_its_end():
    row = np.array([[0.0, 0], [10, 0], [20, 0], [100, 0], [30, 0]])
    assert later_duplicates(row, np.zeros(5, dtype=int), 10).tolist() == [1, 2, 4, -1, -1]


def test_the_distance_itself_counts_and_other_micrographs_do_not():
    place = np.array([[0.0, 0], [3, 4], [3, 4]])
    assert later_duplicates(place, np.array([0, 0, 1]), 5.0).tolist() == [1, -1, -1]
    assert later_duplicates(place, np.array([0, 0, 1]), 4.999).tolist() == [-1, -1, -1]
    assert later_duplicates(place, np.array([0, 1, 0]), 5.0).tolist() == [2, -1, -1]


def test_the_first_later_neighbour_is_named_as_plain_comparison_finds_it(rng):
    place, micrograph = rng.uniform(0, 500, (800, 2)), rng.integers(0, 4, 800)
    apart = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1))
    is_near = np.triu((apart <= 12) & (micrograph[:, None] == micrograph), 1)
    expected = np.where(is_near.any(axis=1), is_near.argmax(axis=1), -1)
    assert 50 < (expected >= 0).sum() < 750
    np.testing.assert_array_equal(later_duplicates(place, micrograph, 12.0), expected)


def test_a_table_without_coordinates_says_what_is_missing():
    table = placed(np.zeros((2, 2)), ["m", "m"])
    table = ParticleTable(table.optics, table.particles.drop(columns=["rlnCoordinateX", "rlnMicrographName"]))
    with pytest.raises(StarError, match=r"a\.star: data_particles has no rlnMicrographName, rlnCoordinateX"):
        read_positions(table, "a.star")


def test_the_micrographs_pixel_is_that_of_each_optics_group():
    optics = {"rlnMicrographOriginalPixelSize": ["0.5", "0.75"]}
    table = placed(np.zeros((3, 2)), ["m"] * 3, groups=[1, 2, 1], optics=optics)
    assert micrograph_pixel_sizes(table, "a.star").tolist() == [0.5, 0.75, 0.5]
    assert micrograph_pixel_sizes(placed(np.zeros((3, 2)), ["m"] * 3), "a.star") is None
