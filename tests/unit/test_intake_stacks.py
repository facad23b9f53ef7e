"""Where links go: the unchanged name where it is free, below source/ where it is not."""

from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest

from particle_sets import make_particle_set
from winnow2d.formats.particles import read_particle_table
from winnow2d.intake.enter import enter_particles
from winnow2d.intake.findings import Findings
from winnow2d.intake.stacks import (
    check_found,
    find_stacks,
    make_links,
    plan_links,
    read_own_links,
    search_folders,
    split_image_names,
)

JOB = "Extract/job001"


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "outside" / "x.mrcs"
    path.parent.mkdir()
    path.write_bytes(b"pixels")
    return path


def place_of(name, outside, project, own_links=None):
    names, links = plan_links({name: outside}, project, JOB, own_links or {})
    assert set(links) <= set(names.values())
    return names[name]


def test_image_names_are_taken_apart_and_broken_ones_marked():
    references = split_image_names(pd.Series(["3@b.mrcs", "000001@a.mrcs", "0@b.mrcs", "a.mrcs"]))
    assert references.names == ["b.mrcs", "a.mrcs"]
    assert references.stack.tolist() == [0, 1, 0, -1]
    assert references.index.tolist() == [2, 0, -1, -1]


def test_missing_stacks_are_counted_and_named(project, tmp_path):
    folders = search_folders(tmp_path / "in.star", project, "")
    found = find_stacks([f"m{i}.mrcs" for i in range(9)], folders, {})
    findings = Findings()
    check_found(found, folders, "in.star", findings)
    assert "9 of 9 stacks are missing: m0.mrcs, m1.mrcs, m2.mrcs, m3.mrcs, m4.mrcs and 4 more" in findings.errors[0]


def test_the_projectectory_is_looked_in_first(project, tmp_path):
    for folder in (project, tmp_path):
        (folder / "x.mrcs").write_bytes(b"")
    folders = search_folders(tmp_path / "in.star", project, "")
    assert find_stacks(["x.mrcs"], folders, {}) == {"x.mrcs": project / "x.mrcs"}


def test_a_free_place_keeps_the_name(outside, project):
    assert place_of("Extract/job005/x.mrcs", outside, project) == "Extract/job005/x.mrcs"


def test_an_absolute_stack_name_stays(outside, project):
    names, links = plan_links({str(outside): outside}, project, JOB, {})
    assert (names, links) == ({str(outside): str(outside)}, {})


def test_a_stack_in_the_project_needs_no_link(project):
    (project / "x.mrcs").write_bytes(b"")
    assert plan_links({"x.mrcs": project / "x.mrcs"}, project, JOB, {}) == ({"x.mrcs": "x.mrcs"}, {})


def test_our_own_job_directory_is_a_taken_place(outside, project):
    assert place_of("Extract/job001/x.mrcs", outside, project) == "Extract/job001/source/Extract/job001/x.mrcs"


def test_a_foreign_job_directory_is_not_written_into(outside, project):
    job = project / "Extract" / "job005"
    job.mkdir(parents=True)
    (job / "job.star").write_text("")
    assert place_of("Extract/job005/Movies/x.mrcs", outside, project).startswith("Extract/job001/source/")


def test_a_folder_that_is_a_link_is_not_written_through(outside, project, tmp_path):
    (project / "Movies").symlink_to(tmp_path)
    assert place_of("Movies/y.mrcs", outside, project) == "Extract/job001/source/Movies/y.mrcs"


def test_a_place_held_by_something_else_is_not_overwritten(outside, project):
    (project / "x.mrcs").mkdir()
    assert place_of("x.mrcs", outside, project) == "Extract/job001/source/x.mrcs"


def test_nothing_is_linked_outside_the_project(outside, project):
    assert place_of("../raw/x.mrcs", outside, project) == "Extract/job001/source/raw/x.mrcs"


def test_two_stacks_that_would_share_a_place_below_source_do_not(outside, project):
    names, links = plan_links({"x.mrc": outside, "../x.mrc": outside}, project, JOB, {})
    assert sorted(names.values()) == ["Extract/job001/source/x.mrcs", "Extract/job001/source/x_2.mrcs"]
    assert set(links) == set(names.values())


def test_links_are_recorded_and_taken_back_with_their_empty_folders(outside, project):
    make_links({"a/b/x.mrcs": str(outside), "y.mrcs": str(outside)}, {}, project, JOB)
    own = read_own_links(project, JOB)
    assert own == {"a/b/x.mrcs": str(outside), "y.mrcs": str(outside)}
    make_links({"y.mrcs": str(outside)}, own, project, JOB)
    assert not (project / "a").exists()
    assert (project / "y.mrcs").resolve() == outside.resolve()
    assert list(read_own_links(project, JOB)) == ["y.mrcs"]


def test_a_stack_in_the_project_is_linked_by_a_path_that_moves_with_it(project):
    stack = project / "import/set/x.mrcs"
    stack.parent.mkdir(parents=True)
    stack.write_bytes(b"pixels")
    names, links = plan_links({"x.mrcs": stack, "y.mrc": stack}, project, JOB, {})
    assert names == {"x.mrcs": "x.mrcs", "y.mrc": "Extract/job001/source/y.mrcs"}
    make_links(links, {}, project, JOB)
    moved = project.with_name(f"{project.name}_moved")
    project.rename(moved)
    for name in names.values():
        assert (moved / name).resolve() == moved / "import/set/x.mrcs"
    assert read_own_links(moved, JOB) == links


def test_a_link_made_outside_the_project_by_a_linked_folder_stays_absolute(project, tmp_path_factory):
    (project / "x.mrcs").write_bytes(b"pixels")
    (project / "Extract").symlink_to(tmp_path_factory.mktemp("disk"))
    names, links = plan_links({"x.mrc": project / "x.mrcs"}, project, JOB, {})
    assert links[names["x.mrc"]] == str(project / "x.mrcs")


def test_a_link_the_user_changed_is_not_ours_any_more(outside, project):
    make_links({"y.mrcs": str(outside)}, {}, project, JOB)
    (project / "y.mrcs").unlink()
    (project / "y.mrcs").symlink_to(Path("elsewhere.mrcs"))
    assert read_own_links(project, JOB) == {}


def test_two_imports_never_take_each_others_stacks(tmp_path):
    """Particle files of two folders may call different stacks by one name, and be entered in either order."""
    jobs, names = ("Extract/job001", "Extract/job101", "Extract/job201"), []
    for number, order in enumerate(([0, 1, 2], [2, 1, 0])):
        project, sources = tmp_path / f"project{number}", []
        for letter, contrast in (("a", 1.0), ("b", 2.0)):
            sources.append(make_particle_set(tmp_path / f"{letter}{number}", contrast=contrast))
        for i in order:
            (project / jobs[i]).mkdir(parents=True)
            enter_particles([*sources, sources[0]][i], project, jobs[i], planned_jobs=jobs)
        tables = [read_particle_table(project / job / "particles.star") for job in jobs]
        names.append([table.particles["rlnImageName"].tolist() for table in tables])
        first, other, again = (mrcfile.read(project / names[-1][i][0].partition("@")[2]) for i in range(3))
        assert not np.array_equal(first, other)
        assert np.array_equal(first, again)
    assert names[0] == names[1]
    assert names[0][0][0].endswith("@m0.mrcs")
