"""Re-extraction and rescaling of stacks against the real relion_preprocess of RELION 3.1.3."""

from __future__ import annotations

import subprocess
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest

from micrograph_sets import FOLDER, OPTICS, extract, make_project, relion_extract, stacks
from relion.test_extract_31 import TOLERANCE, same_cells
from winnow2d.extraction.downsample import Rescaling, downsampled, full_size
from winnow2d.extraction.settings import Recentring
from winnow2d.formats.particles import read_particle_table, write_particle_table
from winnow2d.formats.star import read_star, write_star
from winnow2d.numerics.windows import Windowing

pytestmark = pytest.mark.relion


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Return micrographs and particles.star: refined particles of half the micrographs' sampling, with all angles."""
    folder = make_project(tmp_path_factory.mktemp("reextract"), 3)
    rng, n = np.random.default_rng(3), 40
    optics = {name: value for name, value in OPTICS.items() if name != "rlnMicrographPixelSize"}
    optics |= {"rlnImagePixelSize": 4.0, "rlnImageSize": 32, "rlnImageDimensionality": 2}
    particles = pd.DataFrame(
        {
            "rlnCoordinateX": rng.uniform(20, 380, n),
            "rlnCoordinateY": rng.uniform(20, 280, n),
            "rlnImageName": [f"{row + 1:06d}@Extract/job099/x.mrcs" for row in range(n)],
            "rlnMicrographName": [f"{FOLDER}/m{1 + row % 2}.mrc" for row in range(n)],  # none on the third
            "rlnOpticsGroup": 1,
            "rlnDefocusU": rng.uniform(8000, 20000, n),
            "rlnDefocusV": rng.uniform(8000, 20000, n),
            "rlnDefocusAngle": rng.uniform(0, 180, n),
            "rlnAngleRot": rng.uniform(-180, 180, n),
            "rlnAngleTilt": rng.uniform(0, 180, n),
            "rlnAnglePsi": rng.uniform(-180, 180, n),
            "rlnOriginXAngst": np.append(rng.uniform(-15, 15, n - 4), [-9, 9, 3, -3]),  # halves of a pixel, too
            "rlnOriginYAngst": np.append(rng.uniform(-15, 15, n - 4), [1, -1, 5, 0]),
            "rlnClassNumber": 3,
            "rlnGroupNumber": 1,
        }
    ).round(6)
    write_star(folder / "particles.star", {"optics": pd.DataFrame([optics]), "particles": particles})
    return folder


CASES = {
    "as they are": (Recentring(), ()),
    "reset": (Recentring(do_reset=True), ("--reset_offsets",)),
    "re-centred": (Recentring(do_recenter=True), ("--recenter",)),
    "re-centred on a point": (
        Recentring(do_recenter=True, reference_point_px=(3.0, 1.0, -2.0)),
        ("--recenter", "--recenter_x", 3, "--recenter_y", 1, "--recenter_z", -2),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_coordinates_offsets_and_pixels_are_relions(project, name):
    recentring, arguments = CASES[name]
    size = ("--extract_size", 64, "--norm", "--bg_radius", 24)
    relion = relion_extract(project, *size, *arguments, particles="particles.star")
    extract(project, Windowing(64, 64, True, 24), "particles.star", recentring=recentring)
    ours, theirs = (read_star(project / f"Extract/{job}/particles.star") for job in ("job001", relion.name))
    same_cells(ours["particles"], theirs["particles"], but=("rlnImageName",))
    same_cells(ours["optics"].drop(columns="rlnCtfDataAreCtfPremultiplied"), theirs["optics"])
    here, there = stacks(project, "Extract/job001"), stacks(project, "Extract/job500")
    assert len(here) == 40
    assert np.abs(here - there).max() < TOLERANCE * there.std()


def test_the_list_of_extracted_coordinates_is_written(project):
    extract(project, Windowing(64, 64, True, 24), "particles.star", job="Extract/job002")
    listed = read_star(project / "Extract/job002/extractpick.star")["coordinate_files"]
    assert listed["rlnMicrographName"].tolist() == [f"{FOLDER}/m1.mrc", f"{FOLDER}/m2.mrc"]
    assert all((project / name).is_file() for name in listed["rlnMicrographCoordinates"])


def test_particles_extracted_again_where_they_were_are_the_same_images(project):
    first = extract(project, Windowing(64, 64, True, 24), job="Extract/job003")
    write_particle_table(project / "again.star", first)
    extract(project, Windowing(64, 64, True, 24), "again.star", job="Extract/job004")
    assert np.array_equal(stacks(project, "Extract/job003"), stacks(project, "Extract/job004"))


def test_smaller_images_of_ready_particles_are_relions(project):
    extract(project, Windowing(64, 64, True, 24), job="Extract/job005")
    given = read_particle_table(project / "Extract/job005/particles.star")
    result = downsampled(
        given, Rescaling(np.array([64]), np.array([36])), project, "Extract/job018", 2, lambda *told: None
    )
    stack = f"{project}/all.mrcs"
    with mrcfile.new(stack) as file:
        file.set_data(stacks(project, "Extract/job005"))
    command = ["relion_preprocess", "--operate_on", stack, "--operate_out", f"{project}/out.mrcs", "--scale", "36"]
    subprocess.run([*command, "--norm", "--bg_radius", "13"], cwd=project, check=True, capture_output=True)
    theirs = mrcfile.read(f"{project}/out.mrcs")
    ours = mrcfile.read(project / "Extract/job018/Particles/part_000001.mrcs")
    assert np.abs(ours - theirs).max() < TOLERANCE * theirs.std()
    assert result.optics["rlnImageSize"].tolist() == ["36"]
    assert float(result.optics["rlnImagePixelSize"].iloc[0]) == pytest.approx(2.0 * 64 / 36)
    back = full_size(result, given)
    assert back.particles.equals(given.particles)
    assert back.optics.equals(given.optics)
