"""relion_convert_star and our own reading of files from before RELION 3.1 come to the same particles."""

from __future__ import annotations

import re

import numpy as np
import pytest

from interop.micrographs import BOX_PX, CTF, PIXEL_SIZE_ANG
from interop.programs import run
from interop.small_project import CLEAN
from winnow2d.errors import StarError
from winnow2d.formats.particles import particles_from_table, read_particle_table
from winnow2d.formats.star import read_star, write_star

pytestmark = [pytest.mark.relion, pytest.mark.workflow]

KEPT = f"{CLEAN}/particles.star"
BEFORE_OPTICS_GROUPS = 30000
NUMBERS = ("psi_deg", "offset_ang", "defocus_u_ang", "defocus_v_ang", "class_index", "group_index", "norm_correction")


def write_as_relion_3_0(source, target):
    """Write our particles as RELION 3.0 had them: optics in every row, offsets in pixels."""
    particles = read_star(source)["particles"].drop(columns=["rlnOpticsGroup"])
    for axis in "XY":
        offset_ang = particles.pop(f"rlnOrigin{axis}Angst").astype(float)
        particles[f"rlnOrigin{axis}"] = [f"{value:.9f}" for value in offset_ang / PIXEL_SIZE_ANG]
    particles["rlnVoltage"] = str(CTF["voltage_kv"])
    particles["rlnSphericalAberration"] = str(CTF["spherical_aberration_mm"])
    particles["rlnAmplitudeContrast"] = str(CTF["amplitude_contrast"])
    particles["rlnDetectorPixelSize"] = "7.08"
    particles["rlnMagnification"] = "10000"
    write_star(target, {"": particles}, version=BEFORE_OPTICS_GROUPS)


def test_old_particles_are_converted_alike(ours, monkeypatch):
    monkeypatch.chdir(ours)
    write_as_relion_3_0(ours / KEPT, ours / "out/old.star")
    run(ours, "relion_convert_star", "--i", "out/old.star", "--o", "out/new.star")
    kept, ours_of_old, theirs = (read_particle_table(ours / name) for name in (KEPT, "out/old.star", "out/new.star"))
    for table in (ours_of_old, theirs):
        assert table.particles["rlnImageName"].tolist() == kept.particles["rlnImageName"].tolist()
        assert float(table.optics["rlnImagePixelSize"][0]) == pytest.approx(PIXEL_SIZE_ANG)
        assert int(table.optics["rlnImageSize"][0]) == BOX_PX
    assert set(ours_of_old.particles.columns) == set(theirs.particles.columns)
    assert set(ours_of_old.optics.columns) == set(theirs.optics.columns)
    expected, _ = particles_from_table(kept)
    for table in (ours_of_old, theirs):
        found, optics = particles_from_table(table)
        assert (optics[0].voltage_kv, optics[0].spherical_aberration_mm) == (300.0, 2.7)
        for name in NUMBERS:
            np.testing.assert_allclose(
                getattr(found, name), getattr(expected, name), rtol=1e-6, atol=1e-5, err_msg=name
            )


def test_a_file_with_optics_groups_is_not_for_it(ours):
    """It takes any such file, also one RELION wrote, for a table of micrographs, and writes an empty file."""
    run(ours, "relion_star_handler", "--i", KEPT, "--select", "rlnClassNumber", "--minval", 1, "--o", "out/theirs.star")
    for source in (KEPT, "out/theirs.star"):
        assert "The input is a micrograph" in run(ours, "relion_convert_star", "--i", source, "--o", "out/new.star")
        assert (ours / "out/new.star").read_text().strip() == ""
        with pytest.raises(StarError, match=re.escape("out/new.star")):
            read_particle_table(ours / "out/new.star")
