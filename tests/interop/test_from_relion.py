"""And back: what RELION made in our project we select from, regroup and continue, and both add jobs to one graph."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from conftest import REPOSITORY
from interop.graph import read_graph
from interop.programs import attempt, run
from interop.small_project import CLEAN, CONFIG, REGROUPED, SELECTED
from winnow2d.formats.ledger import read_ledger
from winnow2d.formats.particles import particles_from_table, read_particle_table
from winnow2d.formats.star import read_star, write_star
from workflow import snakemake_runs
from workflow.snakemake_runs import copy_project

pytestmark = [pytest.mark.relion, pytest.mark.workflow]

THEIRS = "Class2D/job1001"
STEM = f"{THEIRS}/run_it020_"
CLASSIFIED = {name: f"{STEM}{name}.star" for name in ("data", "model", "optimiser")}
RELIONS_CLASS2D = "fn_img == Extract/job001/particles.star;nr_classes == 3;nr_iter == 20;nr_threads == 2"
SEED = ";other_args == --random_seed 1"  # else it is the clock


@pytest.fixture(scope="module")
def classified(finished, tmp_path_factory) -> Path:
    """Return our project with a Class2D job RELION scheduled from our job.star and ran; not to be changed."""
    project = copy_project(finished, tmp_path_factory.mktemp("from_relion") / "project")
    job = ("--addJobFromStar", "Class2D/job011/job.star", "--addJobOptions", RELIONS_CLASS2D + SEED)
    run(project, "relion_pipeliner", *job)
    run(project, "relion_pipeliner", "--schedule", "first", "--RunJobs", f"{THEIRS}/", "--sec_wait_after", 0)
    assert (project / THEIRS / "RELION_JOB_EXIT_SUCCESS").is_file()
    return project


@pytest.fixture
def mixed(classified, tmp_path) -> Path:
    """Return a copy of that project."""
    return copy_project(classified, tmp_path / "project")


def script(project, name, directory):
    """Run a script of ours on the job.star of a directory; it must succeed."""
    path = REPOSITORY / "scripts" / name
    environment = os.environ | {"PYTHONPATH": str(path.parent)}
    command = [sys.executable, str(path), f"{directory}/job.star", *(["--threads", "2"] if "class2d" in name else [])]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def scheduled(project, ours, number, options):
    """Have RELION schedule a job of the form of one of ours with other options; return its directory."""
    run(project, "relion_pipeliner", "--addJobFromStar", f"{ours}/job.star", "--addJobOptions", options)
    directory = f"{ours.split('/')[0]}/job{number}"
    assert read_graph(project).jobs[f"{directory}/"][1] == "1"
    return directory


def test_we_select_from_relions_classes_and_regroup(mixed):
    """In jobs RELION scheduled, of which it knows the end by itself."""
    chosen = scheduled(mixed, SELECTED, 1002, f"fn_model == {CLASSIFIED['model']}")
    script(mixed, "select_classes.py", chosen)
    everything = read_star(mixed / CLASSIFIED["data"])["particles"]
    kept = read_star(mixed / chosen / "particles.star")["particles"]
    ledger = read_ledger(mixed / chosen / "classes.tsv")
    classes_kept = {str(number) for number in ledger["class"][ledger["kept"]]}
    assert len(ledger) == 3
    assert (ledger["kept"] == (ledger["score"] >= 0.35)).all()
    assert 150 <= len(kept) == everything["rlnClassNumber"].isin(classes_kept).sum()
    assert set(kept["rlnClassNumber"]) == classes_kept
    assert set(kept["rlnImageName"]) <= set(everything["rlnImageName"])
    images = read_star(mixed / chosen / "class_averages.star")[""]["rlnReferenceImage"].tolist()
    assert [name.split("@")[1] for name in images] == [f"{STEM}classes.mrcs"] * len(classes_kept)

    source = f"fn_model == {CLASSIFIED['model']};fn_data == {chosen}/particles.star"
    regrouped = scheduled(mixed, REGROUPED, 1003, f"{source};do_regroup == Yes;nr_groups == 3")
    script(mixed, "regroup.py", regrouped)
    grouped = read_star(mixed / regrouped / "particles.star")["particles"]
    assert grouped["rlnImageName"].tolist() == kept["rlnImageName"].tolist()
    assert 2 <= grouped["rlnGroupName"].nunique() <= 4

    run(mixed, "relion_pipeliner", "--check_job_completion")
    graph = read_graph(mixed)
    assert {graph.jobs[f"{job}/"][1] for job in (THEIRS, chosen, regrouped)} == {"2"}
    assert CLASSIFIED["data"] in graph.inputs_of(f"{chosen}/")
    assert f"{chosen}/particles.star" in graph.inputs_of(f"{regrouped}/")
    # and RELION starts from what we made of its classes
    options = "--K 2 --iter 1 --particle_diameter 200 --ctf --tau2_fudge 2 --psi_step 24 --offset_range 3 --pad 2"
    again = ("--i", f"{regrouped}/particles.star", "--o", "Select/run", *options.split(), "--random_seed", 1)
    run(mixed, "relion_refine", *again, "--j", 1)
    assert len(read_star(mixed / "Select/run_it001_data.star")["particles"]) == len(grouped)


def with_own_option(job_star, name, value):
    """Add an option of ours to a job.star of RELION's."""
    own = pd.DataFrame({"winnowOptionVariable": [name], "winnowOptionValue": [value]})
    write_star(job_star, read_star(job_star) | {"winnow_own": own})


def kept_by_relion(project):
    """Return which part of the particles RELION itself leaves in their class in one more iteration."""
    go_on = ("--continue", CLASSIFIED["optimiser"], "--o", "Class2D/theirs", "--iter", 21, "--j", 1)
    run(project, "relion_refine", *go_on)
    return (classes(project, CLASSIFIED["data"]) == classes(project, "Class2D/theirs_it021_data.star")).mean()


def classes(project, path):
    return particles_from_table(read_particle_table(project / path))[0].class_index


# By our own rules a few particles of two like classes change over.
@pytest.mark.parametrize(("rules", "fewer"), [("relion", 0.05), ("none", 0.15)])
def test_we_go_on_from_relions_iteration_in_a_job_relion_scheduled(mixed, rules, fewer):
    """One more iteration of ours after RELION's twenty, then one more of RELION's after ours."""
    options = f"{RELIONS_CLASS2D};fn_cont == {CLASSIFIED['optimiser']};nr_iter == 21"
    directory = scheduled(mixed, "Class2D/job011", 1002, options)
    ours = f"{directory}/run_it021_"
    with_own_option(mixed / directory / "job.star", "compatibility", rules)
    script(mixed, "class2d.py", directory)
    assert f"Going on after iteration 20 of {CLASSIFIED['optimiser']}" in (mixed / directory / "run.out").read_text()
    graph = read_graph(mixed)
    assert graph.jobs[f"{directory}/"] == ("8", "2", "None")
    assert graph.outputs_of(f"{directory}/") == [f"{ours}{name}.star" for name in ("data", "model", "optimiser")]
    kept = (classes(mixed, CLASSIFIED["data"]) == classes(mixed, f"{ours}data.star")).mean()
    assert kept >= kept_by_relion(mixed) - fewer
    go_on = ("--continue", f"{ours}optimiser.star", "--o", "Class2D/run", "--iter", 22, "--j", 1)
    run(mixed, "relion_refine", *go_on)
    assert (classes(mixed, f"{ours}data.star") == classes(mixed, "Class2D/run_it022_data.star")).mean() >= 0.85


def test_we_run_a_job_relion_scheduled_but_none_it_ran(mixed):
    script_path, job_star = REPOSITORY / "scripts/class2d.py", mixed / THEIRS / "job.star"
    job_star.write_text(job_star.read_text().replace('"--random_seed 1"', '""'))  # which we refuse before all else
    before = snakemake_runs.fingerprints(mixed, THEIRS)
    done = attempt(mixed, "env", f"PYTHONPATH={script_path.parent}", sys.executable, script_path, f"{THEIRS}/job.star")
    assert done.returncode == 1
    assert f"{THEIRS}/ was not made by Winnow" in done.stdout
    assert snakemake_runs.fingerprints(mixed, THEIRS) == before


def test_a_round_of_ours_starts_from_relions_iteration(mixed):
    """The workflow's own way: a further round that continues RELION's job (class2d.fn_cont)."""
    went_on = {"fn_cont": CLASSIFIED["optimiser"], "nr_iter_em": 22, "nr_classes": 3}
    config = CONFIG | {"rounds": [*CONFIG["rounds"], {"class2d": went_on, "select": {"select_nr_parts": 100}}]}
    before = read_graph(mixed)
    snakemake_runs.finished(mixed, config, "--until", "select_classes")
    graph = read_graph(mixed)
    assert {f"{THEIRS}/", "Class2D/job031/", "Select/job032/"} <= graph.jobs.keys()
    assert CLASSIFIED["optimiser"] in graph.inputs_of("Class2D/job031/")
    assert graph.holds(before)


def test_a_project_stays_whole_while_both_add_jobs(mixed):
    """RELION adds jobs one after another while our workflow runs a further round; no job and no edge is lost."""
    before = read_graph(mixed)
    config = CONFIG | {"rounds": [*CONFIG["rounds"], {"class2d": {"nr_iter_em": 8, "nr_classes": 1}}]}
    workflow = snakemake_runs.start(mixed, config, "--until", "select_classes")
    added = 0
    try:
        while workflow.poll() is None:
            options = f"fn_img == {CLEAN}/particles.star;nr_classes == {added + 1}"
            run(mixed, "relion_pipeliner", "--addJob", "Class2D", "--addJobOptions", options)
            run(mixed, "relion_pipeliner", "--check_job_completion")
            added += 1
            time.sleep(0.5)  # else it would hold its lock nearly all the time
    finally:
        if workflow.poll() is None:
            workflow.kill()
        assert workflow.wait() == 0
    graph = read_graph(mixed)
    assert graph.holds(before)
    scheduled = [name for name, (_, status, _) in graph.jobs.items() if status == "1"]
    assert len(scheduled) == added >= 3
    assert all(graph.inputs_of(name) == [f"{CLEAN}/particles.star"] for name in scheduled)
    assert len({graph.counter, *(int(name[-5:-1]) for name in scheduled)}) == added + 1
    assert {graph.jobs[name][1] for name in ("Class2D/job031/", "Select/job032/")} == {"2"}
    assert graph.inputs_of("Class2D/job031/") == [f"{CLEAN}/particles.star"]
    assert graph.outputs_of("Select/job032/") == [
        f"Select/job032/{name}.star" for name in ("class_averages", "particles")
    ]
    assert not (mixed / ".relion_lock").exists()
