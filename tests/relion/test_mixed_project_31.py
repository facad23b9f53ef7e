"""A project in which RELION 3.1 and we both add jobs, also at the same time, stays whole."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from relion_projects import add_job, jobs_of, make_project, pipeliner
from winnow2d.formats import jobs, project
from winnow2d.formats.pipeline_star import NODE_KINDS, PIPELINE, read_pipeline
from winnow2d.formats.project_lock import LOCK
from winnow2d.formats.star import read_star

pytestmark = pytest.mark.relion


def entry(name, label="relion.class2d", number=8, file="run_it025_data.star", kind="class2d_data"):
    return project.JobEntry(name, label, number, (), [(f"{name}{file}", NODE_KINDS[kind])])


SELECTED = entry("Select/job012/", "relion.select.class2dauto", 7, "particles.star", "particles")


def run_ours(root, item, status="Succeeded"):
    """Register a job, make its files and say how it ended."""
    project.register(root, item)
    place = root / item.name
    place.mkdir(parents=True, exist_ok=True)
    (place / jobs.PROVENANCE).write_text('{"program": "winnow2d"}')
    for path, _ in item.outputs:
        (root / path).touch()
    jobs.write_exit_file(place, status)
    project.set_status(root, item.name, status)


def _run_many(root, start):
    for number in range(start, start + 20):
        run_ours(Path(root), entry(f"Class2D/job{number:03d}/"), "Failed" if number % 2 else "Succeeded")
        project.running_jobs(Path(root))


def test_both_add_jobs_at_the_same_time(tmp_path):
    make_project(tmp_path, counter=5)
    run_ours(tmp_path, entry("Class2D/job001/"))
    workers = [
        multiprocessing.get_context("spawn").Process(target=_run_many, args=(str(tmp_path), start))
        for start in (11, 111)
    ]
    for worker in workers:
        worker.start()
    # One RELION at a time: two that add jobs at once give both the same number.
    kinds = {
        "Class2D": "fn_img == a.star",
        "JoinStar": "do_part == Yes;fn_part1 == a.star;fn_part2 == b.star",
    }
    for kind in (*kinds, *kinds):
        pipeliner(tmp_path, "--addJob", kind, "--addJobOptions", kinds[kind])
    is_together = any(worker.is_alive() for worker in workers)
    for worker in workers:
        worker.join(120)
    assert is_together
    assert [worker.exitcode for worker in workers] == [0, 0]
    found = jobs_of(tmp_path)
    ours = {f"Class2D/job{number:03d}/" for number in (1, *range(11, 31), *range(111, 131))}
    theirs = set(found) - ours
    assert ours <= set(found)
    assert sorted(name.split("/")[0] for name in theirs) == ["Class2D"] * 2 + ["JoinStar"] * 2
    assert all((tmp_path / name / "job.star").is_file() for name in theirs)
    statuses = {name: found[name]["rlnPipeLineProcessStatus"] for name in ours}
    assert statuses == {name: "3" if int(name[-4:-1]) % 2 and name[-4:] != "001/" else "2" for name in ours}
    edges = read_star(tmp_path / PIPELINE)["pipeline_output_edges"]
    assert {f"{name}run_it025_data.star" for name in ours} <= set(edges["rlnPipeLineEdgeToNode"])
    assert read_pipeline(tmp_path / PIPELINE).counter > max(int(name[:-1].split("/job")[1]) for name in theirs)
    assert not (tmp_path / LOCK).exists()


def test_relion_counts_on_above_our_numbers_and_above_jobs_the_graph_has_lost(tmp_path):
    make_project(tmp_path, counter=5)
    (tmp_path / "Refine3D/job1007").mkdir(parents=True)
    run_ours(tmp_path, SELECTED)
    assert add_job(tmp_path, "Class2D", fn_img="Select/job012/particles.star") == "Class2D/job1008"


def test_relion_takes_our_alias_for_the_job(tmp_path):
    make_project(tmp_path)
    run_ours(tmp_path, SELECTED)
    project.alias(tmp_path, "Select/job012", "Select/clean")
    job = add_job(tmp_path, "Class2D", fn_img="Select/clean/particles.star")
    edges = read_star(tmp_path / PIPELINE)["pipeline_input_edges"].to_numpy().tolist()
    assert edges == [["Select/job012/particles.star", f"{job}/"]]
    assert jobs_of(tmp_path)["Select/job012/"]["rlnPipeLineProcessAlias"] == "Select/clean/"
    run_ours(tmp_path, entry("Class2D/job021/"))
    edges = read_star(tmp_path / PIPELINE)["pipeline_input_edges"].to_numpy().tolist()
    assert edges == [["Select/job012/particles.star", f"{job}/"]]


def test_an_alias_given_in_relion_stays_when_we_run_the_job(tmp_path):
    make_project(tmp_path)
    pipeliner(tmp_path, "--addJob", "Class2D", "--addJobOptions", "fn_img == a.star", "--setJobAlias", "mine")
    assert (tmp_path / "Class2D/mine").is_symlink()
    run_ours(tmp_path, entry("Class2D/job001/"))
    assert jobs_of(tmp_path)["Class2D/job001/"]["rlnPipeLineProcessAlias"] == "Class2D/mine/"
    assert (tmp_path / ".Nodes/3/Class2D/mine/run_it025_data.star").exists()


@pytest.mark.parametrize("status", ["Succeeded", "Failed", "Aborted"])
def test_relion_learns_how_our_job_ended_from_its_exit_file_alone(tmp_path, status):
    make_project(tmp_path)
    item = entry("Class2D/job011/")
    project.register(tmp_path, item)
    (tmp_path / item.name).mkdir(parents=True)
    (tmp_path / item.outputs[0][0]).touch()
    jobs.write_exit_file(tmp_path / item.name, status)
    pipeliner(tmp_path, "--check_job_completion")
    assert read_pipeline(tmp_path / PIPELINE).status(item.name) == status


def test_what_relion_31_forgets_of_our_jobs_is_said_again(tmp_path):
    make_project(tmp_path)
    run_ours(tmp_path, SELECTED)
    form = jobs.JobFile("relion.select.class2dauto", 7, jobs.SelectOptions(), jobs.OwnOptions())
    jobs.write_job_star(tmp_path / "Select/job012/job.star", form)
    pipeliner(tmp_path, "--addJob", "Class2D", "--addJobOptions", "fn_img == Select/job012/particles.star")
    assert "rlnPipeLineProcessTypeLabel" not in jobs_of(tmp_path)["Select/job012/"]
    run_ours(tmp_path, entry("Class2D/job021/"))
    labels = {name: row["rlnPipeLineProcessTypeLabel"] for name, row in jobs_of(tmp_path).items()}
    assert labels["Select/job012/"] == "relion.select.class2dauto"
    assert labels["Class2D/job1001/"] == "relion.class2d"
    assert jobs_of(tmp_path)["Class2D/job1001/"]["rlnPipeLineProcessStatusLabel"] == "Scheduled"
