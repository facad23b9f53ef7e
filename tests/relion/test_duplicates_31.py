"""Removal of duplicates beside RELION's own program, on thousands of random particles."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from placed_particles import placed
from winnow2d.formats.particles import read_particle_table, write_particle_table
from winnow2d.formats.positions import micrograph_indices, read_positions
from winnow2d.formats.star import read_star
from winnow2d.selection.duplicates import later_duplicates

pytestmark = pytest.mark.relion
N = 4000


@pytest.mark.parametrize(("seed", "distance", "angpix"), [(1, 60.0, 2.0), (2, 30.0, 2.0), (3, 25.0, 0.5), (4, 10.0, 2)])
def test_the_same_particles_are_removed(project, seed, distance, angpix):
    """Seed 4 lies on a grid of whole pixels with offsets of 0: many pairs at exactly the distance."""
    rng = np.random.default_rng(seed)
    coordinates, offsets = rng.uniform(0, 1500, (N, 2)), rng.normal(0, 15, (N, 2))
    if seed == 4:
        coordinates, offsets = rng.integers(0, 200, (N, 2)).astype(float), np.zeros((N, 2))
    micrographs = [f"mics/m{i}.mrc" for i in rng.integers(0, 5, N)]
    pixels = {"rlnImagePixelSize": ["2.000000", "4.000000"]}
    table = placed(coordinates, micrographs, offsets, groups=rng.integers(1, 3, N), optics=pixels)
    write_particle_table("in.star", table)
    command = ["relion_star_handler", "--i", "in.star", "--remove_duplicates", str(distance), "--o", "out.star"]
    subprocess.run([*command, "--image_angpix", str(angpix)], check=True, capture_output=True)

    there = read_positions(read_particle_table("in.star"), "in.star")
    place = there.coordinate_px - there.offset_ang * (1 / angpix)
    partner = later_duplicates(place, micrograph_indices(there.micrograph_names), distance / angpix)
    assert N / 50 < (partner >= 0).sum() < N * 0.98
    for path, block, is_there in (("out.star", "particles", partner < 0), ("out_removed.star", "", partner >= 0)):
        names = table.particles["rlnImageName"][is_there].tolist()
        assert read_star(path)[block]["rlnImageName"].tolist() == names, path
