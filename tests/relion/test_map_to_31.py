"""The kept set mapped onto what RELION's own program extracted again, in another box and pixel size."""

from __future__ import annotations

import subprocess

import mrcfile
import numpy as np
import pandas as pd
import pytest

from placed_particles import placed
from script_runs import run_map_particles
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table
from winnow2d.formats.star import write_star

pytestmark = pytest.mark.relion
PIXEL = 1.25
OPTICS = {
    "rlnOpticsGroupName": ["group1"], "rlnOpticsGroup": ["1"], "rlnMicrographOriginalPixelSize": [f"{PIXEL}"],
    "rlnVoltage": ["300.0"], "rlnSphericalAberration": ["2.7"], "rlnAmplitudeContrast": ["0.1"],
    "rlnMicrographPixelSize": [f"{PIXEL}"],
}  # fmt: skip


@pytest.fixture
def kept(project, rng):
    """Return the kept set, extracted with 5 A per pixel from two noise micrographs, with offsets of some 10 A."""
    names = ["mics/one.mrc", "mics/two.mrc"]
    (project / "mics").mkdir()
    for name in names:
        with mrcfile.new(project / name) as file:
            file.set_data(rng.normal(size=(512, 512)).astype(np.float32))
            file.voxel_size = PIXEL
    micrographs = pd.DataFrame(
        {"rlnMicrographName": names, "rlnOpticsGroup": "1", "rlnDefocusU": "10000.0", "rlnDefocusV": "10000.0",
         "rlnDefocusAngle": "0.0"}, dtype=object,
    )  # fmt: skip
    write_star("micrographs.star", {"optics": pd.DataFrame(OPTICS, dtype=object), "micrographs": micrographs})
    picks = np.stack(np.meshgrid(np.arange(5), np.arange(4)), axis=-1).reshape(-1, 2) * 70.0 + 90
    pixels = {"rlnImagePixelSize": ["5.0"], "rlnImageSize": ["16"], "rlnMicrographOriginalPixelSize": [f"{PIXEL}"]}
    table = placed(
        np.concatenate([picks, picks]), np.repeat(names, 20), rng.normal(0, 12, (40, 2)), optics=pixels,
        rlnAnglePsi=[f"{i}.25" for i in range(40)], rlnAngleRot="0.0", rlnAngleTilt="0.0", rlnDefocusU="10000.0",
        rlnDefocusV="10000.0", rlnDefocusAngle="0.0",
    )  # fmt: skip
    write_particle_table("Select/job022/particles.star", table)
    return table


@pytest.mark.parametrize("how", [(), ("--recenter",), ("--reset_offsets",)])
def test_every_particle_finds_itself(project, kept, how):
    shuffled = kept.particles.sample(frac=1, random_state=3)
    # what is extracted again has forgotten our names: RELION gives it new ones
    write_particle_table("again.star", ParticleTable(kept.optics, shuffled.drop(columns=["rlnImageName"])))
    command = "relion_preprocess --i micrographs.star --reextract_data_star again.star --part_dir Extract/job005/"
    command += " --part_star Extract/job005/particles.star --extract --extract_size 64"
    done = subprocess.run([*command.split(), *how], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    again = read_particle_table("Extract/job005/particles.star")
    assert again.optics["rlnImageSize"].tolist() == ["64"]
    result = run_map_particles("Extract/job005/particles.star", map_poses=True, map_tolerance=2)
    assert result.returncode == 0, result.stderr
    assert "40 of 40 particles found" in (project / "Select/job008/run.out").read_text()
    mapped = read_particle_table("Select/job008/particles.star").particles
    assert mapped["rlnImageName"].tolist() == again.particles["rlnImageName"].tolist()

    subprocess.run("relion_stack_create --i Select/job008/particles.star --o again".split(), check=True)
    with mrcfile.open("again.mrcs") as file:
        assert file.data.shape == (40, 64, 64)

    def centres(frame):
        """Where a table's particles lie, by the number in their psi."""
        places = {}
        for _, row in frame.iterrows():
            point = [float(row[f"rlnCoordinate{a}"]) * PIXEL - float(row[f"rlnOrigin{a}Angst"]) for a in "XY"]
            places[round(float(row["rlnAnglePsi"]), 2)] = point
        return np.array([places[i + 0.25] for i in range(40)])

    np.testing.assert_allclose(centres(mapped), centres(kept.particles), atol=1e-4)
    if how != ("--reset_offsets",):  # RELION itself led the particles there
        np.testing.assert_allclose(centres(again.particles), centres(kept.particles), atol=1e-4)
