"""Particles of a classification made elsewhere: named so that our project finds their images, and checked."""

import logging
import shutil
from pathlib import Path

import pytest

from relion_layouts import copy_job
from winnow2d.errors import StarError
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table
from winnow2d.intake.classified import enter_classified
from winnow2d.intake.rounds import PlannedRound

DATA = "Class2D/job002/run_it004_data.star"
ROUND = PlannedRound(2, 190.0, 2)


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """Return another project with a classification; ours, beside it, is the working directory."""
    copy_job(tmp_path / "theirs")
    (tmp_path / "ours").mkdir()
    monkeypatch.chdir(tmp_path / "ours")
    return Path("../theirs")


def entered(source, **more):
    return enter_classified(source, Path(), "Select/job012", **{"rounds": [ROUND], **more})


def test_stacks_of_another_project_are_linked_by_their_names(theirs):
    table = entered(theirs / DATA)
    assert table.particles.equals(read_particle_table(theirs / DATA).particles)
    links = sorted(Path("Extract").rglob("*.mrcs"))
    assert len(links) == 10
    assert all(link.is_symlink() and link.samefile(theirs / link) for link in links)
    assert len(Path("Select/job012/links.tsv").read_text().splitlines()) == 1 + 10


def test_a_place_that_is_taken_by_another_stack_is_left_alone(theirs):
    """As of two projects whose jobs have the same numbers."""
    taken = Path("Extract/job001/stacks/mic_003.mrcs")
    taken.parent.mkdir(parents=True)
    shutil.copy(theirs / "Extract/job001/stacks/mic_004.mrcs", taken)
    content = taken.read_bytes()
    table = entered(theirs / DATA)
    assert taken.read_bytes() == content
    given = read_particle_table(theirs / DATA).particles
    names = table.particles["rlnImageName"].str.partition("@")[2]
    assert (names[given["rlnImageName"].str.contains("mic_003")] == f"Select/job012/source/{taken}").all()
    assert all(Path(name).samefile(theirs / name.removeprefix("Select/job012/source/")) for name in names.unique())
    assert table.particles["winnowSourceImageName"].equals(given["rlnImageName"])
    assert table.particles[given.columns.drop("rlnImageName")].equals(given.drop(columns="rlnImageName"))


def test_a_job_of_our_own_project_needs_no_link(theirs, monkeypatch):
    monkeypatch.chdir(theirs)
    table = entered(Path(DATA))
    assert table.particles.equals(read_particle_table(DATA).particles)
    assert not any(path.is_symlink() for path in Path("Extract").rglob("*"))


def test_all_problems_are_told_together_and_nothing_is_made(theirs):
    source = theirs / DATA
    table = read_particle_table(source)
    names = (
        table.particles["rlnImageName"].str.replace("mic_001", "gone").where(table.particles.index != 5, "9999@x.mrcs")
    )
    write_particle_table(source, ParticleTable(table.optics, table.particles.assign(rlnImageName=names)))
    with pytest.raises(StarError) as caught:
        entered(source, rounds=[ROUND, PlannedRound(3, 500.0, 401)])
    said = "\n".join(caught.value.problems)
    for words in (
        "2 of 11 stacks are missing",
        "round 3: class2d.particle_diameter: 500 A is larger",
        "401 classes for 400",
    ):
        assert words in said, words
    assert list(Path().iterdir()) == []


def test_without_a_round_to_come_images_only_warn(theirs, caplog):
    shutil.rmtree(theirs / "Extract")
    with caplog.at_level(logging.WARNING):
        table = entered(theirs / DATA, rounds=[])
    assert "10 of 10 stacks are missing" in caplog.text
    assert table.particles.equals(read_particle_table(theirs / DATA).particles)
    with pytest.raises(StarError, match="10 of 10 stacks are missing"):
        entered(theirs / DATA)


def test_a_table_that_only_others_know_is_left_out_with_a_word(theirs, caplog):
    with (theirs / DATA).open("a") as file:
        file.write("\ndata_foo\n\n_rlnA 1\n")
    with caplog.at_level(logging.WARNING):
        entered(theirs / DATA)
    assert "data_foo is left out of what is made of this file, as in RELION" in caplog.text
