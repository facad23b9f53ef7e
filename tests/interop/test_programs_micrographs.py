"""Back to the micrographs: RELION extracts our particles again, and picks with our averages."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest

from interop import micrographs
from interop.micrographs import FOLDER, MICROGRAPHS, N_MICROGRAPHS, N_PARTICLES, PIXEL_SIZE_ANG, SUFFIX, distances_px
from interop.programs import run
from interop.small_project import CLEAN, EM, EXTRACTION, SELECTED, VDAM
from winnow2d.formats.star import read_star

pytestmark = [pytest.mark.relion, pytest.mark.workflow]


def places_of(table):
    return table[["rlnCoordinateX", "rlnCoordinateY"]].astype(float).to_numpy()


def test_what_was_picked_without_a_particle_is_gone_from_the_clean_set(finished):
    """Without this the tests below would say little."""
    true_px = micrographs.true_places(finished)
    table = read_star(finished / CLEAN / "particles.star")["particles"]
    picked = sum(len(read_star(path)[""]) for path in (finished / FOLDER).rglob(f"*{SUFFIX}"))
    assert picked > N_MICROGRAPHS * N_PARTICLES >= len(table) >= 0.9 * N_MICROGRAPHS * N_PARTICLES
    for name, rows in table.groupby("rlnMicrographName"):
        assert (distances_px(places_of(rows), true_px[name]) < 4).mean() >= 0.95


def test_reextraction_centres_the_clean_particles_by_our_offsets(ours):
    """Smaller and recentred: coordinates come nearer to the true places, and nothing else of a row is lost."""
    source = f"{CLEAN}/particles.star"
    data = ("--i", MICROGRAPHS, "--reextract_data_star", source, "--recenter", "--part_dir", "out/again/")
    options = "--extract --extract_size 40 --scale 20 --norm --bg_radius 8 --invert_contrast".split()
    run(ours, "relion_preprocess", *data, "--part_star", "out/again/particles.star", *options)
    before, tables = read_star(ours / source)["particles"], read_star(ours / "out/again/particles.star")
    after, optics = tables["particles"], tables["optics"]
    assert len(after) == len(before)
    assert float(optics["rlnImagePixelSize"][0]) == pytest.approx(2 * PIXEL_SIZE_ANG)
    assert int(optics["rlnImageSize"][0]) == 20
    assert set(before.columns) <= set(after.columns)
    true_px = micrographs.true_places(ours)
    distance = {"before": [], "after": []}
    for name in true_px:
        old, new = before[before["rlnMicrographName"] == name], after[after["rlnMicrographName"] == name]
        assert new["rlnAnglePsi"].astype(float).tolist() == pytest.approx(old["rlnAnglePsi"].astype(float), abs=1e-4)
        distance["before"] += distances_px(places_of(old), true_px[name]).tolist()
        distance["after"] += distances_px(places_of(new), true_px[name]).tolist()
        with mrcfile.open(ours / f"out/again/{Path(name).with_suffix('.mrcs')}") as stack:
            assert stack.data.shape == (len(new), 20, 20)
    assert np.median(distance["after"]) <= 0.7 * np.median(distance["before"])
    assert np.abs(after["rlnOriginXAngst"].astype(float)).max() <= PIXEL_SIZE_ANG / 2 + 1e-3


def test_reextraction_without_recentring_gives_the_same_images(ours):
    """Same box, same normalisation: pixel for pixel what was extracted first, so no row lost its micrograph."""
    source = f"{SELECTED}/particles.star"
    data = ("--i", MICROGRAPHS, "--reextract_data_star", source, "--part_dir", "out/same/")
    run(ours, "relion_preprocess", *data, "--part_star", "out/same/particles.star", *EXTRACTION)
    before, after = read_star(ours / source)["particles"], read_star(ours / "out/same/particles.star")["particles"]
    assert places_of(after).tolist() == places_of(before).tolist()
    for row in (0, len(before) // 2, len(before) - 1):
        images = []
        for table in (before, after):
            number, path = table["rlnImageName"].iloc[row].split("@")
            images.append(mrcfile.read(ours / path)[int(number) - 1])
        np.testing.assert_allclose(images[1], images[0], atol=1e-5)


@pytest.mark.parametrize(
    ("reference", "has_scores"), [(f"{CLEAN}/class_averages.star", True), (f"{VDAM}classes.mrcs", False)]
)
def test_autopick_finds_the_particles_with_our_averages(ours, reference, has_scores):
    search = "--invert --ctf --ang 15 --lowpass 20 --particle_diameter 200 --threshold 0.1 --min_distance 150".split()
    names = ("--odir", "out/picks/", "--pickname", "autopick", "--angpix", PIXEL_SIZE_ANG)
    run(ours, "relion_autopick", "--i", MICROGRAPHS, *names, "--ref", reference, *search)
    assert ("rlnPredictedClassScore" in (ours / reference).read_bytes().decode(errors="ignore")) == has_scores
    true_px = micrographs.true_places(ours)
    near_px = 50 / PIXEL_SIZE_ANG  # a quarter of the particle; a place drawn at random is so near in one of 16 cases
    of_particles, of_picks = [], []
    for name in micrographs.micrograph_names():
        picks = read_star(ours / f"out/picks/{Path(name).with_suffix('')}_autopick.star")[""]
        assert set(picks["rlnClassNumber"]) <= {"1", "2"}
        found = places_of(picks)
        of_particles += (distances_px(true_px[name], found) <= near_px).tolist()
        of_picks += (distances_px(found, true_px[name]) <= near_px).tolist()
    assert np.mean(of_particles) >= 0.9
    assert np.mean(of_picks) >= 0.9


def test_particle_reposition_draws_our_averages_where_the_particles_are(ours):
    """Classes, angles, offsets and coordinates together: what is drawn looks like the micrograph, noise apart."""
    out = ("--odir", "out/drawn/", "--invert", "--ctf")
    run(ours, "relion_particle_reposition", "--i", MICROGRAPHS, "--opt", f"{EM}optimiser.star", *out)
    drawn = read_star(ours / "out/drawn/micrographs_reposition.star")["micrographs"]["rlnMicrographName"].tolist()
    assert drawn == [f"out/drawn/{name}" for name in micrographs.micrograph_names()]
    for name in micrographs.micrograph_names():
        seen, put = mrcfile.read(ours / name), np.squeeze(mrcfile.read(ours / f"out/drawn/{name}"))
        agreement = np.corrcoef(seen.ravel(), put.ravel())[0, 1]
        assert agreement >= 0.55  # at this noise not even the truth would give more than 0.75
        assert agreement > np.corrcoef(seen.ravel(), put[::-1].ravel())[0, 1] + 0.4
