"""Joined particle files follow RELION's rules, and RELION's own program where it is installed."""

from __future__ import annotations

import logging
import subprocess

import pandas as pd
import pytest

from winnow2d.errors import StarError
from winnow2d.formats.joining import joined
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table

CTF = {
    "rlnVoltage": "300.000000", "rlnSphericalAberration": "2.7", "rlnAmplitudeContrast": "0.1",
    "rlnImagePixelSize": "1.5", "rlnImageSize": "64", "rlnImageDimensionality": "2",
}  # fmt: skip


def table(groups, rows, **more):
    """Return particles: `groups` are names of optics groups, `rows` (image, optics group, micrograph)."""
    optics = [{"rlnOpticsGroup": str(i), "rlnOpticsGroupName": name} | CTF for i, name in enumerate(groups, start=1)]
    columns = ("rlnImageName", "rlnOpticsGroup", "rlnMicrographName")
    particles = [dict(zip(columns, map(str, row), strict=True)) | more for row in rows]
    return ParticleTable(pd.DataFrame(optics, dtype=object), pd.DataFrame(particles, dtype=object))


def three():
    """Return three files whose groups overlap, with a column not all of them have and an image twice."""
    groups = {"rlnGroupName": "group_1", "rlnGroupNumber": "1", "rlnDefocusU": "12000"}
    first = table(["A", "B"], [("1@s.mrcs", 1, "m1"), ("2@s.mrcs", 2, "m1"), ("3@s.mrcs", 2, "m0")], **groups)
    first.particles["rlnClassNumber"] = "7"
    second = table(["C", "A"], [("1@t.mrcs", 1, "m2"), ("2@s.mrcs", 2, "m1"), ("3@t.mrcs", 2, "m0")], **groups)
    third = table(["B", "D", "A"], [("7@t.mrcs", 2, "m2"), ("8@s.mrcs", 1, "m1"), ("9@s.mrcs", 3, "m1")], **groups)
    return {"a.star": first, "b.star": second, "c.star": third}


def test_optics_groups_of_one_name_are_one_and_numbers_follow_their_first_appearance(caplog):
    with caplog.at_level(logging.WARNING):
        found = joined(three())
    assert found.optics[["rlnOpticsGroup", "rlnOpticsGroupName"]].to_numpy().tolist() == [
        ["1", "A"], ["2", "B"], ["3", "C"], ["4", "D"],
    ]  # fmt: skip
    assert found.particles["rlnOpticsGroup"].tolist() == ["1", "2", "2", "3", "1", "1", "4", "2", "1"]
    assert found.particles["rlnGroupName"].tolist()[2:5] == ["group_1", "optics3_group_1", "optics1_group_1"]
    assert list(found.particles) == [
        "rlnImageName",
        "rlnOpticsGroup",
        "rlnMicrographName",
        "rlnGroupName",
        "rlnDefocusU",
    ]
    assert "left out: rlnClassNumber" in caplog.text
    assert "1 images stand there more than once and are kept, e.g. 2@s.mrcs" in caplog.text


@pytest.mark.relion
def test_relion_joins_them_alike(project):
    tables = three()
    for path, content in tables.items():
        write_particle_table(path, content)
    command = ["relion_star_handler", "--combine", "--i", " ".join(tables), "--check_duplicates", "rlnImageName"]
    done = subprocess.run([*command, "--o", "theirs.star"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    theirs, ours = read_particle_table("theirs.star"), joined(tables)
    for mine, other in ((ours.optics, theirs.optics), (ours.particles, theirs.particles)):
        assert list(mine) == list(other)
        for label in mine:
            for one, two in zip(mine[label], other[label], strict=True):
                assert one == two or float(one) == float(two), label


def test_one_name_for_two_optics_is_refused():
    tables = three()
    tables["c.star"].optics["rlnVoltage"] = ["300", "200", "200"]
    with pytest.raises(StarError) as caught:
        joined(tables)
    (problem,) = caught.value.problems
    assert problem.startswith("c.star: optics group A: rlnVoltage is 200, but 300.000000 in a.star")


def test_a_column_of_the_optics_that_only_some_have():
    tables = three()
    tables["b.star"].optics["rlnCtfDataAreCtfPremultiplied"] = "0"
    assert set(joined(tables).optics["rlnCtfDataAreCtfPremultiplied"]) == {"0"}
    tables["b.star"].optics["rlnBeamTiltX"] = "0.1"
    with pytest.raises(StarError, match=r"b.star: data_optics and that of the first file differ .* rlnBeamTiltX"):
        joined(tables)


def test_groups_that_parts_made_by_themselves_stay_apart():
    parts = {f"part{i}.star": table(["A"], [(f"{i}@s.mrcs", 1, "m1")], rlnGroupName="group_1") for i in (1, 2, 3)}
    names = joined(parts, parts_per_file=3, are_regrouped=True).particles["rlnGroupName"].tolist()
    assert names == ["group_1", "part2_group_1", "part3_group_1"]
    assert joined(parts, parts_per_file=3).particles["rlnGroupName"].tolist() == ["group_1"] * 3


def test_the_names_that_images_came_with_are_kept_where_only_some_files_have_them():
    one = table(["A"], [("1@s.mrcs", 1, "m1")])
    other = table(["A"], [("1@Extract/job101/source/s.mrcs", 1, "m2")], winnowSourceImageName="1@s.mrcs")
    found = joined({"a.star": one, "b.star": other}).particles
    assert found["winnowSourceImageName"].tolist() == ["1@s.mrcs", "1@s.mrcs"]
    assert found["rlnImageName"].tolist() == ["1@s.mrcs", "1@Extract/job101/source/s.mrcs"]
