"""One broken table per check."""

import pandas as pd
import pytest

from winnow2d.formats.particles import ParticleTable
from winnow2d.intake.findings import Findings
from winnow2d.intake.tables import check_tables


@pytest.fixture
def table():
    optics = {
        "rlnOpticsGroup": ["1"],
        "rlnVoltage": ["300"],
        "rlnSphericalAberration": ["2.7"],
        "rlnAmplitudeContrast": ["0.1"],
        "rlnImagePixelSize": ["1.5"],
        "rlnImageSize": ["16"],
        "rlnImageDimensionality": ["2"],
    }
    particles = {
        "rlnImageName": ["000001@a.mrcs", "000002@a.mrcs", "000001@b.mrcs"],
        "rlnMicrographName": ["a.mrc", "a.mrc", "b.mrc"],
        "rlnOpticsGroup": ["1", "1", "1"],
        "rlnDefocusU": ["10000", "10000", "12000"],
    }
    return ParticleTable(pd.DataFrame(optics), pd.DataFrame(particles))


def check(table, do_ctf_correction=True):
    findings = Findings()
    check_tables(table, "in.star", do_ctf_correction, findings)
    return findings


def only_error(table):
    findings = check(table)
    assert len(findings.errors) == 1, findings.errors
    return findings.errors[0]


def test_a_sound_table_passes_in_silence(table):
    findings = check(table)
    assert findings == Findings()


def test_no_particles(table):
    table.particles = table.particles.iloc[:0]
    assert "no rows" in only_error(table)


def test_missing_image_names(table):
    del table.particles["rlnImageName"]
    assert "no column rlnImageName" in only_error(table)


@pytest.mark.parametrize("frame", ["optics", "particles"])
def test_missing_optics_group(table, frame):
    del getattr(table, frame)["rlnOpticsGroup"]
    assert f"data_{frame} has no column rlnOpticsGroup" in only_error(table)


def test_image_name_without_index(table):
    table.particles.loc[1, "rlnImageName"] = "a.mrcs"
    assert "row 2: rlnImageName 'a.mrcs' is not of the form" in only_error(table)


def test_image_index_zero(table):
    table.particles.loc[2, "rlnImageName"] = "0@b.mrcs"
    assert "row 3: image index 0" in only_error(table)


@pytest.mark.parametrize("again", ["000001@a.mrcs", "1@a.mrcs"])
def test_duplicated_image_names_however_padded(table, again):
    table.particles.loc[2, "rlnImageName"] = again
    told = only_error(table)
    assert "row 3: duplicated image names" in told
    assert "already in row 1" in told


def test_undefined_optics_group(table):
    table.particles.loc[1, "rlnOpticsGroup"] = "3"
    assert "row 2: rlnOpticsGroup 3 is not in data_optics (1)" in only_error(table)


def test_several_optics_groups(table):
    table.optics = table.optics.iloc[[0, 0]].assign(rlnOpticsGroup=["1", "2"])
    table.particles.loc[1, "rlnOpticsGroup"] = "2"
    assert check(table).errors == []


def test_a_particle_is_held_against_its_own_optics_group(table):
    table.optics = table.optics.iloc[[0, 0]].assign(rlnOpticsGroup=["1", "2"], rlnVoltage=["300", "200"])
    table.particles["rlnOpticsGroup"] = ["1", "2", "2"]
    assert check(replace_particles(table, rlnVoltage=["300", "200", "200"])).errors == []
    told = only_error(replace_particles(table, rlnVoltage=["300", "200", "300"]))
    assert "row 3: rlnVoltage is 300, but data_optics says 200" in told


def replace_particles(table, **columns):
    return ParticleTable(table.optics, table.particles.assign(**columns))


def test_an_optics_group_defined_twice(table):
    table.optics = table.optics.iloc[[0, 0]]
    assert "expected a different whole number in each row" in only_error(table)


@pytest.mark.parametrize("label", ["rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnImagePixelSize"])
@pytest.mark.parametrize("cell", [None, "inf", "text"])
def test_missing_or_broken_optics_values(table, label, cell):
    if cell is None:
        del table.optics[label]
    else:
        table.optics[label] = cell
    assert label in only_error(table)


@pytest.mark.parametrize("cell", ["0", "-1.5"])
def test_pixel_size_must_be_positive(table, cell):
    table.optics["rlnImagePixelSize"] = cell
    assert "above 0 A" in only_error(table)


@pytest.mark.parametrize("cell", ["-1.5", "-1", "1", "2"])
def test_amplitude_contrast_is_the_sine_of_an_angle(table, cell):
    table.optics["rlnAmplitudeContrast"] = cell
    assert "expected a fraction between -1 and 1" in only_error(table)


@pytest.mark.parametrize("cell", ["15", "0", "big"])
def test_image_size_must_be_even(table, cell):
    table.optics["rlnImageSize"] = cell
    assert "expected an even number" in only_error(table)


def test_volumes_are_refused(table):
    table.optics["rlnImageDimensionality"] = "3"
    assert "rlnImageDimensionality is not 2" in only_error(table)


def test_missing_defocus_is_an_error_only_with_ctf_correction(table):
    del table.particles["rlnDefocusU"]
    assert "no CTF column rlnDefocusU" in only_error(table)
    assert check(table, do_ctf_correction=False).errors == []


@pytest.mark.parametrize("label", ["rlnDefocusU", "rlnOriginXAngst", "rlnCtfBfactor"])
def test_numbers_relion_would_silently_read_as_zero(table, label):
    table.particles[label] = ["1.0", "nan", "-inf"]
    assert f"rows 2, 3: {label} is -inf, nan" in only_error(table)


def test_missing_micrograph_names_only_warn(table):
    del table.particles["rlnMicrographName"]
    findings = check(table)
    assert findings.errors == []
    assert "one intensity group" in findings.warnings[0]


def test_a_particle_with_another_voltage_than_its_optics_group(table):
    table.particles["rlnVoltage"] = ["300.0", "200", "300"]
    assert "row 2: rlnVoltage is 200, but data_optics says 300" in only_error(table)


@pytest.mark.parametrize("value", ["0", "-0.5"])
def test_a_norm_correction_images_cannot_be_divided_by(table, value):
    table.particles["rlnNormCorrection"] = ["1.0", value, "0.9"]
    assert f"data_particles row 2: rlnNormCorrection is {value}, expected a number above 0" in only_error(table)


@pytest.mark.parametrize(
    ("label", "cell", "told"),
    [
        ("rlnEvenZernike", "0.1,2", "rlnEvenZernike is '0.1,2', expected numbers as in [0.1,-2,0]"),
        ("rlnOddZernike", "[0.1,x]", "rlnOddZernike is '[0.1,x]'"),
        ("rlnBeamTiltX", "nan", "rlnBeamTiltX is nan, expected a finite number"),
        ("rlnCtfDataArePhaseFlipped", "1", "without phase flipping"),
    ],
)
def test_aberrations_that_cannot_be_read_or_used(table, label, cell, told):
    table.optics[label] = cell
    assert told in only_error(table)


def test_aberrations_are_understood(table):
    table.optics = table.optics.assign(
        rlnEvenZernike="[0.1,-2,3e-1]", rlnOddZernike="[]", rlnBeamTiltX="0.6", rlnBeamTiltY="-1",
        rlnMagMat00="1.01", rlnMagMat01="0", rlnMagMat10="0.002", rlnMagMat11="0.99",
        rlnCtfDataAreCtfPremultiplied="1", rlnMtfFileName="mtf.star", rlnCtfDataArePhaseFlipped="0",
    )  # fmt: skip
    findings = check(table)
    assert (findings.errors, findings.warnings) == ([], [])


def test_a_magnification_without_one_of_its_columns_is_none_at_all(table):
    table.optics = table.optics.assign(rlnMagMat00="1.01", rlnMagMat01="0", rlnMagMat10="0")
    assert "no anisotropic magnification" in check(table).warnings[0]
    table.optics["rlnMagMat11"] = "0"
    assert "not the matrix of a magnification" in only_error(table)


def test_different_detectors_are_refused(table):
    table.optics = table.optics.iloc[[0, 0]].assign(rlnOpticsGroup=["1", "2"], rlnMtfFileName=["k2.star", "k3.star"])
    table.particles.loc[1, "rlnOpticsGroup"] = "2"
    assert "names 2 different files (k2.star, k3.star)" in only_error(table)
    table.optics["rlnMtfFileName"] = "k2.star"
    assert check(table).errors == []
