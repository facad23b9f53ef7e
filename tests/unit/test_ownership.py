"""What a user or RELION made in our places is refused; what we made there is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from winnow2d.errors import JobError
from winnow2d.formats.jobs import PROVENANCE, JobFile, write_job_star
from winnow2d.options import OwnOptions
from winnow2d.ownership import check_named, check_project

JOBS, CLEAN, PAGE = ["Extract/job001", "Select/job012"], "Select/clean", "report/index.html"


def write(path, text="mine"):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def mark_ours(folder):
    write(f"{folder}/{PROVENANCE}", '{"program": "winnow2d"}')


def refused():
    with pytest.raises(JobError) as caught:
        check_project(JOBS, CLEAN, [PAGE])
    return caught.value.problems


def test_an_empty_project_and_our_own_files_pass(project):
    check_project(JOBS, CLEAN, [PAGE])
    mark_ours("report")
    mark_ours("Select/job012")
    write(PAGE)
    Path(CLEAN).symlink_to("../Select/job012/")
    check_project(JOBS, CLEAN, [PAGE])
    Path(CLEAN).unlink()
    Path(CLEAN).symlink_to("../Select/job099/")  # a round that was removed
    check_project(JOBS, CLEAN, [PAGE])


def test_a_report_that_never_got_its_page_passes(project):
    write("report/round_01/classes.tsv")
    check_project(JOBS, CLEAN, [PAGE])


def test_all_that_others_made_is_told_together(project):
    write("Extract/job001/job.star")
    write("Select/clean/particles.star")
    write(PAGE)
    found = refused()
    assert all(words in problem for words, problem in zip(("job001", "is a directory", PAGE), found, strict=True))
    assert Path("Select/clean/particles.star").read_text() == "mine"


def test_a_folder_of_others_is_not_written_into(project):
    """The job.star of a user's own report/ stays, and so do micrographs where some are to be simulated."""
    write("report/job.star")
    write("Micrographs/mic_0001.mrc")
    with pytest.raises(JobError) as caught:
        check_project(JOBS, CLEAN, [PAGE, "report/other.html"], ["Micrographs"])
    first, second = caught.value.problems
    assert first.startswith("report/job.star was not made by Winnow")
    assert second.startswith("Micrographs/ was not made by Winnow (it holds mic_0001.mrc)")
    mark_ours("report")
    mark_ours("Micrographs")
    check_project(JOBS, CLEAN, [PAGE], ["Micrographs"])


def test_a_folder_where_a_job_of_ours_starts_passes(project):
    write("Micrographs/run.out")
    write("Micrographs/.winnow_lock")
    check_project(JOBS, CLEAN, [PAGE], ["Micrographs"])


@pytest.mark.parametrize("place", ["Select", "Select/job012"])
def test_a_file_in_the_place_of_a_directory_is_told(project, place):
    write(place)
    assert refused() == (f"{place} is a file, and jobs are to lie there; rename it",)


@pytest.mark.parametrize("target", ["../elsewhere", "../Select/job1005", "/tmp"])
def test_a_link_of_others_is_refused(project, target):
    write("Select/job1005/job.star")
    Path(CLEAN).symlink_to(target)
    (problem,) = refused()
    assert f"Select/clean is a link to {target}" in problem


def test_a_file_called_clean_is_refused(project):
    write(CLEAN)
    assert "is a file" in refused()[0]


def test_a_broken_graph_is_told_with_the_rest(project):
    write("default_pipeline.star", "data_x\n\n_a 1\n")
    write(PAGE)
    assert len(refused()) == 2


def test_a_file_that_is_not_there_is_told_unless_its_job_has_read_it(project):
    write("there.star")
    named = [("input.particles", path, "Extract/job001") for path in ("there.star", "gone.star", "typo.star")]
    Path("Extract/job001").mkdir(parents=True)
    job = JobFile("relion.extract", 5, None, OwnOptions(), {"particles": "gone.star"}, {"particles": "x"})
    write_job_star("Extract/job001/job.star", job)
    with pytest.raises(JobError) as caught:
        check_named(named)
    assert caught.value.problems == (
        "input.particles: typo.star does not exist; paths are relative to the project directory.",
    )
