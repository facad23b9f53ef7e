"""relion_pipeliner in a project of ours: it completes our jobs, and makes its own of their job.star."""

from __future__ import annotations

import shutil

import pytest

from interop.graph import options_of, read_graph
from interop.micrographs import MICROGRAPHS
from interop.programs import refused, run
from interop.small_project import CLEAN, EM, REGROUPED, SELECTED, VDAM
from winnow2d.formats.pipeline_star import PIPELINE, STATUS_NUMBERS, read_pipeline, write_pipeline

pytestmark = [pytest.mark.relion, pytest.mark.workflow]

SCHEDULED = str(STATUS_NUMBERS["Scheduled"])
NODES = (f".Nodes/3/{EM}data.star", f".Nodes/9/{EM}optimiser.star")


def say_it_runs(project, name):
    """Leave a job as it stands in the graph before its end was seen."""
    pipeline = read_pipeline(project / PIPELINE)
    pipeline.set_status(name, "Running")
    write_pipeline(project / PIPELINE, pipeline)
    for node in NODES:
        (project / node).unlink()


@pytest.mark.parametrize(
    ("status", "file"),
    [
        ("Succeeded", "RELION_JOB_EXIT_SUCCESS"),
        ("Failed", "RELION_JOB_EXIT_FAILURE"),
        ("Aborted", "RELION_JOB_EXIT_ABORTED"),
    ],
)
def test_it_sees_how_our_jobs_ended(ours, status, file):
    name, before = "Class2D/job011/", read_graph(ours)
    say_it_runs(ours, name)
    (ours / name / "RELION_JOB_EXIT_SUCCESS").rename(ours / name / file)
    run(ours, "relion_pipeliner", "--check_job_completion")
    after = read_graph(ours)
    assert after.jobs.pop(name) == ("8", str(STATUS_NUMBERS[status]), "None")
    before.jobs.pop(name)
    assert after == before
    assert [(ours / node).exists() for node in NODES] == [status == "Succeeded"] * 2
    assert not (ours / ".relion_lock").exists()


def test_it_leaves_a_finished_project_as_it_is(ours):
    before = read_graph(ours)
    run(ours, "relion_pipeliner", "--check_job_completion")
    assert read_graph(ours) == before
    assert before.jobs[f"{CLEAN}/"] == ("7", str(STATUS_NUMBERS["Succeeded"]), "Select/clean/")


@pytest.mark.parametrize(
    ("job", "type_number", "reads", "makes"),
    [
        ("Class2D/job011", "8", "Extract/job001/particles.star", ["run_it010_data.star", "run_it010_model.star"]),
        ("Class2D/job021", "8", f"{REGROUPED}/particles.star", ["run_it020_data.star", "run_it020_model.star"]),
        (SELECTED, "7", f"{EM}optimiser.star", ["class_averages.star", "particles.star"]),
        (REGROUPED, "7", f"{EM}optimiser.star", ["class_averages.star", "particles.star"]),
        (CLEAN, "7", f"{VDAM}optimiser.star", ["class_averages.star", "particles.star"]),
    ],
)
def test_it_schedules_our_jobs_again(ours, job, type_number, reads, makes):
    before = read_graph(ours)
    run(ours, "relion_pipeliner", "--addJobFromStar", f"{job}/job.star")
    after, name = read_graph(ours), f"{job.split('/')[0]}/job1001/"
    assert after.holds(before)
    assert after.counter == before.counter + 1 == 1002
    assert after.jobs[name] == (type_number, SCHEDULED, "None")
    assert after.inputs_of(name) == [reads]
    assert after.outputs_of(name) == [f"{name}{file}" for file in makes]
    theirs, own = options_of(ours / name / "job.star"), options_of(ours / job / "job.star")
    common = theirs.keys() & own.keys()
    assert {key: theirs[key] for key in common} == {key: own[key] for key in common}
    # what RELION 3.1 has and our job has not: an option later RELIONs dropped
    assert theirs.keys() - common <= {"do_fast_subsets", "fn_coords"}


def test_it_wants_micrographs_of_an_extraction_that_has_none(ours):
    """Our Extract job takes particles that are there; RELION's cuts them out of micrographs it must be given."""
    before = read_graph(ours)
    extract = ("relion_pipeliner", "--addJobFromStar", "Extract/job001/job.star")
    assert "empty field for input STAR file" in refused(ours, *extract)
    assert read_graph(ours) == before
    assert not (ours / ".relion_lock").exists()
    (ours / "Picks/coords_suffix_picked.star").write_text(f"{MICROGRAPHS}\n")
    given = f"star_mics == {MICROGRAPHS};coords_suffix == Picks/coords_suffix_picked.star"
    run(ours, *extract, "--addJobOptions", given)
    after = read_graph(ours)
    assert after.holds(before)
    assert after.jobs["Extract/job1001/"] == ("5", SCHEDULED, "None")
    assert options_of(ours / "Extract/job1001/job.star")["star_mics"] == MICROGRAPHS


def test_it_adds_a_job_on_our_particles(ours):
    before = read_graph(ours)
    options = f"fn_img == {CLEAN}/particles.star;nr_classes == 7;nr_iter == 12"
    run(ours, "relion_pipeliner", "--addJob", "Class2D", "--addJobOptions", options)
    after = read_graph(ours)
    assert after.holds(before)
    assert after.jobs["Class2D/job1001/"] == ("8", SCHEDULED, "None")
    assert after.inputs_of("Class2D/job1001/") == [f"{CLEAN}/particles.star"]
    assert options_of(ours / "Class2D/job1001/job.star")["nr_classes"] == "7"


def test_an_alias_stays_and_another_can_be_given(ours):
    run(ours, "relion_pipeliner", "--addJobFromStar", "Class2D/job011/job.star", "--setJobAlias", "again")
    graph = read_graph(ours)
    assert graph.jobs["Class2D/job1001/"][2] == "Class2D/again/"
    assert graph.jobs[f"{CLEAN}/"][2] == "Select/clean/"
    assert (ours / "Select/clean").resolve() == (ours / CLEAN).resolve()


def test_gentle_clean_keeps_what_the_chain_needs(ours):
    """What RELION moves to its trash are no files of the graph."""
    kept = [path for path in read_graph(ours).files if path.startswith("Class2D/job011/")]
    shutil.copy(ours / f"{EM}data.star", ours / "Class2D/job011/run_it003_data.star")
    assert "Cleaning up Class2D/job011/" in run(ours, "relion_pipeliner", "--gentle_clean", 11)
    assert len(kept) == 3
    assert all((ours / path).is_file() for path in kept)
    for name in ("model.star", "sampling.star", "classes.mrcs"):
        assert (ours / f"{EM}{name}").is_file(), name
    assert not (ours / "Class2D/job011/run_it003_data.star").exists()
