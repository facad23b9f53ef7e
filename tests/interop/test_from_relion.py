"""And back: what RELION made in our project we select from, regroup and continue, and both add jobs to one graph."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from conftest import REPOSITORY
from interop.graph import read_graph
from interop.programs import attempt, run
from interop.small_project import CLEAN, CONFIG
from winnow2d.formats.jobs import PROGRAM, PROVENANCE, JobFile, write_job_star
from winnow2d.formats.ledger import read_ledger
from winnow2d.formats.particles import particles_from_table, read_particle_table
from winnow2d.formats.star import read_star, write_star
from winnow2d.options import OwnOptions, SelectOptions
from workflow import snakemake_runs
from workflow.snakemake_runs import copy_project

pytestmark = [pytest.mark.relion, pytest.mark.workflow]

THEIRS = "Class2D/job1001"
STEM = f"{THEIRS}/run_it020_"
CLASSIFIED = {name: f"{STEM}{name}.star" for name in ("data", "model", "optimiser")}
LEDGERS = {"class": "classes", "particle": "particles"}
RELIONS_CLASS2D = "fn_img == Extract/job001/particles.star;nr_classes == 3;nr_iter == 20;nr_threads == 2"


@pytest.fixture(scope="module")
def classified(finished, tmp_path_factory) -> Path:
    """Return our project with a Class2D job RELION scheduled from our job.star and ran; not to be changed."""
    project = copy_project(finished, tmp_path_factory.mktemp("from_relion") / "project")
    job = ("--addJobFromStar", "Class2D/job011/job.star", "--addJobOptions", RELIONS_CLASS2D)
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


def make_job(project, directory, label, options, inputs, outputs, params=None):
    """Write the job.star of a Select job, as the workflow would for RELION's iteration."""
    (project / directory).mkdir(parents=True)
    files = {"label": label, "type_number": 7, "inputs": inputs, "outputs": outputs, "params": params or {}}
    write_job_star(project / directory / "job.star", JobFile(options=options, own=OwnOptions(), **files))
    (project / directory / PROVENANCE).write_text(json.dumps({"program": PROGRAM}))


def select(project, directory):
    outputs = {name: f"{directory}/{name}.star" for name in ("particles", "class_averages", "backup_selection")}
    outputs |= {f"{kind}_ledger": f"report/of_relion/{name}.tsv" for kind, name in LEDGERS.items()}
    options = SelectOptions(rank_threshold=0.2, select_nr_parts=150)
    params = {"particle_diameter": 200.0}
    make_job(project, directory, "relion.select.class2dauto", options, CLASSIFIED, outputs, params)
    script(project, "select_classes.py", directory)
    return read_star(project / directory / "particles.star")["particles"]


def test_we_select_from_relions_classes_and_regroup(mixed):
    kept = select(mixed, "Select/job1002")
    everything = read_star(mixed / CLASSIFIED["data"])["particles"]
    ledger = read_ledger(mixed / "report/of_relion/classes.tsv")
    chosen = {str(number) for number in ledger["class"][ledger["kept"]]}
    assert len(ledger) == 3
    assert 150 <= len(kept) == everything["rlnClassNumber"].isin(chosen).sum()
    assert set(kept["rlnClassNumber"]) == chosen
    assert set(kept["rlnImageName"]) <= set(everything["rlnImageName"])
    images = read_star(mixed / "Select/job1002/class_averages.star")[""]["rlnReferenceImage"]
    assert {name.split("@")[1] for name in images} == {f"{STEM}classes.mrcs"}

    particles = "Select/job1002/particles.star"
    options = SelectOptions(do_class_ranker=False, do_regroup=True, nr_groups=3)
    inputs = CLASSIFIED | {"particles": particles}
    outputs = {"particles": "Select/job1003/particles.star"}
    make_job(mixed, "Select/job1003", "relion.select.interactive", options, inputs, outputs)
    script(mixed, "regroup.py", "Select/job1003")
    grouped = read_star(mixed / "Select/job1003/particles.star")["particles"]
    assert grouped["rlnImageName"].tolist() == kept["rlnImageName"].tolist()
    assert 2 <= grouped["rlnGroupName"].nunique() <= 4

    graph = read_graph(mixed)
    assert graph.inputs_of("Select/job1002/") == sorted(CLASSIFIED.values())
    assert particles in graph.inputs_of("Select/job1003/")
    # and RELION starts from what we made of its classes
    options = (
        "--K 2 --iter 1 --particle_diameter 200 --ctf --tau2_fudge 2 --psi_step 24 --offset_range 3 --offset_step 2"
    )
    again = ("--i", "Select/job1003/particles.star", "--o", "Select/run", *options.split(), "--pad", 2, "--j", 1)
    run(mixed, "relion_refine", *again)
    assert len(read_star(mixed / "Select/run_it001_data.star")["particles"]) == len(grouped)


def with_own_option(job_star, name, value):
    """Add an option of ours to a job.star of RELION's."""
    own = pd.DataFrame({"winnowOptionVariable": [name], "winnowOptionValue": [value]})
    write_star(job_star, read_star(job_star) | {"winnow_own": own})


# RELION itself keeps 0.975; by our own rules a few particles of two like classes change over.
@pytest.mark.parametrize(("rules", "kept"), [("relion", 0.93), ("none", 0.8)])
def test_we_go_on_from_relions_iteration_in_a_job_relion_scheduled(mixed, rules, kept):
    """One more iteration of ours after RELION's twenty, then one more of RELION's after ours."""
    options = f"{RELIONS_CLASS2D};fn_cont == {CLASSIFIED['optimiser']};nr_iter == 21"
    run(mixed, "relion_pipeliner", "--addJobFromStar", f"{THEIRS}/job.star", "--addJobOptions", options)
    directory = "Class2D/job1002"
    assert read_graph(mixed).jobs[f"{directory}/"] == ("8", "1", "None")
    with_own_option(mixed / directory / "job.star", "compatibility", rules)
    script(mixed, "class2d.py", directory)
    assert f"Going on after iteration 20 of {CLASSIFIED['optimiser']}" in (mixed / directory / "run.out").read_text()
    graph = read_graph(mixed)
    assert graph.jobs[f"{directory}/"] == ("8", "2", "None")
    names = ("data", "model", "optimiser")
    assert graph.outputs_of(f"{directory}/") == [f"{directory}/run_it021_{name}.star" for name in names]
    go_on = ("--continue", f"{directory}/run_it021_optimiser.star", "--o", "Class2D/run", "--iter", 22, "--j", 1)
    run(mixed, "relion_refine", *go_on)
    paths = (CLASSIFIED["data"], f"{directory}/run_it021_data.star", "Class2D/run_it022_data.star")
    before, ours, theirs = (particles_from_table(read_particle_table(mixed / path))[0].class_index for path in paths)
    assert (before == ours).mean() >= kept
    assert (ours == theirs).mean() >= 0.9


def test_we_run_a_job_relion_scheduled_but_none_it_ran(mixed):
    script_path = REPOSITORY / "scripts/class2d.py"
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
