"""What other programs get: original names, known columns, plain numbers; read back by cryoSPARC's own reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from particle_sets import make_particle_set, make_two_groups
from placed_particles import placed
from script_runs import run_from_job_star
from winnow2d.errors import StarError
from winnow2d.formats.export import data_folder, for_cryosparc, with_original_names
from winnow2d.formats.jobs import JobFile
from winnow2d.formats.particles import ParticleTable, read_particle_table
from winnow2d.intake.enter import enter_particles
from winnow2d.options import OwnOptions

IMPORTED = "Extract/job001/particles.star"
TEN = np.zeros((10, 2))


def export(particles=IMPORTED):
    outputs = {program: f"export/{program}/particles.star" for program in ("relion", "cryosparc")}
    job = JobFile("winnow.export", None, None, OwnOptions(), inputs={"particles": particles}, outputs=outputs)
    return run_from_job_star("export_particles.py", "export", job)


@pytest.fixture
def imported(tmp_path_factory, project):
    """Return the folder of particles whose stacks had to be linked under another name, and their image names."""
    folder = tmp_path_factory.mktemp("data")
    source = make_particle_set(folder, stack="stacks/m{}.mrc", extra={"rlnFoo": "1", "otherNote": "x"})
    enter_particles(source, project)
    names = read_particle_table(source).particles["rlnImageName"].tolist()
    assert read_particle_table(IMPORTED).particles["rlnImageName"].tolist() != names
    return folder, names


def test_names_are_given_back_and_our_columns_stay_here(project, imported):
    folder, names = imported
    done = export()
    assert done.returncode == 0, done.stderr
    for program in ("relion", "cryosparc"):
        table = read_particle_table(f"export/{program}/particles.star")
        assert table.particles["rlnImageName"].tolist() == names
        assert not [label for label in table.particles if label.startswith("winnow")]
    there = read_particle_table("export/relion/particles.star").particles
    assert there["otherNote"].tolist() == ["x"] * 20
    assert "rlnFoo" in there
    assert "rlnFoo" not in read_particle_table("export/cryosparc/particles.star").particles
    said = Path("export/run.out").read_text()
    assert f"Particle data path is {folder.resolve()}" in said


def test_cryosparcs_own_reader_reads_it(project, imported):
    star = pytest.importorskip("cryosparc.star")
    assert export().returncode == 0
    blocks = star.read("export/cryosparc/particles.star")
    assert set(blocks) == {"optics", "particles"}
    ours = read_particle_table(IMPORTED)
    assert blocks["particles"]["rlnImageName"].tolist() == imported[1]
    assert blocks["particles"]["rlnMicrographName"].tolist() == ours.particles["rlnMicrographName"].tolist()
    assert blocks["particles"]["rlnDefocusU"].tolist() == [10000.5] * 20
    assert blocks["optics"]["rlnImagePixelSize"].tolist() == [2.0]
    for block in blocks.values():
        assert set(block.dtype.names) <= set(star.RLN_DTYPES)


def test_optics_groups_stay_with_their_particles(tmp_path, project):
    star = pytest.importorskip("cryosparc.star")
    enter_particles(make_two_groups(tmp_path / "data"), project)
    assert export().returncode == 0
    blocks = star.read("export/cryosparc/particles.star")
    assert blocks["optics"]["rlnOpticsGroupName"].tolist() == ["a", "b"]
    assert blocks["optics"]["rlnImageSize"].tolist() == [16, 24]
    assert blocks["particles"]["rlnOpticsGroup"].tolist() == [1] * 10 + [2] * 10


def test_absolute_names_become_relative_to_their_common_folder():
    table = placed(TEN, ["m.mrc"] * 10)
    names = [f"{i + 1:06d}@/data/{'ab'[i % 2]}/s.mrcs" for i in range(10)]
    absolute = ParticleTable(table.optics, table.particles.assign(rlnImageName=names))
    exported = for_cryosparc(absolute).particles["rlnImageName"].tolist()
    assert exported == [f"{i + 1:06d}@{'ab'[i % 2]}/s.mrcs" for i in range(10)]
    assert with_original_names(absolute).particles["rlnImageName"].tolist() == names


def test_whole_numbers_are_plain_and_vectors_left_out():
    optics = {"rlnImageSize": ["64.0"], "rlnOddZernike": ["[0.1,0.2]"]}
    exported = for_cryosparc(placed(TEN, ["m.mrc"] * 10, optics=optics, rlnClassNumber="3.000000"))
    assert exported.optics["rlnImageSize"].tolist() == ["64"]
    assert exported.particles["rlnClassNumber"].tolist() == ["3"] * 10
    assert "rlnOddZernike" not in exported.optics


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"rlnMicrographName": "my mic.mrc"}, "data_particles: rlnMicrographName is 'my mic.mrc'; cryoSPARC reads no"),
        ({"rlnImageName": "1@s.st"}, "s.st: cryoSPARC imports stacks called .mrc or .mrcs"),
        ({"rlnImageName": ["1@/a/s.mrcs"] + ["1@s.mrcs"] * 9}, "absolute and relative (/a/s.mrcs, s.mrcs)"),
        ({"rlnDefocusU": "nan"}, "data_particles: rlnDefocusU in row 1 is 'nan', expected a number"),
    ],
)
def test_what_it_could_not_read_is_refused(columns, words):
    table = placed(TEN, ["m.mrc"] * 10)
    wrong = ParticleTable(table.optics.drop(columns=["rlnVoltage"]), table.particles.assign(**columns))
    with pytest.raises(StarError) as caught:
        for_cryosparc(wrong)
    assert any(words in problem for problem in caught.value.problems), caught.value.problems
    assert "export for cryoSPARC: data_optics has no column rlnVoltage" in caught.value.problems


def test_the_folder_is_told_only_where_links_lead_to_it(project, imported):
    folder, _ = imported
    ours = read_particle_table(IMPORTED).particles
    assert data_folder(ours["rlnImageName"], ours["winnowSourceImageName"], project) == folder.resolve()
    assert data_folder(ours["rlnImageName"], ours["rlnImageName"] + "x", project) is None
