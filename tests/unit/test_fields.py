"""Simulated micrographs: the truth of each pick, as it is seen in the pixels, and the files they are written to."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from winnow2d.demo_options import DemoMicrographsOptions
from winnow2d.extraction.job import Sources, extract_particles
from winnow2d.extraction.settings import Settings
from winnow2d.formats import simulated_micrographs as files
from winnow2d.formats.micrograph_image import read_micrograph
from winnow2d.formats.star import read_star
from winnow2d.numerics.windows import Windowing
from winnow2d.simulation.fields import FieldSimulation

SMALL = DemoMicrographsOptions(
    micrographs=3, particles=45, width=500, height=300, pixel_size=7.08, diameter=170, shift=2, snr=2.0, seed=4
)


@pytest.fixture(scope="module")
def simulation():
    return FieldSimulation(SMALL)


@pytest.fixture(scope="module")
def fields(simulation):
    return list(simulation.fields())


def test_every_pick_has_its_truth_and_some_are_false(fields):
    kinds = [kind for field in fields for kind in field.kinds]
    assert len(kinds) == 45
    assert kinds.count("good") == round(45 * 0.7)
    for field in fields:
        n = len(field.kinds)
        assert field.coordinates_px.shape == field.shift_px.shape == (n, 2)
        assert field.euler_deg.shape == (n, 3)
        assert (field.coordinates_px >= 0).all()
        assert (field.coordinates_px < [500, 300]).all()


def test_pixels_are_counts_of_dark_particles(fields):
    for field in fields:
        assert field.pixels.shape == (300, 500)
        assert field.pixels.dtype == np.float32
        assert 850 < field.pixels.mean() < 950


def test_a_seed_gives_the_same_and_another_one_other_micrographs(fields):
    again = next(FieldSimulation(SMALL).fields())
    assert np.array_equal(again.pixels, fields[0].pixels)
    other = next(FieldSimulation(dataclasses.replace(SMALL, seed=5)).fields())
    assert not np.array_equal(other.pixels, fields[0].pixels)


def test_a_particle_lies_where_the_truth_says(simulation):
    """The mean of good particles, centred by the truth, correlates better with what they are than off the centre."""
    radius = SMALL.diameter / SMALL.pixel_size / 2
    scores = {(0, 0): [], (10, 0): [], (0, -10): []}
    y, x = np.mgrid[-20:21, -20:21]
    disc = (x**2 + y**2 < radius**2).astype(float)
    disc -= disc.mean()
    for field in simulation.fields():
        for kind, centre in zip(field.kinds, field.coordinates_px + field.shift_px, strict=True):
            left, top = np.round(centre).astype(int) - 20
            if kind != "good" or left < 10 or top < 10 or left + 51 > 500 or top + 51 > 300:
                continue
            for away in scores:
                window = field.pixels[top + away[1] : top + away[1] + 41, left + away[0] : left + away[0] + 41]
                scores[away].append(-(disc * window).sum() / disc.size)
    mean = {away: np.mean(values) for away, values in scores.items()}
    assert len(scores[0, 0]) > 10
    assert mean[0, 0] > 0.5
    assert mean[0, 0] > 2 * max(mean[10, 0], mean[0, -10])


def test_what_is_written_is_what_an_extraction_starts_from(simulation, fields, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for field in fields:
        files.write_field(field, "Micrographs", SMALL.pixel_size)
    names = [files.micrograph_name(field, "Micrographs") for field in fields]
    files.write_tables(simulation.ctfs, SMALL.pixel_size, names, "Micrographs/m.star", "Micrographs/c.star")
    assert np.array_equal(read_micrograph(names[1]), fields[1].pixels)
    settings = Settings(Windowing(48, 48, True, 18, do_invert=True))
    sources = Sources("Micrographs/m.star", "Micrographs/c.star")
    table = extract_particles(sources, settings, tmp_path, "Extract/job001", 2, lambda *told: None)
    truth = pd.concat([files.truth_of(field, "Micrographs", SMALL.pixel_size) for field in fields])
    key = ["rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY"]
    assert table.particles[key].to_numpy().tolist() == truth[key].to_numpy().tolist()
    assert float(table.optics["rlnImagePixelSize"].iloc[0]) == SMALL.pixel_size
    assert len(read_star("Extract/job001/particles.star")["particles"]) == 45
