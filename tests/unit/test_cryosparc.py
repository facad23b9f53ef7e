"""cryoSPARC's particles in RELION's terms; expected numbers are worked out by hand beside each."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from particle_sets import draw_images, write_images
from placed_particles import placed
from script_runs import run_from_job_star, run_map_particles
from winnow2d.errors import StarError
from winnow2d.formats.cryosparc import read_cryosparc_table
from winnow2d.formats.jobs import JobFile
from winnow2d.formats.particles import particles_from_table, read_particle_table, write_particle_table
from winnow2d.intake.enter import enter_particles
from winnow2d.options import ExtractOptions, OwnOptions

pytest.importorskip("cryosparc.dataset")
UID = 12345678901234567890
MICROGRAPH = "J3/motioncorrected/001234567890123456789_mic_patch_aligned_doseweighted.mrc"
STACK = "J5/extract/001234567890123456789_mic_particles.mrc"
FIELDS = {
    "uid": np.array([UID + 2, UID, UID + 1], dtype=np.uint64),
    "blob/path": np.array([STACK.encode(), (">" + STACK).encode(), STACK.encode()]),
    "blob/idx": np.array([0, 9, 4], dtype=np.uint32),
    "blob/shape": np.array([[16, 16]] * 3, dtype=np.uint32),
    "blob/psize_A": np.array([2.2, 2.2, 2.2], dtype=np.float32),
    "ctf/exp_group_id": np.array([7, 7, 3], dtype=np.uint32),
    "ctf/accel_kv": np.array([300] * 3, dtype=np.float32),
    "ctf/cs_mm": np.array([2.7] * 3, dtype=np.float32),
    "ctf/amp_contrast": np.array([0.1] * 3, dtype=np.float32),
    "ctf/df1_A": np.array([15000.5, 12000, 9000], dtype=np.float32),
    "ctf/df2_A": np.array([14000, 11000, 8000], dtype=np.float32),
    "ctf/df_angle_rad": np.array([0, np.pi / 6, -np.pi / 2], dtype=np.float64),
    "ctf/phase_shift_rad": np.array([0, 0, np.pi / 2], dtype=np.float64),
    "alignments2D/pose": np.array([np.pi / 4, -np.pi / 2, 0], dtype=np.float64),
    "alignments2D/shift": np.array([[1.5, -2.0], [0, 0], [-0.25, 4.0]], dtype=np.float32),
    "alignments2D/psize_A": np.array([4.4] * 3, dtype=np.float32),
    "alignments2D/class": np.array([0, 12, 3], dtype=np.uint32),
}
LOCATION = {
    "uid": np.array([UID + 5, UID, UID + 1, UID + 2], dtype=np.uint64),
    "location/micrograph_path": np.array([b"other.mrc", *[MICROGRAPH.encode()] * 3]),
    "location/micrograph_shape": np.array([[4092, 5760]] * 4, dtype=np.uint32),  # rows, columns
    "location/micrograph_psize_A": np.array([1.1] * 4, dtype=np.float32),
    "location/center_x_frac": np.array([0.9, 0.25, 0.5, 0.75], dtype=np.float64),
    "location/center_y_frac": np.array([0.9, 0.25, 0.5, 0.125], dtype=np.float64),
}


def write_cs(path, fields):
    """Write a .cs file as numpy does, without the library under test."""
    kinds = [(name, values.dtype, values.shape[1:]) for name, values in fields.items()]
    array = np.zeros(len(fields["uid"]), dtype=kinds)
    for name, values in fields.items():
        array[name] = values
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        np.save(file, array)
    return path


@pytest.fixture
def job(tmp_path):
    """Return the folder of a 2D selection job, with its particles and the passthrough file beside them."""
    folder = tmp_path / "P1" / "J12"
    write_cs(folder / "particles_selected.cs", FIELDS)
    excluded = {name: values[:1] for name, values in LOCATION.items()}
    write_cs(folder / "J12_passthrough_particles_excluded.cs", excluded)
    write_cs(folder / "J12_passthrough_particles_selected.cs", LOCATION)
    return folder


def numbers(table, *names):
    return table.particles[list(names)].astype(float).to_numpy()


def test_every_field_in_relions_terms(job):
    table = read_cryosparc_table(job / "particles_selected.cs")
    frame = table.particles
    # images are counted from 1, the mark > is none of the name
    assert frame["rlnImageName"].tolist() == [f"000001@{STACK}", f"000010@{STACK}", f"000005@{STACK}"]
    assert frame["rlnMicrographName"].tolist() == [MICROGRAPH] * 3
    # fractions of 5760 columns and 4092 rows, joined by uid: the first particle is the last row of the passthrough
    expected = [[0.75 * 5760, 0.125 * 4092], [0.25 * 5760, 0.25 * 4092], [0.5 * 5760, 0.5 * 4092]]
    np.testing.assert_allclose(numbers(table, "rlnCoordinateX", "rlnCoordinateY"), expected)
    np.testing.assert_allclose(
        numbers(table, "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift"),
        [[15000.5, 14000, 0, 0], [12000, 11000, 30, 0], [9000, 8000, -90, 90]], atol=1e-9,
    )  # fmt: skip
    np.testing.assert_allclose(numbers(table, "rlnAnglePsi")[:, 0], [45, -90, 0])
    # shifts are in the pixels of the alignment: 1.5 x 4.4 A
    np.testing.assert_allclose(
        numbers(table, "rlnOriginXAngst", "rlnOriginYAngst"), [[6.6, -8.8], [0, 0], [-1.1, 17.6]], atol=1e-6
    )
    assert frame["rlnClassNumber"].tolist() == ["1", "13", "4"]
    # exposure groups 3 and 7, in that order, are optics groups 1 and 2
    assert frame["rlnOpticsGroup"].tolist() == ["2", "2", "1"]
    assert table.optics.to_dict("list") == {
        "rlnOpticsGroupName": ["exposureGroup3", "exposureGroup7"], "rlnOpticsGroup": ["1", "2"],
        "rlnMicrographOriginalPixelSize": ["1.1"] * 2, "rlnVoltage": ["300.0"] * 2,
        "rlnSphericalAberration": ["2.7"] * 2, "rlnAmplitudeContrast": ["0.1"] * 2,
        "rlnImagePixelSize": ["2.2"] * 2, "rlnImageSize": ["16"] * 2, "rlnImageDimensionality": ["2"] * 2,
    }  # fmt: skip


def test_the_engine_takes_it(job):
    particles, optics = particles_from_table(read_cryosparc_table(job / "particles_selected.cs"))
    assert [group.name for group in optics] == ["exposureGroup3", "exposureGroup7"]
    assert particles.class_index.tolist() == [0, 12, 3]


def test_the_newer_format_reads_alike(job):
    from cryosparc.dataset import CSDAT_FORMAT, Dataset

    path = job / "particles_selected.cs"
    expected = read_cryosparc_table(path)
    Dataset.load(path).save(path, format=CSDAT_FORMAT)
    assert path.read_bytes().startswith(b"\x95CSDAT")
    assert read_cryosparc_table(path).particles.equals(expected.particles)


def test_the_passthrough_file_may_be_named_and_must_have_the_particles(job, tmp_path):
    moved = tmp_path / "elsewhere.cs"
    (job / "J12_passthrough_particles_selected.cs").rename(moved)
    assert "rlnMicrographName" not in read_cryosparc_table(job / "particles_selected.cs").particles
    assert "rlnMicrographName" in read_cryosparc_table(job / "particles_selected.cs", moved).particles
    with pytest.raises(StarError, match=r"3 of 3 particles of .* are not in it"):
        read_cryosparc_table(job / "particles_selected.cs", job / "J12_passthrough_particles_excluded.cs")


def test_missing_fields_say_what_is_unknown_and_where_it_may_be(job):
    write_cs(job / "particles_selected.cs", {name: v for name, v in FIELDS.items() if not name.startswith("ctf")})
    with pytest.raises(StarError, match=r"no field ctf/accel_kv \(the voltage is unknown\), .*own: {passthrough:"):
        read_cryosparc_table(job / "particles_selected.cs")


def test_what_is_lost_is_told(job, caplog):
    tilt = {"ctf/tilt_A": np.array([[0, 0], [0.5, -2], [0, 0]], np.float32), "blob/sign": np.array([1.0, -1, 1])}
    zero = {"ctf/trefoil_A": np.zeros((3, 2))}
    read_cryosparc_table(write_cs(job / "particles_selected.cs", FIELDS | tilt | zero))
    assert "ctf/tilt_A is set (e.g. 0.5, -2.0): beam tilt is not converted" in caplog.text
    assert "blob/sign is set (e.g. -1.0): these images show dark particles" in caplog.text
    assert "trefoil" not in caplog.text


def test_files_that_are_none(tmp_path, monkeypatch):
    path = tmp_path / "a.cs"
    path.write_text("nothing")
    with pytest.raises(StarError, match=r"a\.cs: cannot be read as a \.cs file"):
        read_cryosparc_table(path)
    with pytest.raises(StarError, match=r"b\.cs: no such file"):
        read_cryosparc_table(tmp_path / "b.cs")
    monkeypatch.setitem(sys.modules, "cryosparc.dataset", None)
    with pytest.raises(StarError, match=r"needs the package cryosparc-tools.*pip install cryosparc-tools"):
        read_cryosparc_table(path)


def test_particles_enter_the_project_from_a_cs_file(job, project):
    write_images(job.parent / STACK, draw_images(10))
    entered = enter_particles(job / "particles_selected.cs", project)
    assert (entered.n_particles, entered.n_stacks) == (3, 1)
    table = read_particle_table(project / "Extract/job001/particles.star")
    stack = f"Extract/job001/source/{STACK}s"  # RELION reads no stack called .mrc
    assert table.particles["rlnImageName"].tolist() == [f"{i:06d}@{stack}" for i in (1, 10, 5)]
    assert table.particles["winnowSourceImageName"].tolist() == [f"{i:06d}@{STACK}" for i in (1, 10, 5)]
    assert (project / stack).resolve() == (job.parent / STACK).resolve()
    with pytest.raises(StarError, match=r"particles\.csg: a list of files"):
        enter_particles(job / "particles.csg", project)


def test_the_script_reads_the_passthrough_file_that_is_named(job, project, tmp_path):
    write_images(job.parent / STACK, draw_images(10))
    moved = tmp_path / "elsewhere.cs"
    (job / "J12_passthrough_particles_selected.cs").rename(moved)
    inputs = {"particles": [str(job / "particles_selected.cs")], "passthrough": [str(moved)]}
    outputs = {"particles": "Extract/job001/particles.star"}
    asked = JobFile("relion.extract", 5, ExtractOptions(), OwnOptions(), inputs=inputs, outputs=outputs)
    done = run_from_job_star("extract.py", "Extract/job001", asked)
    assert done.returncode == 0, done.stderr
    table = read_particle_table("Extract/job001/particles.star")
    assert table.particles["rlnMicrographName"].tolist() == [MICROGRAPH] * 3
    assert f"fields from {moved}" in (project / "Extract/job001/run.out").read_text()


def test_the_kept_set_is_mapped_onto_what_cryosparc_extracted(job, project):
    """A .cs file is as good a target as a STAR file."""
    write_images(job.parent / STACK, draw_images(10))
    places = [[0.5 * 5760, 0.5 * 4092], [0.75 * 5760, 0.125 * 4092]]
    optics = {"rlnMicrographOriginalPixelSize": ["1.1"]}
    kept = placed(np.array(places), ["Movies/mic.mrc"] * 2, optics=optics)
    write_particle_table("Select/job022/particles.star", kept)
    done = run_map_particles(job / "particles_selected.cs")
    assert done.returncode == 0, done.stderr
    mapped = read_particle_table("Select/job008/particles.star").particles
    assert mapped["winnowSourceImageName"].tolist() == [f"000001@{STACK}", f"000005@{STACK}"]
