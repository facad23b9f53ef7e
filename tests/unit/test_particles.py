"""Particle tables: RELION's defaults, groups and order; every other cell stays verbatim."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from winnow2d.errors import StarError
from winnow2d.formats import labels
from winnow2d.formats.assigned_rows import AssignedRows
from winnow2d.formats.mrc import write_stack
from winnow2d.formats.particles import (
    ParticleTable,
    particles_from_table,
    read_particle_table,
    sort_by_micrograph,
    write_particle_table,
)
from winnow2d.formats.star import read_star, write_star

RELION5 = Path(__file__).parents[1] / "golden" / "relion5"


def small_table(**columns):
    optics = {
        "rlnOpticsGroup": ["1", "2"],
        "rlnOpticsGroupName": ["a", "b"],
        "rlnVoltage": ["300.000000", "200"],
        "rlnSphericalAberration": ["2.7", "2.7"],
        "rlnAmplitudeContrast": ["0.1", "0.07"],
        "rlnImagePixelSize": ["3.54", "4"],
        "rlnImageSize": ["64", "48"],
    }
    particles = {
        "rlnImageName": ["1@s.mrcs", "2@s.mrcs", "3@s.mrcs", "4@s.mrcs"],
        "rlnMicrographName": ["MotionCorr/job002/z/m2.mrc", "m1.mrc", "MotionCorr/job002/z/m2.mrc", "m0.mrc"],
        "rlnOpticsGroup": ["1", "2", "1", "1"],
        "rlnDefocusU": ["10000.5", "2e4", "007", "1"],
        "foreignText": ["1.50", "nan", "", "a b"],
        **columns,
    }
    return ParticleTable(pd.DataFrame(optics, dtype=object), pd.DataFrame(particles, dtype=object))


def test_defaults_are_relions():
    particles, optics = particles_from_table(small_table())
    assert [one.box_px for one in optics] == [64, 48]
    assert optics[1].voltage_kv == 200.0
    assert not optics[0].is_ctf_premultiplied
    assert particles.defocus_v_ang.tolist() == [10000.5, 20000.0, 7.0, 1.0]
    assert particles.optics_group.tolist() == [0, 1, 0, 0]
    assert particles.ctf_scale.tolist() == [1.0] * 4
    assert particles.norm_correction.tolist() == [1.0] * 4
    assert particles.class_index.tolist() == [-1] * 4
    assert particles.offset_ang.shape == (4, 2)
    assert len(particles) == 4


def test_aberrations_and_magnification_are_read():
    table = small_table()
    table.optics = table.optics.assign(
        rlnBeamTiltX=["0.6", "0"], rlnBeamTiltY=["-1", "0"], rlnOddZernike=["[1.5,0,-2e-1]", "[]"],
        rlnEvenZernike=["[ 0.1, 2 ]", "[3]"], rlnCtfDataAreCtfPremultiplied=["0", "1"],
        rlnMagMat00=["1.01", "1"], rlnMagMat01=["0.02", "0"], rlnMagMat10=["0.03", "0"], rlnMagMat11=["0.99", "1"],
    )  # fmt: skip
    first, second = particles_from_table(table)[1]
    assert (first.beam_tilt_mrad, second.beam_tilt_mrad) == ((0.6, -1.0), (0.0, 0.0))
    assert (first.odd_zernike, second.odd_zernike) == ((1.5, 0.0, -0.2), ())
    assert (first.even_zernike, second.even_zernike) == ((0.1, 2.0), (3.0,))
    assert (first.magnification, second.magnification) == ((1.01, 0.02, 0.03, 0.99), (1.0, 0.0, 0.0, 1.0))
    assert (first.is_ctf_premultiplied, second.is_ctf_premultiplied) == (False, True)


def test_aberrations_that_are_no_vectors_are_told():
    table = small_table()
    table.optics = table.optics.assign(rlnOddZernike=["1.5", "[1,x]"])
    with pytest.raises(StarError) as error:
        particles_from_table(table)
    assert "row 1: rlnOddZernike is '1.5', expected numbers as in [0.1,-2,0]" in str(error.value)
    assert "row 2: rlnOddZernike is '[1,x]'" in str(error.value)


def test_groups_are_numbered_in_relions_order():
    table = small_table()
    particles, _ = particles_from_table(table)
    assert particles.group_names == ["z/m2.mrc", "m0.mrc", "m1.mrc"]
    assert particles.group_index.tolist() == [0, 2, 0, 1]
    assert sort_by_micrograph(table).particles["rlnImageName"].tolist() == [f"{i}@s.mrcs" for i in (1, 3, 4, 2)]
    named, _ = particles_from_table(small_table(rlnGroupName=["g2", "g1", "g2", "g1"]))
    assert named.group_names == ["g2", "g1"]
    without = small_table()
    without.particles = without.particles.drop(columns="rlnMicrographName")
    assert len(particles_from_table(without)[0].group_names) == 1


def test_problems_come_together():
    table = small_table(rlnDefocusV=["1", "x", "nan", "2"], rlnVoltage=["300", "300", "300", "300"])
    table.optics = table.optics.drop(columns="rlnImageSize")
    with pytest.raises(StarError) as error:
        particles_from_table(table)
    text = str(error.value)
    assert "data_optics has no column rlnImageSize" in text
    assert "row 2: rlnDefocusV is 'x', expected a number; 2 such rows" in text
    assert "row 2: rlnVoltage is 300, but its optics group has 200" in text


def test_failed_results_of_others_read_as_zero():
    particles, _ = particles_from_table(small_table(rlnLogLikeliContribution=["-nan", "inf", "1", "2"]))
    assert particles.log_likelihood.tolist() == [0.0, 0.0, 1.0, 2.0]


def test_assignments_are_written_and_the_rest_stays(tmp_path):
    table = small_table(rlnAngleRot=["12.5", "0", "0", "0"], rlnClassNumber=["9", "9", "9", "9"])
    particles, _ = particles_from_table(table)
    particles.psi_deg[:] = [1.23456789, -180.19, 0, 3]
    particles.offset_ang[:, 0] = [-1.5, 0, 0, 0]
    particles.class_index[:] = [0, 1, 2, -1]
    particles.max_probability[:] = 0.5
    rows = AssignedRows(table.particles)
    write_star(tmp_path / "a.star", {"optics": table.optics, "particles": rows.at(particles, 3)})
    back = read_particle_table(tmp_path / "a.star")
    pd.testing.assert_frame_equal(back.optics, table.optics)
    untouched = ["rlnImageName", "rlnMicrographName", "rlnDefocusU", "foreignText", "rlnAngleRot"]
    pd.testing.assert_frame_equal(back.particles[untouched], table.particles[untouched])
    assert back.particles["rlnClassNumber"].tolist() == ["1", "2", "3", "0"]
    assert back.particles["rlnAnglePsi"].tolist() == ["1.23456789", "-180.19", "0.0", "3.0"]
    assert list(back.particles.columns)[:7] == list(table.particles.columns)
    assert list(back.particles.columns)[7:] == [
        "rlnAngleTilt", "rlnGroupNumber", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst", "rlnNormCorrection",
        "rlnLogLikeliContribution", "rlnMaxValueProbDistribution", "rlnNrOfSignificantSamples",
    ]  # fmt: skip
    assert back.particles["rlnAngleTilt"].tolist() == ["0.000000"] * 4
    assert "rlnMaxValueProbDistribution" not in rows.at(particles, 0)
    with pytest.raises(StarError, match="3 rows"):
        AssignedRows(table.particles.iloc[:3]).at(particles, 1)


def test_rows_of_later_iterations_are_those_of_a_fresh_start(tmp_path):
    """Text that stays is laid out once; what was laid out for iteration 0, without results, is not taken for others."""
    table = small_table(rlnMaxValueProbDistribution=["7", "", "a b", "8"], foreign=["x", '"', "#1", "data_"])
    particles, _ = particles_from_table(small_table())
    kept = AssignedRows(table.particles)
    for number in (0, 1, 2, 0):
        particles.psi_deg[:] = number / 3
        write_star(tmp_path / "kept.star", {"particles": kept.at(particles, number)})
        write_star(tmp_path / "fresh.star", {"particles": AssignedRows(table.particles).at(particles, number)})
        assert (tmp_path / "kept.star").read_bytes() == (tmp_path / "fresh.star").read_bytes()
        found = read_star(tmp_path / "kept.star")["particles"]
        assert found["foreign"].tolist() == table.particles["foreign"].tolist()
        assert found["rlnAnglePsi"].tolist() == [str(number / 3)] * 4
        assert (found["rlnMaxValueProbDistribution"].tolist() == ["7", "", "a b", "8"]) == (number == 0)


def test_optics_groups_are_renumbered_or_refused(tmp_path, caplog):
    table = small_table(rlnOpticsGroup=["7", "3", "7", "7"])
    table.optics["rlnOpticsGroup"] = ["7", "3"]
    write_particle_table(tmp_path / "a.star", table)
    assert read_particle_table(tmp_path / "a.star").particles["rlnOpticsGroup"].tolist() == ["1", "2", "1", "1"]
    assert "renumbered" in caplog.text
    table.particles["rlnOpticsGroup"] = ["7", "3", "4", "7"]
    write_particle_table(tmp_path / "a.star", table)
    with pytest.raises(StarError, match="row 3: optics group '4' is not in data_optics"):
        read_particle_table(tmp_path / "a.star")
    write_star(tmp_path / "b.star", {"optics": table.optics, "particles": table.particles[["rlnDefocusU"]]})
    with pytest.raises(StarError, match="no column rlnImageName"):
        read_particle_table(tmp_path / "b.star")
    write_star(tmp_path / "c.star", {"optics": table.optics})
    with pytest.raises(StarError, match="data_particles is missing"):
        read_particle_table(tmp_path / "c.star")


def test_old_files_get_an_optics_table(tmp_path):
    write_stack(tmp_path / "s.mrcs", np.zeros((4, 32, 32)), 1.0)
    old = {
        "rlnImageName": ["1@s.mrcs", "2@s.mrcs", "3@s.mrcs"],
        "rlnVoltage": ["300.0", "300", "200"],
        "rlnSphericalAberration": ["2.7"] * 3,
        "rlnAmplitudeContrast": ["0.1"] * 3,
        "rlnDetectorPixelSize": ["5"] * 3,
        "rlnMagnification": ["20000"] * 3,
        "rlnDefocusU": ["1"] * 3,
        "rlnOriginX": ["2", "0", "-1.5"],
    }
    write_star(tmp_path / "old.star", {"": pd.DataFrame(old, dtype=object)})
    table = read_particle_table(tmp_path / "old.star")
    particles, optics = particles_from_table(table)
    assert [(one.name, one.box_px, one.pixel_size_ang) for one in optics] == [
        ("opticsGroup1", 32, 2.5),
        ("opticsGroup2", 32, 2.5),
    ]
    assert particles.optics_group.tolist() == [0, 0, 1]
    assert particles.offset_ang[:, 0].tolist() == [5.0, 0.0, -3.75]
    assert "rlnVoltage" not in table.particles
    assert "rlnOriginX" not in table.particles
    del old["rlnMagnification"]
    write_star(tmp_path / "old.star", {"images": pd.DataFrame(old, dtype=object)})
    with pytest.raises(StarError, match="lacks rlnMagnification"):
        read_particle_table(tmp_path / "old.star")


def test_relion5_particles_are_read():
    table = read_particle_table(RELION5 / "Class2D/job002/run_it004_data.star")
    particles, optics = particles_from_table(table)
    assert len(particles) == 400
    assert len(particles.group_names) == 10
    assert (particles.group_index + 1).astype(str).tolist() == table.particles["rlnGroupNumber"].tolist()
    assert optics[0].pixel_size_ang == 4.72
    assert set(particles.class_index) <= {0, 1, 2, 3, 4}
    written = AssignedRows(table.particles).at(particles, 4)
    assert [label for keys in written for label in np.atleast_1d(keys)] == list(table.particles.columns)
    assert written["rlnAnglePsi"] is particles.psi_deg


def test_every_label_the_readers_and_writers_spell_is_described():
    folder = Path(labels.__file__).parent
    for name in (
        "particles",
        "legacy",
        "labels",
        "model_star",
        "model_writing",
        "optimiser_star",
        "sampling_star",
        "refinement",
    ):
        text = (folder / f"{name}.py").read_text() if (folder / f"{name}.py").exists() else ""
        assert set(re.findall(r'"(rln\w+)"', text)) <= set(labels.LABELS), name
    assert {label.type for label in labels.LABELS.values()} == {"int", "float", "bool", "text"}
