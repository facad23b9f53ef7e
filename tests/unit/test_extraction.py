"""Tables of the Extract job: micrographs in, particles and truth out; maps."""

import dataclasses

import mrcfile
import numpy as np
import pandas as pd
import pytest

from winnow2d.demo_options import DemoOptions
from winnow2d.errors import ImageError, StarError
from winnow2d.formats import extraction
from winnow2d.formats.density_map import read_density_map
from winnow2d.formats.mrc import read_stack_header, write_stack
from winnow2d.formats.star import read_star, write_star
from winnow2d.simulation.dataset import Simulation

PARTICLE_COLUMNS = [
    "rlnCoordinateX",
    "rlnCoordinateY",
    "rlnImageName",
    "rlnMicrographName",
    "rlnOpticsGroup",
    "rlnCtfMaxResolution",
    "rlnCtfFigureOfMerit",
    "rlnDefocusU",
    "rlnDefocusV",
    "rlnDefocusAngle",
    "rlnCtfBfactor",
    "rlnCtfScalefactor",
    "rlnPhaseShift",
]

MICROGRAPHS = """
data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnVoltage #3
_rlnSphericalAberration #4
_rlnAmplitudeContrast #5
opticsGroup1 1 200.0 1.4 0.07


data_micrographs

loop_
_rlnMicrographName #1
_rlnOpticsGroup #2
_rlnDefocusU #3
_rlnDefocusV #4
_rlnDefocusAngle #5
_rlnGroupNrParticles #6
MotionCorr/job002/Movies/007.mrc 1 12000.5 11000.25 -45.5 30
MotionCorr/job002/Movies/008.mrc 1 13000 12800 12 60
"""


@pytest.fixture
def micrographs_star(tmp_path):
    path = tmp_path / "micrographs.star"
    path.write_text(MICROGRAPHS)
    return path


def test_micrographs_are_read(micrographs_star):
    ctfs = extraction.read_micrograph_ctfs(micrographs_star)
    assert ctfs.names == ["MotionCorr/job002/Movies/007.mrc", "MotionCorr/job002/Movies/008.mrc"]
    assert ctfs.defocus_u_ang.tolist() == [12000.5, 13000.0]
    assert ctfs.defocus_v_ang.tolist() == [11000.25, 12800.0]
    assert ctfs.defocus_angle_deg.tolist() == [-45.5, 12.0]
    assert ctfs.n_particles.tolist() == [30.0, 60.0]
    assert (ctfs.voltage_kv, ctfs.spherical_aberration_mm, ctfs.amplitude_contrast) == (200.0, 1.4, 0.07)
    assert ctfs.phase_shift_deg.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("data_micrographs", "data_movies", "no table data_micrographs"),
        ("_rlnDefocusU", "_rlnDefocusX", "no column rlnDefocusU"),
        ("13000 ", "thick ", "row 2: rlnDefocusU: found 'thick'"),
        ("0.07\n", "0.07\nopticsGroup2 2 200.0 1.4 0.07\n", "found 2 optics groups"),
    ],
)
def test_wrong_micrographs_are_refused(micrographs_star, old, new, words):
    micrographs_star.write_text(MICROGRAPHS.replace(old, new))
    with pytest.raises(StarError, match=words):
        extraction.read_micrograph_ctfs(micrographs_star)


@pytest.mark.parametrize(
    ("micrograph", "stack"),
    [
        ("Micrographs/mic_0001.mrc", "Extract/job001/Micrographs/mic_0001.mrcs"),
        ("MotionCorr/job002/Movies/007.mrc", "Extract/job001/Movies/007.mrcs"),
        ("a.b.mrc", "Extract/job001/a.b.mrcs"),
    ],
)
def test_stacks_are_named_as_relion_names_them(micrograph, stack):
    assert extraction.extracted_stack("Extract/job001", micrograph) == stack


def test_a_simulated_set_comes_back_from_its_files(tmp_path, micrographs_star):
    options = DemoOptions(particles=40, micrographs=2, box=32, pixel_size=7.08)
    ctfs = extraction.read_micrograph_ctfs(micrographs_star)
    simulation = Simulation(options, ctfs=ctfs)
    made = list(simulation.micrographs())
    stacks = [extraction.extracted_stack("Extract/job001", each.name) for each in made]
    rows = [extraction.particle_rows(each, ctfs, stack) for each, stack in zip(made, stacks, strict=True)]
    truth = [extraction.truth_rows(each, stack) for each, stack in zip(made, stacks, strict=True)]
    for each, stack in zip(made, stacks, strict=True):
        write_stack(tmp_path / stack, each.images, options.pixel_size)
    write_star(
        tmp_path / "particles.star",
        {"optics": extraction.optics_table(simulation.optics), "particles": pd.concat(rows)},
    )
    write_star(tmp_path / "truth.star", {"truth": pd.concat(truth)})
    tables = read_star(tmp_path / "particles.star")
    particles, true = tables["particles"], read_star(tmp_path / "truth.star")["truth"]
    assert particles.columns.tolist() == PARTICLE_COLUMNS
    assert particles["rlnImageName"].tolist() == true["rlnImageName"].tolist()
    assert particles["rlnImageName"].iloc[0] == "000001@Extract/job001/Movies/007.mrcs"
    assert set(zip(particles["rlnMicrographName"], particles["rlnDefocusU"].astype(float), strict=True)) == {
        (ctfs.names[0], 12000.5),
        (ctfs.names[1], 13000.0),
    }
    assert true["winnowKind"].tolist() == [kind for each in made for kind in each.kinds]
    shifts = np.concatenate([each.shift_ang for each in made])
    assert np.allclose(true["winnowShiftY"].astype(float), shifts[:, 1], atol=1e-6)
    assert tables["optics"]["rlnImageSize"].tolist() == ["32"]
    header = read_stack_header(tmp_path / stacks[0])
    assert (header.n_images, header.box_x) == (len(made[0].kinds), 32)
    assert header.pixel_size_ang == pytest.approx(7.08)


def test_maps_are_read_with_their_pixel_size(tmp_path):
    values = np.random.default_rng(0).normal(size=(6, 6, 6)).astype(np.float32)
    with mrcfile.new(tmp_path / "map.mrc") as file:
        file.set_data(values)
        file.voxel_size = 2.5
    found, pixel_size_ang = read_density_map(tmp_path / "map.mrc")
    assert np.array_equal(found, values)
    assert pixel_size_ang == pytest.approx(2.5)


def test_unusable_maps_are_refused(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        read_density_map(tmp_path / "none.mrc")
    (tmp_path / "text.mrc").write_text("not a map" * 300)
    with pytest.raises(ImageError, match="not a readable MRC file"):
        read_density_map(tmp_path / "text.mrc")
    with mrcfile.new(tmp_path / "image.mrc") as file:
        file.set_data(np.zeros((4, 4), dtype=np.float32))
    with pytest.raises(ImageError, match="expected a volume"):
        read_density_map(tmp_path / "image.mrc")
    with mrcfile.new(tmp_path / "unscaled.mrc") as file:
        file.set_data(np.zeros((4, 4, 4), dtype=np.float32))
    with pytest.raises(ImageError, match="pixel size"):
        read_density_map(tmp_path / "unscaled.mrc")


def test_demo_options_reach_the_optics():
    simulation = Simulation(dataclasses.replace(DemoOptions(particles=20, box=32, pixel_size=7.08), voltage=120.0))
    assert extraction.optics_table(simulation.optics)["rlnVoltage"].tolist() == [120.0]
